//! Traces: the spans of a request, encoded and queued on its core, and sent to a collector by a task elsewhere (OTLP,
//! <https://opentelemetry.io/docs/specs/otlp/>).
//!
//! Must not open connections; `app` gives the exporter a [`export::Collector`].
//!
//! | file | what it does |
//! |---|---|
//! | `sampler` | decides whether a trace is recorded |
//! | `tracer` | the handle by which requests begin their spans, until the queue takes them |
//! | `finish` | decides at the end of a request whether its spans are exported |
//! | `span` | makes the spans of a request, by the semantic conventions of OpenTelemetry |
//! | `wire` | writes protobuf |
//! | `queue` | the spans that wait for the exporter, within bounds |
//! | `export` | sends batches, and decides what follows an answer of the collector |
//! | `counters` | the metrics of all these |

pub mod counters;
pub mod export;
pub mod finish;
pub mod queue;
pub mod sampler;
mod span;
pub mod tracer;
mod wire;
