//! Begins the spans of a request that is traced. Must not know how they are exported.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::state::Client;
use crate::context::spans::Spans;
use crate::header::HeaderList;
use crate::observe::access_record::Facts;
use crate::observe::trace::tracer::Tracer;
use crate::plan::Route;
use crate::policy::Scheme;
use crate::upstream::heads::scan::HeaderScan;
use crate::upstream::heads::trace_context;

/// Begins the spans of a request. From now on its headers name its own span as the parent, so that whatever is asked on its behalf belongs to
/// it. Returns `None` if the request is not traced; then its headers stay as they are.
pub(super) fn begin(tracer: &Tracer, client: &Client, headers: &mut HeaderList, seen: &mut HeaderScan) -> Option<Box<Spans>> {
    let parent = trace_context::parent(headers);
    let mut spans = tracer.begin(parent)?;
    spans.secure = client.scheme_of(headers, seen) == Scheme::Https;
    if parent.is_none() {
        // It belongs to a parent that was not understood.
        headers.remove("tracestate");
    }
    trace_context::set(headers, &spans.own);
    seen.set_traced();
    Some(spans)
}

/// Records the route of a request that is traced.
pub(super) fn routed(facts: &mut Facts, route: &Route) {
    if let Some(spans) = &mut facts.trail.spans {
        spans.route = Some(Arc::clone(&route.paths));
    }
}

/// Returns what is set if internals are removed from a successful response, of a request that is traced.
pub(super) fn masked(spans: Option<&mut Spans>) -> Option<Arc<AtomicBool>> {
    Some(Arc::clone(spans?.masked.get_or_insert_default()))
}

/// Counts a successful response from which internals were removed.
pub(super) fn count_masked(route: &Route, masked: Option<&AtomicBool>) {
    route.metrics.masked();
    if let Some(masked) = masked {
        masked.store(true, Ordering::Relaxed);
    }
}
