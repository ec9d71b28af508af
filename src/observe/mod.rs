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
//! | `metrics` | all metrics; `names` holds their names, `auth_metrics` and `tls_metrics` a part of them |
//! | `trace/*` | spans for a collector |
//! | `exposition` | the text format of Prometheus |
//! | `percore`, `histogram` | counters and histograms per core |

pub mod access_log;
pub mod access_record;
pub mod auth_metrics;
mod exposition;
pub mod field;
mod fields;
mod histogram;
pub mod level;
mod line;
pub mod log_file;
pub mod metrics;
pub mod names;
pub mod open_tunnel;
mod percore;
pub mod pretty;
pub mod recorder;
pub mod reload_metrics;
pub mod sample;
pub mod selection;
pub mod template;
pub mod tls_metrics;
pub mod trace;
pub mod writer;
