//! TLS of the listener: its certificates, the choice by server name, the clients' certificates, and files that change while it runs.
//!
//! | file | purpose |
//! |---|---|
//! | `certificates` | the settings for handshakes, which follow their files |
//! | `sources` | where the files are |
//! | `files` | reads certificates and keys, and says what is wrong with them |
//! | `by_name` | chooses the certificate by the name that the client asks for |
//!
//! Knows nothing of sockets or of the configuration's text.

mod by_name;
mod certificates;
mod files;
mod sources;

pub use certificates::{Certificates, Validity};
pub use files::{Complaint, File, Stamp};
pub use sources::{ClientRoots, Pair, Sources};
