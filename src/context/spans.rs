//! What is kept of a request that is traced: its ids, its attempts, and the events between them.
//!
//! `gateway` begins it, `upstream` adds the attempts, and `observe` makes the spans that are exported. A request that is not traced has
//! none. Must not know how spans are encoded or sent.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::time::Instant;

use crate::failure::Kind;

/// The attempts that are kept. Further ones are counted but have no span, so that the spans of a request are bounded.
const MAX_ATTEMPTS: usize = 16;

/// The place of a request in its trace: what a `traceparent` says (<https://www.w3.org/TR/trace-context/#traceparent-header>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The id of the trace, not zero.
    pub trace: u128,
    /// The id of the span that caused the request, not zero.
    pub span: u64,
    /// The trace flags.
    pub flags: u8,
}

impl TraceParent {
    /// The flag of a trace that is recorded.
    pub const SAMPLED: u8 = 1;
    /// The flag of an id whose last 56 bits are random (<https://www.w3.org/TR/trace-context-2/#random-trace-id-flag>).
    pub const RANDOM: u8 = 2;

    /// Returns true if the sender records the trace.
    pub const fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }
}

/// The spans of one request: one for the request itself, and one for each attempt.
#[derive(Clone, Debug)]
pub struct Spans {
    /// The place of the request's own span.
    pub own: TraceParent,
    /// The span of the client; `None` if the trace begins here.
    pub parent: Option<u64>,
    /// Whether the client uses https, as far as its proxies tell.
    pub secure: bool,
    /// The paths of the route as configured.
    pub route: Option<Arc<str>>,
    /// Set once the leak guard removes internals from a successful response. Few requests are guarded.
    pub masked: Option<Arc<AtomicBool>>,
    /// The attempts in the order of their beginning.
    pub attempts: Vec<AttemptSpan>,
}

/// One attempt at one endpoint.
#[derive(Clone, Debug)]
pub struct AttemptSpan {
    /// The id, which the upstream gets as its parent.
    pub id: u64,
    /// The URL of the endpoint, with the address of a resolved name.
    pub endpoint: Arc<str>,
    /// When it began.
    pub begin: Instant,
    /// When it ended; `None` if it was abandoned with the request.
    pub end: Option<Instant>,
    /// How it ended.
    pub outcome: AttemptEnd,
    /// It ran beside an earlier attempt.
    pub hedge: bool,
    /// The exchange was over HTTP/2.
    pub http2: bool,
    /// Its outcome opened a breaker: the endpoint gets no requests for a while.
    pub ejected: bool,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// Something else ended first: another attempt, or the request.
    Abandoned,
    /// A response head arrived, with this status.
    Answered(u16),
    /// No valid response arrived.
    Failed(Kind),
}

impl Spans {
    /// Creates the spans of a request without attempts.
    pub fn new(own: TraceParent, parent: Option<u64>) -> Self {
        Self { own, parent, secure: false, route: None, masked: None, attempts: Vec::new() }
    }

    /// Returns the spans of an attempt that runs beside those of this request. [`Self::join`] adds its attempts.
    pub fn beside(&self) -> Self {
        Self::new(self.own, self.parent)
    }

    /// Begins an attempt. Returns its place in the trace, which the upstream is told.
    pub fn attempt(&mut self, endpoint: &Arc<str>, begin: Instant, hedge: bool) -> TraceParent {
        let id = fastrand::u64(1..);
        if self.attempts.len() < MAX_ATTEMPTS {
            let (endpoint, outcome) = (Arc::clone(endpoint), AttemptEnd::Abandoned);
            self.attempts.push(AttemptSpan { id, endpoint, begin, end: None, outcome, hedge, http2: false, ejected: false });
        }
        TraceParent { span: id, ..self.own }
    }

    /// Ends the latest attempt.
    pub fn ended(&mut self, end: Instant, outcome: AttemptEnd, http2: bool, ejected: bool) {
        if let Some(last) = self.attempts.last_mut().filter(|last| last.end.is_none()) {
            (last.end, last.outcome, last.http2, last.ejected) = (Some(end), outcome, http2, ejected);
        }
    }

    /// Ends the attempts that are still open: another one was faster.
    pub fn abandon(&mut self, now: Instant) {
        self.attempts.iter_mut().filter(|attempt| attempt.end.is_none()).for_each(|attempt| attempt.end = Some(now));
    }

    /// Adds the attempts that ran beside.
    pub fn join(&mut self, other: Self) {
        let room = MAX_ATTEMPTS.saturating_sub(self.attempts.len());
        self.attempts.extend(other.attempts.into_iter().take(room));
    }
}
