//! All metrics: registered once, handles resolved when the plan is made, so that counting is one atomic addition.
//!
//! Labels are bounded: names from the configuration and words of the catalogue, never anything a client sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::histogram::Durations;
use super::names;
use crate::failure::Kind;

type Labels = Vec<(&'static str, String)>;

/// How a request ended, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 1xx and 2xx
    Success,
    /// 3xx
    Redirect,
    /// 4xx
    ClientError,
    /// 5xx
    ServerError,
    /// The client left before the answer was whole.
    ClientClosed,
    /// The answer was cut because the upstream failed.
    Aborted,
}

const CLASSES: [(Class, &str); 6] = [
    (Class::Success, "2xx"),
    (Class::Redirect, "3xx"),
    (Class::ClientError, "4xx"),
    (Class::ServerError, "5xx"),
    (Class::ClientClosed, "client_closed"),
    (Class::Aborted, "aborted"),
];

impl Class {
    /// The class of a status.
    pub const fn of(status: u16) -> Self {
        match status {
            0..300 => Self::Success,
            300..400 => Self::Redirect,
            400..500 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

/// Counters by class.
#[derive(Clone, Debug)]
pub struct ByClass([Counter; 6]);

impl ByClass {
    fn resolve(family: &Family<Labels, Counter>, label: &'static str, name: &str) -> Self {
        let counter = |(_, class): (Class, &str)| family.get_or_create_owned(&vec![(label, name.to_owned()), ("class", class.to_owned())]);
        Self(CLASSES.map(counter))
    }

    /// Counts one.
    pub fn count(&self, class: Class) {
        self.0[class as usize].inc();
    }
}

/// Handles of one route.
#[derive(Clone, Debug)]
pub struct RouteMetrics {
    /// The route's name.
    pub name: Arc<str>,
    /// Where it leads, for the log.
    pub backend: Arc<str>,
    requests: ByClass,
    duration: Durations,
    masked: Counter,
    failures: OnceLock<Box<[OnceLock<Counter>]>>,
}

impl RouteMetrics {
    /// Counts a success out of which leaks were taken.
    pub fn masked(&self) {
        self.masked.inc();
    }

    /// Counts the end of one request.
    pub fn ended(&self, class: Class, took: Duration) {
        self.requests.count(class);
        self.duration.observe(took);
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    durations: Family<Labels, Durations>,
    failures: Family<Labels, Counter>,
    upstream: Family<Labels, Counter>,
    rate_limited: Family<Labels, Counter>,
    masked: Family<Labels, Counter>,
    /// Requests that arrived.
    pub received: Counter,
    /// Requests in progress.
    pub in_progress: Gauge,
    /// Client connections accepted.
    pub accepted: Counter,
    /// Client connections open.
    pub connections: Gauge,
    /// Request body bytes.
    pub bytes_in: Counter,
    /// Response body bytes.
    pub bytes_out: Counter,
    /// Log lines dropped; the log writer counts into it.
    pub log_dropped: Arc<AtomicU64>,
}

/// The route label of requests that no route took.
pub const NO_ROUTE: &str = "-";

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            durations: Family::default(),
            failures: Family::default(),
            upstream: Family::default(),
            rate_limited: Family::default(),
            masked: Family::default(),
            received: Counter::default(),
            in_progress: Gauge::default(),
            accepted: Counter::default(),
            connections: Gauge::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            log_dropped: Arc::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(names::RECEIVED, "Requests that arrived", self.received.clone());
        registry.register(names::REQUESTS, "Requests that ended, by class of the status sent", self.requests.clone());
        registry.register(names::DURATION, "Time from arrival to the last byte of the answer", self.durations.clone());
        registry.register(names::FAILURES, "Failures by code and reason", self.failures.clone());
        registry.register(names::UPSTREAM, "Answers of backends by class", self.upstream.clone());
        registry.register(names::RATE_LIMITED, "Requests refused by a rate limit", self.rate_limited.clone());
        registry.register(names::MASKED, "Successes of guarded routes out of which leaks were taken", self.masked.clone());
        registry.register(names::ACCEPTED, "Client connections accepted", self.accepted.clone());
        registry.register(names::CONNECTIONS, "Client connections open", self.connections.clone());
        registry.register(names::IN_PROGRESS, "Requests in progress", self.in_progress.clone());
        registry.register(names::BYTES_IN, "Bytes of request bodies", self.bytes_in.clone());
        registry.register(names::BYTES_OUT, "Bytes of response bodies", self.bytes_out.clone());
        let build: Family<Labels, Gauge> = Family::default();
        build.get_or_create_owned(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        registry.register(names::BUILD, "Version of this gateway", build);
    }

    /// Handles of a route.
    pub fn route(&self, name: &str, backend: Arc<str>) -> Arc<RouteMetrics> {
        let duration = self.durations.get_or_create_owned(&vec![("route", name.to_owned())]);
        let masked = self.masked.get_or_create_owned(&vec![("route", name.to_owned())]);
        let requests = ByClass::resolve(&self.requests, "route", name);
        Arc::new(RouteMetrics { name: name.into(), backend, requests, duration, masked, failures: OnceLock::new() })
    }

    /// Handles of a backend.
    pub fn backend(&self, name: &str) -> ByClass {
        ByClass::resolve(&self.upstream, "backend", name)
    }

    /// Handle of a rate limit.
    pub fn limit(&self, name: &str) -> Counter {
        self.rate_limited.get_or_create_owned(&vec![("limit", name.to_owned())])
    }

    /// Counts a failure. `received` is the upstream's status, the reason where the catalogue has none.
    pub fn failure(&self, route: &RouteMetrics, kind: Kind, received: Option<u16>) {
        let row = kind.row();
        let resolve = |reason: String| {
            self.failures.get_or_create_owned(&vec![("route", route.name.to_string()), ("code", row.code.to_owned()), ("reason", reason)])
        };
        if let Some(status) = received.filter(|_| row.reason.is_empty()) {
            resolve(format!("received-status={status}")).inc();
            return;
        }
        // Handles of the failures that this route has had: few routes have any.
        let known = route.failures.get_or_init(|| Kind::ALL.iter().map(|_| OnceLock::new()).collect());
        if let Some(handle) = known.get(kind as usize) {
            handle.get_or_init(|| resolve(row.reason.to_owned())).inc();
        }
    }

    /// The text that Prometheus scrapes.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut out, &self.registry);
        let dropped = self.log_dropped.load(Ordering::Relaxed);
        let name = names::LOG_DROPPED;
        let line = format!(
            "# HELP {name} Log lines dropped because the sink was too slow.\n# TYPE {name} counter\n{name}_total {dropped}\n# EOF\n"
        );
        out.truncate(out.trim_end_matches("# EOF\n").len());
        out + &line
    }
}
