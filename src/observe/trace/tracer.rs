//! The handle by which requests begin their spans. Cheap to clone; when the last one is dropped, the exporter sends what is queued and ends.
//!
//! Must not know requests or spans; `finish` does.

use std::sync::Arc;

use super::queue::Queue;
use super::sampler::Sampler;
use crate::context::spans::{Spans, TraceParent};

/// Which requests are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Chooses among the traces.
    pub sampler: Sampler,
    /// A request that fails is exported even if its trace is not recorded.
    pub errors_always: bool,
}

/// The handle.
#[derive(Clone, Debug)]
pub struct Tracer(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    choice: Choice,
    queue: Arc<Queue>,
}

impl Tracer {
    /// Creates a handle whose spans go into this queue.
    pub fn new(choice: Choice, queue: Arc<Queue>) -> Self {
        Self(Arc::new(Handle { choice, queue }))
    }

    /// Begins the spans of a request. Returns `None` if none of them can be exported.
    pub fn begin(&self, parent: Option<TraceParent>) -> Option<Box<Spans>> {
        let Choice { sampler, errors_always } = self.0.choice;
        let trace = parent.map_or_else(|| fastrand::u128(1..), |parent| parent.trace);
        let sampled = sampler.decide(parent.as_ref(), trace);
        if !(sampled || errors_always) {
            return None;
        }
        // The id of a trace that begins here is random. Of another one, its parent knows.
        let random = parent.map_or(TraceParent::RANDOM, |parent| parent.flags & TraceParent::RANDOM);
        let flags = random | if sampled { TraceParent::SAMPLED } else { 0 };
        Some(Box::new(Spans::new(TraceParent { trace, span: fastrand::u64(1..), flags }, parent.map(|parent| parent.span))))
    }

    /// Returns true if a request that failed is exported even if its trace is not recorded.
    pub(super) fn keeps_errors(&self) -> bool {
        self.0.choice.errors_always
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.0.queue
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}
