//! The end of a request that is traced: decides whether its spans are exported, and queues them.

use super::queue::Encoded;
use super::span::{self, Ended};
use super::tracer::Tracer;
use crate::context::RequestContext;
use crate::context::spans::Spans;
use crate::observe::access_record::Facts;
use crate::observe::line::LineContext;

/// Room for the spans of a usual request, in bytes.
const USUAL_SIZE: usize = 1024;

/// Queues the spans of a request, if its trace is recorded or if it failed and errors are always exported.
pub(in crate::observe) fn finish(tracer: &Tracer, context: &RequestContext, facts: &Facts, spans: &Spans, line: &LineContext<'_>) {
    if !(spans.own.is_sampled() || tracer.keeps_errors() && span::failed(facts)) {
        return;
    }
    let mut bytes = Vec::with_capacity(USUAL_SIZE);
    let spans = span::append(&mut bytes, &Ended { context, facts, spans, line });
    tracer.queue().push(Encoded { bytes, spans });
}
