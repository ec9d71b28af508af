//! All metrics. They are registered once; handles are resolved when the plan is compiled, those of failures at the first failure.
//!
//! Values that every request counts are counted per core. Label values are names from the configuration and words of the catalog, so
//! their number is bounded. Must not use anything that a client sent as a label.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::auth_metrics::AuthMetrics;
use super::exposition;
use super::histogram::{self, Durations};
use super::names;
use super::open_tunnel::OpenTunnel;
use super::percore::{CoreCounter, PerCore};
use super::reload_metrics::ReloadMetrics;
use super::tls_metrics::TlsMetrics;
use crate::failure::Kind;

type Labels = Vec<(&'static str, String)>;

/// The value of the label `class`: how a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 1xx and 2xx.
    Success,
    /// 3xx.
    Redirect,
    /// 4xx.
    ClientError,
    /// 5xx.
    ServerError,
    /// The client closed the connection before the response was complete.
    ClientClosed,
    /// The response was aborted because the upstream failed.
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
    /// Returns the class of a status.
    pub const fn of(status: u16) -> Self {
        match status {
            0..300 => Self::Success,
            300..400 => Self::Redirect,
            400..500 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

/// Counters of responses by class.
#[derive(Clone, Debug)]
pub struct ByClass(PerCore<[CoreCounter; CLASSES.len()]>);

impl ByClass {
    /// Counts one response on a core.
    pub fn count(&self, core: usize, class: Class) {
        self.0.of(core)[class as usize].add(1);
    }
}

/// The counters of one route on one core.
#[derive(Debug, Default)]
struct Ends {
    classes: [CoreCounter; CLASSES.len()],
    durations: Durations,
}

/// A counter of the errors of one status, and their kind.
type OfStatus = OnceLock<(Kind, Counter)>;

/// The metrics of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    /// The name of the route.
    pub name: Arc<str>,
    /// The name of the backend, for the log.
    pub backend: Arc<str>,
    ends: Arc<PerCore<Ends>>,
    masked: Counter,
    tunnels: Gauge,
    /// Counters of failures, by the position of their kind in [`Kind::ALL`].
    failures: OnceLock<Box<[OnceLock<Counter>]>>,
    /// Counters of upstream errors, by their status from [`FIRST_ERROR`] on: that of the first kind which such a response was.
    upstream_errors: OnceLock<Box<[OfStatus]>>,
}

impl RouteMetrics {
    /// Counts a successful response from which internals were removed.
    pub fn masked(&self) {
        self.masked.inc();
    }

    /// Counts a tunnel as open until the result is dropped.
    pub fn tunnel(&self) -> OpenTunnel {
        OpenTunnel::new(self.tunnels.clone())
    }

    /// Counts the end of a request on a core.
    pub fn ended(&self, core: usize, class: Class, took: Duration) {
        let ends = self.ends.of(core);
        ends.classes[class as usize].add(1);
        ends.durations.observe(took);
    }
}

/// The counters of all requests on one core.
#[derive(Debug, Default)]
struct Totals {
    received: CoreCounter,
    ended: CoreCounter,
    bytes_in: CoreCounter,
    bytes_out: CoreCounter,
}

/// The names of a route and of its backend.
type RouteKey = (String, Arc<str>);

/// The metrics that are counted per core. Their sums are computed when the metrics are read.
#[derive(Debug)]
struct PerCoreMetrics {
    totals: PerCore<Totals>,
    /// By route and backend. Those of one route share their counters.
    routes: Mutex<BTreeMap<RouteKey, Arc<RouteMetrics>>>,
    backends: Mutex<BTreeMap<String, ByClass>>,
}

impl Collector for PerCoreMetrics {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        let total = |one: fn(&Totals) -> &CoreCounter| self.totals.sum(|core| one(core).get());
        let (received, ended) = (total(|core| &core.received), total(|core| &core.ended));
        let totals = [
            (names::RECEIVED, "Requests received", received),
            (names::BYTES_IN, "Bytes of request bodies", total(|core| &core.bytes_in)),
            (names::BYTES_OUT, "Bytes of response bodies", total(|core| &core.bytes_out)),
        ];
        for (name, help, value) in totals {
            out.encode_descriptor(name, help, None, MetricType::Counter)?.encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
        }
        let in_progress = received.saturating_sub(ended);
        out.encode_descriptor(names::IN_PROGRESS, "Number of requests in progress", None, MetricType::Gauge)?.encode_gauge(&in_progress)?;
        let mut routes: Vec<_> = lock(&self.routes).iter().map(|((name, _), route)| (name.clone(), Arc::clone(&route.ends))).collect();
        routes.dedup_by(|one, other| one.0 == other.0);
        let requests =
            out.encode_descriptor(names::REQUESTS, "Requests that ended, by class of the status that was sent", None, MetricType::Counter)?;
        by_class(requests, "route", routes.iter().map(|(name, ends)| (name.as_str(), &**ends)), |ends| &ends.classes)?;
        let help = "Time from the arrival of a request to the last byte of its response, in seconds";
        let mut durations = out.encode_descriptor(names::DURATION, help, None, MetricType::Histogram)?;
        for (name, ends) in &routes {
            let labels = [("route", name.as_str())];
            histogram::encode(ends, |ends| &ends.durations, durations.encode_family(&labels)?)?;
        }
        let backends = lock(&self.backends);
        let upstream =
            out.encode_descriptor(names::UPSTREAM, "Responses of backends, by class of the status", None, MetricType::Counter)?;
        by_class(upstream, "backend", backends.iter().map(|(name, classes)| (name.as_str(), &classes.0)), |classes| classes)
    }
}

/// Encodes one counter per name and class.
fn by_class<'m, T: Default + 'm>(
    mut out: MetricEncoder<'_>,
    label: &str,
    all: impl Iterator<Item = (&'m str, &'m PerCore<T>)>,
    classes: impl Fn(&T) -> &[CoreCounter; CLASSES.len()],
) -> fmt::Result {
    for (name, cores) in all {
        for (class, word) in CLASSES {
            let labels = [(label, name), ("class", word)];
            let value = cores.sum(|core| classes(core)[class as usize].get());
            out.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
        }
    }
    Ok(())
}

/// Returns the label for the code of a failure. A client error has the code of the upstream, which must not become a label because the
/// number of codes is unbounded.
const fn label_of(kind: Kind) -> &'static str {
    let code = kind.row().code;
    if code.is_empty() { "UPSTREAM_CLIENT_ERROR" } else { code }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    cores: usize,
    counted: Arc<PerCoreMetrics>,
    failures: Family<Labels, Counter>,
    rate_limited: Family<Labels, Counter>,
    shared_store: Family<Labels, Counter>,
    /// The metrics of routes with `auth`.
    pub auth: AuthMetrics,
    masked: Family<Labels, Counter>,
    dry_run: Family<Labels, Counter>,
    tunnels: Family<Labels, Gauge>,
    /// The metrics of the listener for TLS.
    pub tls: TlsMetrics,
    /// The metrics of reloads.
    pub reloads: ReloadMetrics,
    /// The client connections that were accepted.
    pub accepted: Counter,
    /// The connections of trusted proxies that began without a valid PROXY header.
    pub proxy_header_failures: Counter,
    /// The client connections that are open.
    pub connections: Gauge,
    /// The log lines that the log writer dropped.
    pub log_dropped: Arc<AtomicU64>,
}

