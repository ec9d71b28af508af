//! A rate limit as configured, and a decision about one request.

use std::num::NonZeroU32;
use std::time::Duration;

/// One rate: so many requests per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Requests per window.
    pub count: NonZeroU32,
    /// The window.
    pub window: Duration,
    /// Requests that may come at once.
    pub burst: NonZeroU32,
}

impl Window {
    /// Time that one request takes of the window; at least a nanosecond.
    pub fn period(&self) -> Duration {
        (self.window / self.count.get()).max(Duration::from_nanos(1))
    }
}

/// What a limit is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name in the configuration, shown to clients as the policy's name.
    pub name: String,
    /// Its rates, shortest window first: who is refused by a short one has taken nothing from the long ones.
    pub windows: Vec<Window>,
    /// Keys that are told apart at the same time.
    pub max_keys: usize,
}

/// A decision about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The request may enter.
    pub admitted: bool,
    /// The window that refused, or that has the least left.
    pub window: usize,
    /// Requests left in its burst.
    pub remaining: u32,
    /// Until the same request is admitted; zero when admitted.
    pub wait: Duration,
}
