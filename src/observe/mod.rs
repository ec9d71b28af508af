//! Logs and metrics: a record of every request, and the writer of access lines and events.
//!
//! Must not send anything to a client.
//!
//! | file | what it does |
//! |---|---|
//! | `access_record` | the record of a request while it is served |
//! | `recorder` | counts finished records and writes their access lines |
//! | `sample` | which requests have an access line |
//! | `level` | the level of the log, which can change |
//! | `line` | what all forms of an access line have in common |
//! | `access_log` | an access line as JSON with all fields; `selection` writes some of them |
//! | `template` | an access line in a form of the operator, and in that of Apache |
//! | `pretty` | an access line for a terminal |
//! | `field`, `fields` | the names and values of fields; the format of durations, addresses, queries and URLs |
//! | `writer` | the thread that writes lines and events |
//! | `log_file` | a file of lines, which is opened again and rotated |
//! | `trace/*` | spans for a collector |
//! | `names` | the table of all metrics and of their labels |
//! | `metrics` | all metrics; `route_metrics`, `auth_metrics`, `reload_metrics`, `login_metrics`, `tls_metrics`, `journal_metrics`, `notify_metrics` and `process` are parts of them |
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
pub mod field;
mod fields;
mod histogram;
pub mod journal_metrics;
pub mod level;
mod line;
pub mod log_file;
pub mod login_metrics;
pub mod metrics;
mod named;
pub mod names;
pub mod notify_metrics;
pub mod open_tunnel;
mod percore;
pub mod pretty;
mod process;
pub mod recorder;
pub mod reload_metrics;
mod route_metrics;
pub mod sample;
pub mod selection;
pub mod template;
pub mod tls_metrics;
pub mod trace;
pub mod writer;
