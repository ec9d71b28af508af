//! A rate limit as configured, and the decision on one request.
//!
//! Plain data; knows nothing of counters or clocks.

use std::num::NonZeroU32;
use std::time::Duration;

/// A rate: a number of requests per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Requests per window.
    pub count: NonZeroU32,
    /// The window.
    pub window: Duration,
    /// Maximum number of requests at once.
    pub burst: NonZeroU32,
}

impl Window {
    /// Returns the share of the window that one request takes; at least a nanosecond.
    pub fn period(&self) -> Duration {
        (self.window / self.count.get()).max(Duration::from_nanos(1))
    }
}

/// The settings of a rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name in the configuration, shown to clients as the policy's name.
    pub name: String,
    /// The rates, shortest window first, so that a request rejected by a short window takes nothing from the longer ones.
    pub windows: Vec<Window>,
    /// Maximum number of keys that are counted separately.
    pub max_keys: usize,
}

/// The decision on one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// True if the request is admitted.
    pub admitted: bool,
    /// Index of the window that rejected the request or, if it was admitted, of the one with the fewest requests left.
    pub window: usize,
    /// Requests left in that window's burst.
    pub remaining: u32,
    /// Time until the same request would be admitted; zero if it was admitted.
    pub wait: Duration,
}
