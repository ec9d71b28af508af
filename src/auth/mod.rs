//! Names and passwords: reads them from a request, and verifies them against the hashes of a file.
//!
//! Knows nothing of routes or responses: the gateway decides what follows.

pub mod credentials;
mod hash;
pub mod htpasswd;
pub mod verifier;
