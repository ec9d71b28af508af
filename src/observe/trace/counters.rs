//! The metrics of traces: what became of the spans. Must not know how they are sent.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

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
    /// Adds the metrics to the registry.
    pub(in crate::observe) fn register(&self, registry: &mut Registry) {
        registry.register(names::SPANS_EXPORTED, "Spans that the collector took", self.exported.clone());
        registry.register(
            names::SPANS_FAILED,
            "Spans that the collector refused, or that it could not be sent for too long",
            self.failed.clone(),
        );
        registry.register(names::SPANS_DROPPED, "Spans that were dropped because the queue was full", self.dropped.clone());
    }
}
