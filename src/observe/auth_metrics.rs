//! The metrics of routes with `auth`. Must not use anything that a client sent as a label.

use prometheus_client::metrics::counter::Counter;

use super::exposition::label;

/// The counters of a route with `auth`, by result.
#[derive(Debug)]
pub struct AuthCounters {
    /// The route as a label.
    pub(super) label: Box<str>,
    /// The request may enter.
    pub admitted: Counter,
    /// Its credentials are missing or wrong, or the service refuses it.
    pub refused: Counter,
    /// The service sends the client elsewhere.
    pub redirected: Counter,
    /// Nobody could tell: the service gave no usable answer, or too many passwords waited.
    pub failed: Counter,
}

impl AuthCounters {
    /// Creates the counters of a route.
    pub(super) fn new(route: &str) -> Self {
        Self {
            label: label("route", route).into(),
            admitted: Counter::default(),
            refused: Counter::default(),
            redirected: Counter::default(),
            failed: Counter::default(),
        }
    }

    /// Returns each counter with its result.
    pub(super) fn each(&self) -> [(&'static str, u64); 4] {
        [
            ("admitted", self.admitted.get()),
            ("refused", self.refused.get()),
            ("redirected", self.redirected.get()),
            ("failed", self.failed.get()),
        ]
    }
}
