//! What operators are told of retries, hedged attempts, ejections and connections: plain counters, which live as long as the process uses
//! the backend. Knows nothing of requests or of how counters are written.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a request was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryReason {
    /// The policy retries when no connection can be opened.
    Connect,
    /// The policy retries when a connection is lost.
    Lost,
    /// The policy retries when no response comes in time.
    Timeout,
    /// The policy retries on the status of the response.
    Status,
    /// Nothing had been processed.
    Unsent,
    /// An idle connection turned out to be closed.
    Stale,
}

impl RetryReason {
    /// All reasons, in the order of their declaration.
    pub const ALL: [Self; 6] = [Self::Connect, Self::Lost, Self::Timeout, Self::Status, Self::Unsent, Self::Stale];

    /// Returns the word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Lost => "lost",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Unsent => "unsent",
            Self::Stale => "stale",
        }
    }
}

/// How a further attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOutcome {
    /// With a response that is final.
    Success,
    /// Without one.
    Failure,
    /// The request ended before.
    Cancelled,
}

impl RetryOutcome {
    /// All outcomes, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Cancelled];

    /// Returns the word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How a hedged attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeOutcome {
    /// It answered first.
    Won,
    /// The first attempt answered first.
    Lost,
    /// Neither answered.
    Failure,
    /// The request ended before.
    Cancelled,
}

impl HedgeOutcome {
    /// All outcomes, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Won, Self::Lost, Self::Failure, Self::Cancelled];

    /// Returns the word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The counters of one backend.
#[derive(Debug, Default)]
pub struct BackendCounts {
    retries: [[AtomicU64; RetryOutcome::ALL.len()]; RetryReason::ALL.len()],
    hedges: [AtomicU64; HedgeOutcome::ALL.len()],
    budget_exhausted: AtomicU64,
}

impl BackendCounts {
    /// Begins a further attempt, which counts as cancelled unless its outcome is told.
    pub(in crate::upstream) const fn retry(&self, reason: RetryReason) -> OpenRetry<'_> {
        OpenRetry { counts: self, reason, outcome: RetryOutcome::Cancelled }
    }

    /// Begins a hedged attempt, which counts as cancelled unless its outcome is told.
    pub(in crate::upstream) const fn hedge(&self) -> OpenHedge<'_> {
        OpenHedge { counts: self, outcome: HedgeOutcome::Cancelled }
    }

    /// Counts an attempt that was not made because the budget is exhausted.
    pub(in crate::upstream) fn exhausted(&self) {
        self.budget_exhausted.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of retries.
    pub fn retries(&self, reason: RetryReason, outcome: RetryOutcome) -> u64 {
        self.retries[reason as usize][outcome as usize].load(Ordering::Relaxed)
    }

    /// Returns the number of hedged attempts.
    pub fn hedges(&self, outcome: HedgeOutcome) -> u64 {
        self.hedges[outcome as usize].load(Ordering::Relaxed)
    }

    /// Returns the number of attempts that were not made because the budget was exhausted.
    pub fn budget_exhausted(&self) -> u64 {
        self.budget_exhausted.load(Ordering::Relaxed)
    }
}

/// A further attempt that is under way. It is counted when this is dropped.
#[derive(Debug)]
pub(in crate::upstream) struct OpenRetry<'a> {
    counts: &'a BackendCounts,
    reason: RetryReason,
    outcome: RetryOutcome,
}

impl OpenRetry<'_> {
    /// Records how it ended.
    pub(in crate::upstream) fn ended(mut self, outcome: RetryOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for OpenRetry<'_> {
    fn drop(&mut self) {
        self.counts.retries[self.reason as usize][self.outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// A hedged attempt that is under way. It is counted when this is dropped.
#[derive(Debug)]
pub(in crate::upstream) struct OpenHedge<'a> {
    counts: &'a BackendCounts,
    outcome: HedgeOutcome,
}

impl OpenHedge<'_> {
    /// Records how it ended.
    pub(in crate::upstream) fn ended(mut self, outcome: HedgeOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for OpenHedge<'_> {
    fn drop(&mut self) {
        self.counts.hedges[self.outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The counters of one endpoint.
#[derive(Debug, Default)]
pub struct EndpointCounts {
    /// How often it was ejected.
    pub ejections: AtomicU64,
    /// How often its circuit breaker opened.
    pub breaker_openings: AtomicU64,
    /// Connections that were opened for requests.
    pub opened: AtomicU64,
    /// Connections that could not be opened for requests.
    pub not_opened: AtomicU64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_whose_end_nobody_told_was_cancelled() {
        let counts = BackendCounts::default();
        counts.retry(RetryReason::Lost).ended(RetryOutcome::Success);
        drop((counts.retry(RetryReason::Status), counts.hedge()));
        counts.hedge().ended(HedgeOutcome::Won);
        let all = RetryReason::ALL.map(|reason| RetryOutcome::ALL.map(|outcome| counts.retries(reason, outcome)));
        assert_eq!(all, [[0; 3], [1, 0, 0], [0; 3], [0, 0, 1], [0; 3], [0; 3]]);
        assert_eq!(HedgeOutcome::ALL.map(|outcome| counts.hedges(outcome)), [1, 0, 0, 1]);
    }
}
