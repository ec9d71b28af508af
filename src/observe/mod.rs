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
//! | `names` | the table of all metrics and of their labels |
//! | `metrics` | all metrics; `route_metrics`, `auth_metrics`, `reload_metrics`, `tls_metrics` and `process` are parts of them |
//! | `named` | metrics by name, for as long as a plan uses them |
//! | `percore`, `histogram` | counters and histograms per core |
//! | `failures`, `codes` | counters of failures by reason and status, and the statuses that are told apart |
//! | `exemplars` | traces as examples of durations |
//! | `exposition` | the text formats of Prometheus and OpenMetrics |

pub mod access_log;
pub mod access_record;
pub mod auth_metrics;
mod codes;
mod exemplars;
pub mod exposition;
mod failures;
mod fields;
mod histogram;
mod line;
pub mod metrics;
mod named;
pub mod names;
pub mod open_tunnel;
mod percore;
pub mod pretty;
mod process;
pub mod recorder;
pub mod reload_metrics;
mod route_metrics;
pub mod tls_metrics;
pub mod writer;
