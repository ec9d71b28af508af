//! What we keep: a record of every request, metrics, and events. Nothing here is ever sent to a client.

pub mod access_log;
pub mod access_record;
mod histogram;
mod line;
pub mod metrics;
pub mod names;
mod percore;
pub mod recorder;

pub mod writer;