/// The statuses of errors.
const FIRST_ERROR: u16 = 400;
const END_OF_ERRORS: u16 = 600;

/// The value of the label `route` for requests that match no route.
pub const NO_ROUTE: &str = "-";
/// The name of the backend of routes that have none.
pub const NO_BACKEND: &str = "-";

impl Metrics {
    /// Creates the metrics of a process with `cores` worker threads, with all counters at zero.
    pub fn new(cores: usize) -> Self {
        let counted = PerCoreMetrics { totals: PerCore::new(cores), routes: Mutex::default(), backends: Mutex::default() };
        let mut metrics = Self {
            registry: Registry::default(),
            cores,
            counted: Arc::new(counted),
            failures: Family::default(),
            rate_limited: Family::default(),
            shared_store: Family::default(),
            auth: AuthMetrics::default(),
            masked: Family::default(),
            dry_run: Family::default(),
            tunnels: Family::default(),
            tls: TlsMetrics::default(),
            reloads: ReloadMetrics::default(),
            accepted: Counter::default(),
            proxy_header_failures: Counter::default(),
            connections: Gauge::default(),
            log_dropped: Arc::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register_collector(Box::new(Arc::clone(&self.counted)));
        registry.register(names::FAILURES, "Failures by code and reason", self.failures.clone());
        registry.register(names::RATE_LIMITED, "Requests that a limit rejected", self.rate_limited.clone());
        registry.register(
            names::DRY_RUN,
            "Errors that passed on routes with dry_run, by the status and code that the client would have got",
            self.dry_run.clone(),
        );
        registry.register(
            names::SHARED_STORE,
            "Checks of shared limits, by outcome: decided by the store, failed, or skipped after failures",
            self.shared_store.clone(),
        );
        self.auth.register(registry);
        registry.register(names::MASKED, "Successful responses from which the leak guard removed internals", self.masked.clone());
        registry.register(names::TUNNELS, "Number of open tunnels: WebSocket and other upgrades", self.tunnels.clone());
        registry.register(names::ACCEPTED, "Client connections accepted", self.accepted.clone());
        registry.register(
            names::PROXY_HEADER_FAILURES,
            "Connections of trusted proxies that began without a valid PROXY header",
            self.proxy_header_failures.clone(),
        );
        registry.register(names::CONNECTIONS, "Number of open client connections", self.connections.clone());
        self.tls.register(registry);
        self.reloads.register(registry);
        let build: Family<Labels, Gauge> = Family::default();
        build.get_or_create_owned(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        registry.register(names::BUILD, "Version of the gateway, as a label; the value is always 1", build);
    }

    /// Returns the metrics of a route; equal names share them.
    pub fn route(&self, name: &str, backend: Arc<str>) -> Arc<RouteMetrics> {
        let key = (name.to_owned(), Arc::clone(&backend));
        let mut routes = lock(&self.counted.routes);
        if let Some(known) = routes.get(&key) {
            return Arc::clone(known);
        }
        let beside = routes.range((key.0.clone(), Arc::from(""))..).next().filter(|((route, _), _)| route == name);
        let ends = beside.map_or_else(|| Arc::new(PerCore::new(self.cores)), |(_, route)| Arc::clone(&route.ends));
        let labels = vec![("route", name.to_owned())];
        let (masked, tunnels) = (self.masked.get_or_create_owned(&labels), self.tunnels.get_or_create_owned(&labels));
        let (failures, upstream_errors) = (OnceLock::new(), OnceLock::new());
        let made = Arc::new(RouteMetrics { name: name.into(), backend, ends, masked, tunnels, failures, upstream_errors });
        routes.insert(key, Arc::clone(&made));
        made
    }

    /// Returns the response counters of a backend; equal names share them.
    pub fn backend(&self, name: &str) -> ByClass {
        lock(&self.counted.backends).entry(name.to_owned()).or_insert_with(|| ByClass(PerCore::new(self.cores))).clone()
    }

    /// Counts the arrival of a request on a core.
    pub fn received(&self, core: usize) {
        self.counted.totals.of(core).received.add(1);
    }

    /// Counts the end of a request on a core.
    pub fn ended(&self, core: usize, bytes_in: u64, bytes_out: u64) {
        let totals = self.counted.totals.of(core);
        totals.ended.add(1);
        totals.bytes_in.add(bytes_in);
        totals.bytes_out.add(bytes_out);
    }

    /// Returns the number of requests that arrived, over all cores.
    pub fn all_received(&self) -> u64 {
        self.counted.totals.sum(|core| core.received.get())
    }

    /// Returns the counter of rejections of a limit.
    pub fn limit(&self, name: &str) -> Counter {
        self.rate_limited.get_or_create_owned(&vec![("limit", name.to_owned())])
    }

    /// Returns the counters of the shared store: decisions, failures, and requests that skipped it.
    pub fn shared_store(&self) -> [Counter; 3] {
        ["decided", "failed", "skipped"].map(|word| self.shared_store.get_or_create_owned(&vec![("outcome", word.to_owned())]))
    }

    /// Adds a collector of another module, which is called when the metrics are read.
    pub fn collect(&mut self, collector: Box<dyn Collector>) {
        self.registry.register_collector(collector);
    }

    /// Counts a failure. `received` is the status that the upstream sent. It becomes the label `upstream_status` if the row of the failure
    /// has no reason.
    pub fn failure(&self, route: &RouteMetrics, kind: Kind, received: Option<u16>) {
        let (row, code) = (kind.row(), label_of(kind));
        let resolve = |reason: &str, status: String| {
            let labels = vec![
                ("route", route.name.to_string()),
                ("code", code.to_owned()),
                ("reason", reason.to_owned()),
                ("upstream_status", status),
            ];
            self.failures.get_or_create_owned(&labels)
        };
        // The handles are allocated at the first failure, because most routes have few failures or none.
        if let Some(status) = received.filter(|_| row.reason.is_empty()) {
            let known = route.upstream_errors.get_or_init(|| (FIRST_ERROR..END_OF_ERRORS).map(|_| OnceLock::new()).collect());
            let resolved = || resolve("upstream_response", status.to_string());
            let handle = status.checked_sub(FIRST_ERROR).and_then(|at| known.get(usize::from(at)));
            match handle.map(|handle| handle.get_or_init(|| (kind, resolved()))) {
                Some((first, counter)) if *first == kind => counter.inc(),
                // A rule of the operator may give responses of one status several kinds.
                Some(_) | None => resolved().inc(),
            };
            return;
        }
        let known = route.failures.get_or_init(|| Kind::ALL.iter().map(|_| OnceLock::new()).collect());
        if let Some(handle) = known.get(kind as usize) {
            handle.get_or_init(|| resolve(row.reason, String::new())).inc();
        }
    }

    /// Counts an error that passed, by the status that the client would have got.
    pub fn dry_run(&self, route: &RouteMetrics, kind: Kind, status: u16) {
        let labels = vec![("route", route.name.to_string()), ("status", status.to_string()), ("code", label_of(kind).to_owned())];
        self.dry_run.get_or_create_owned(&labels).inc();
    }

    /// Encodes the metrics in the text format of Prometheus, for scrapers that do not accept OpenMetrics.
    pub fn encode_plain(&self) -> String {
        exposition::plain(&self.encode())
    }

    /// Encodes the metrics in the text format of OpenMetrics 1.0.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut out, &self.registry);
        let dropped = self.log_dropped.load(Ordering::Relaxed);
        let name = names::LOG_DROPPED;
        let line = format!(
            "# HELP {name} Log lines that were dropped because they could not be written.\n# TYPE {name} counter\n{name}_total {dropped}\n# EOF\n"
        );
        out.truncate(out.trim_end_matches("# EOF\n").len());
        out + &line
    }
}
