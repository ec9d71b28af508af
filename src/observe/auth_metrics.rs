//! The metrics of routes with `auth`. Must not use anything that a client sent as a label.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::names;

/// The counters of a route with `auth`, by result.
#[derive(Clone, Debug)]
pub struct AuthCounters {
    /// The request may enter.
    pub admitted: Counter,
    /// Its credentials are missing or wrong, or the service refuses it.
    pub refused: Counter,
    /// The service sends the client elsewhere.
    pub redirected: Counter,
    /// Nobody could tell: the service gave no usable answer, or too many passwords waited.
    pub failed: Counter,
}

/// The counters of all routes with `auth`, by route and result.
#[derive(Debug, Default)]
pub struct AuthMetrics(Family<Vec<(&'static str, String)>, Counter>);

impl AuthMetrics {
    /// Adds them to the metrics.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(names::AUTH, "Requests to routes with `auth`, by result", self.0.clone());
    }

    /// Returns the counters of a route; equal names share them.
    pub fn of(&self, route: &str) -> AuthCounters {
        let of = |word: &str| self.0.get_or_create_owned(&vec![("route", route.to_owned()), ("result", word.to_owned())]);
        AuthCounters { admitted: of("admitted"), refused: of("refused"), redirected: of("redirected"), failed: of("failed") }
    }
}
