//! The metrics of traces: what became of the spans. Must not know how they are sent.

use std::fmt::{self, Write};

use prometheus_client::metrics::counter::Counter;

use crate::observe::exposition::Exposition;
use crate::observe::names;

/// What became of the spans.
#[derive(Clone, Debug, Default)]
pub struct TraceCounters {
    /// Spans that the collector took.
    pub exported: Counter,
    /// Spans that the collector did not take: it refused them, or could not be reached for too long.
    pub failed: Counter,
    /// Spans that were never sent, because the queue was full.
    pub dropped: Counter,
}

impl TraceCounters {
    /// Writes the metrics.
    pub(in crate::observe) fn encode<W: Write>(&self, out: &mut Exposition<'_, W>) -> fmt::Result {
        out.single(&names::SPANS_EXPORTED, self.exported.get())?;
        out.single(&names::SPANS_FAILED, self.failed.get())?;
        out.single(&names::SPANS_DROPPED, self.dropped.get())
    }
}
