//! Logs and metrics: a record of every request, and the writer of access lines and events.
//!
//! Must not send anything to a client.
//!
//! | file | what it does |
//! |---|---|
//! | `access_record` | the record of a request while it is served |
//! | `recorder` | counts finished records and writes their access lines |
//! | `line` | what both forms of an access line have in common |
//! | `access_log` | an access line as JSON; `pretty` is the form for a terminal; `fields` formats durations, addresses and queries |
//! | `writer` | the thread that writes lines to standard output |
//! | `metrics` | all metrics; `names` holds their names, `auth_metrics` and `tls_metrics` a part of them |
//! | `exposition` | the text format of Prometheus |
//! | `percore`, `histogram` | counters and histograms per core |

pub mod access_log;
pub mod access_record;
pub mod auth_metrics;
mod exposition;
mod fields;
mod histogram;
mod line;
pub mod metrics;
pub mod names;
pub mod open_tunnel;
mod percore;
pub mod pretty;
pub mod recorder;
pub mod reload_metrics;
pub mod tls_metrics;
pub mod writer;
