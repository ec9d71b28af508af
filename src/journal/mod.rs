//! The error journal: every failed request with what the upstream really said, found by its request id and grouped by its fault.
//!
//! ```text
//!  request ──▶ Observation ──▶ queue ──▶ writer thread: mask ──▶ fingerprint ──▶ Store ◀── admin listener, commands
//! ```
//!
//! A request hands over an [`Observation`], which costs it no more than a few moves. A thread masks credentials, finds the group and writes
//! batches. Must not know how errors are answered or shown.
//!
//! | file | purpose |
//! |---|---|
//! | `observation` | what a request hands over |
//! | `entry` | an entry as it is stored: masked, bounded |
//! | `mask`, `rules`, `texts` | makes an entry of an observation; what is masked in every text |
//! | `names`, `judged`, `segments`, `protocols` | names whose values are credentials, those that were judged, credentials in paths, names that are none |
//! | `trace` | the exception of an entry, where only its trace tells it |
//! | `payload` | what an entry shows of the body of a request |
//! | `fingerprint` | which entries belong together |
//! | `sample` | which entries are kept, if only a share is |
//! | `query` | what can be asked, and the answers |
//! | `store` | the trait of all stores |
//! | `group`, `words` | how entries count in groups, and by which words they are found: the same in all stores |
//! | `memory` | the store in memory |
//! | `sqlite` | the store in a file |
//! | `postgres` | the store in a database that several gateways share |
//! | `packed` | an entry as bytes |
//! | `recent` | the latest entries, for whoever follows them |
//! | `writer` | the queue and the thread |

pub mod entry;
pub mod fingerprint;
mod group;
mod judged;
mod mask;
pub mod memory;
mod names;
pub mod observation;
mod packed;
mod payload;
pub mod postgres;
mod protocols;
pub mod query;
pub mod recent;
mod rules;
mod sample;
mod segments;
pub mod sqlite;
pub mod store;
mod texts;
pub mod trace;
mod words;
pub mod writer;

pub use entry::Entry;
pub use observation::Observation;
pub use store::{Store, StoreError};
pub use writer::Journal;
