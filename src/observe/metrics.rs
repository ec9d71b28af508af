//! All metrics of the process. Handles are resolved when the plan is compiled.
//!
//! Label values are names from the configuration, words of the catalog and registered statuses, so their number is bounded; `names` says
//! which. Must not use anything that a client sent as a label.
//!
//! Reading never makes a request wait. What requests count is in atomics, and the locks here guard lists of handles, which change when a
//! plan is compiled.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::auth_metrics::AuthCounters;
use super::codes;
use super::exposition::{self, Exposition, Format, Samples, label};
use super::failures::{self, Failures};
use super::histogram::{Durations, Summed};
use super::journal_metrics::JournalMetrics;
use super::login_metrics::LoginMetrics;
use super::named::Named;
use super::names;
use super::notify_metrics::NotifyMetrics;
use super::percore::{CoreCounter, PerCore};
use super::process::Process;
use super::reload_metrics::ReloadMetrics;
use super::route_metrics::Ends;
pub use super::route_metrics::{BackendMetrics, RouteMetrics};
use super::tls_metrics::TlsMetrics;
use super::trace::counters::TraceCounters;

/// The counters of all requests on one core.
#[derive(Debug, Default)]
struct Totals {
    received: CoreCounter,
    ended: CoreCounter,
    bytes_in: CoreCounter,
    bytes_out: CoreCounter,
}

/// The rejections of one limit.
#[derive(Debug)]
pub struct Rejections {
    label: Box<str>,
    count: AtomicU64,
}

impl Rejections {
    /// Counts one.
    pub fn inc(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    cores: usize,
    totals: PerCore<Totals>,
    /// By route and backend.
    routes: Named<(String, Arc<str>), RouteMetrics>,
    backends: Named<String, BackendMetrics>,
    auths: Named<String, AuthCounters>,
    limits: Named<String, Rejections>,
    shared_store: [Counter; 3],
    /// The metrics of the listener for TLS.
    pub tls: TlsMetrics,
    /// What became of the entries of the journal.
    pub journal: JournalMetrics,
    /// What became of notifications.
    pub notify: NotifyMetrics,
    /// Logins at the admin listener.
    pub logins: LoginMetrics,
    /// What became of the spans of traces.
    pub traces: TraceCounters,
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
    process: Process,
    /// The collectors of other modules.
    registry: Registry,
    /// The size of the last text, in bytes.
    last_size: AtomicUsize,
}

/// The value of the label `route` for requests that match no route.
pub const NO_ROUTE: &str = "-";
/// The name of the backend of routes that have none.
pub const NO_BACKEND: &str = "-";
/// The outcomes of checks in the shared store.
const STORE_OUTCOMES: [&str; 3] = ["decided", "failed", "skipped"];

impl Metrics {
    /// Creates the metrics of a process with `cores` worker threads, with all counters at zero.
    pub fn new(cores: usize) -> Self {
        Self {
            cores,
            totals: PerCore::new(cores),
            routes: Named::default(),
            backends: Named::default(),
            auths: Named::default(),
            limits: Named::default(),
            shared_store: Default::default(),
            tls: TlsMetrics::default(),
            journal: JournalMetrics::default(),
            notify: NotifyMetrics::default(),
            logins: LoginMetrics::default(),
            traces: TraceCounters::default(),
            reloads: ReloadMetrics::default(),
            accepted: Counter::default(),
            proxy_header_failures: Counter::default(),
            connections: Gauge::default(),
            log_dropped: Arc::default(),
            process: Process::default(),
            registry: Registry::default(),
            last_size: AtomicUsize::new(0),
        }
    }

    /// Returns the metrics of a route with one of its backends; equal names share them.
    pub fn route(&self, name: &str, backend: Arc<str>) -> Arc<RouteMetrics> {
        let key = (name.to_owned(), Arc::clone(&backend));
        self.routes.get_or(key, || RouteMetrics::new(name, backend, self.cores))
    }

    /// Returns the metrics of a backend; equal names share them.
    pub fn backend(&self, name: &str) -> Arc<BackendMetrics> {
        self.backends.get_or(name.to_owned(), || BackendMetrics::new(name, self.cores))
    }

    /// Returns the counters of a route with `auth`; equal names share them.
    pub fn auth(&self, route: &str) -> Arc<AuthCounters> {
        self.auths.get_or(route.to_owned(), || AuthCounters::new(route))
    }

    /// Returns the counter of rejections of a limit; equal names share it.
    pub fn limit(&self, name: &str) -> Arc<Rejections> {
        self.limits.get_or(name.to_owned(), || Rejections { label: label("limit", name).into(), count: AtomicU64::new(0) })
    }

    /// Returns the counters of the shared store: decisions, failures, and requests that skipped it.
    pub fn shared_store(&self) -> [Counter; 3] {
        self.shared_store.clone()
    }

    /// Adds a collector of another module, which is called when the metrics are read.
    pub fn collect(&mut self, collector: Box<dyn Collector>) {
        self.registry.register_collector(collector);
    }

    /// Counts the arrival of a request on a core.
    pub fn received(&self, core: usize) {
        self.totals.of(core).received.add(1);
    }

    /// Counts the end of a request on a core.
    pub fn ended(&self, core: usize, bytes_in: u64, bytes_out: u64) {
        let totals = self.totals.of(core);
        totals.ended.add(1);
        totals.bytes_in.add(bytes_in);
        totals.bytes_out.add(bytes_out);
    }

    /// Returns the number of requests that arrived, over all cores.
    pub fn all_received(&self) -> u64 {
        self.totals.sum(|core| core.received.get())
    }

    /// Returns the metrics as a text.
    pub fn encode(&self, format: Format) -> String {
        let mut out = String::with_capacity(self.last_size.load(Ordering::Relaxed) + 4096);
        // Writing to a string cannot fail.
        let _ = self.write(&mut out, format);
        self.last_size.store(out.len(), Ordering::Relaxed);
        out
    }

    /// Writes the metrics.
    fn write<W: Write>(&self, writer: &mut W, format: Format) -> fmt::Result {
        let mut out = Exposition::new(writer, format);
        self.requests(&mut out)?;
        self.gateway(&mut out)?;
        self.reloads.encode(&mut out)?;
        self.tls.encode(&mut out)?;
        self.traces.encode(&mut out)?;
        self.journal.encode(&mut out)?;
        self.notify.encode(&mut out)?;
        self.logins.encode(&mut out)?;
        self.process.encode(&mut out)?;
        match format {
            Format::OpenMetrics => text::encode(writer, &self.registry),
            Format::Plain => {
                let mut collected = String::new();
                text::encode(&mut collected, &self.registry)?;
                writer.write_str(&exposition::plain(&collected))
            }
        }
    }

    /// Writes the metrics of requests and of what they met.
    fn requests<W: Write>(&self, out: &mut Exposition<'_, W>) -> fmt::Result {
        let total = |one: fn(&Totals) -> &CoreCounter| self.totals.sum(|core| one(core).get());
        // Those that ended first: a request that arrives in between counts as in progress.
        let ended = total(|core| &core.ended);
        let received = total(|core| &core.received);
        out.single(&names::RECEIVED, received)?;
        out.single(&names::IN_PROGRESS, received.saturating_sub(ended))?;
        out.single(&names::BYTES_IN, total(|core| &core.bytes_in))?;
        out.single(&names::BYTES_OUT, total(|core| &core.bytes_out))?;
        let routes = self.routes.all();
        let codes: Vec<String> = codes::labels().collect();
        ended_requests(&mut out.metric(&names::REQUESTS)?, &routes, &codes)?;
        let dry_runs = routes.iter().map(|route| (&*route.labels, route.dry_run.get()));
        failed(&mut out.metric(&names::DRY_RUN)?, dry_runs, &codes)?;
        histograms(&mut out.metric(&names::DURATION)?, &routes, |ends| &ends.duration, true)?;
        histograms(&mut out.metric(&names::UPSTREAM_DURATION)?, &routes, |ends| &ends.upstream, false)?;
        histograms(&mut out.metric(&names::OVERHEAD)?, &routes, |ends| &ends.overhead, false)?;
        let mut masked = out.metric(&names::MASKED)?;
        routes.iter().try_for_each(|route| masked.count(&[&route.labels], route.masked.load(Ordering::Relaxed)))?;
        let mut tunnels = out.metric(&names::TUNNELS)?;
        routes.iter().try_for_each(|route| tunnels.value(&[&route.labels], route.tunnels.get()))?;
        let mut auth = out.metric(&names::AUTH)?;
        for counters in self.auths.all() {
            for (result, count) in counters.each() {
                auth.count(&[&counters.label, ",result=\"", result, "\""], count)?;
            }
        }
        let mut upstream = out.metric(&names::UPSTREAM)?;
        for backend in self.backends.all() {
            let count = |slot: usize| backend.responses.get().map_or(0, |cores| cores.sum(|core| core.0[slot].get()));
            for (slot, code) in codes.iter().enumerate().filter(|(slot, _)| *slot == codes::OK || count(*slot) > 0) {
                upstream.count(&[&backend.label, ",code=\"", code, "\""], count(slot))?;
            }
        }
        Ok(())
    }

    /// Writes the metrics of the gateway as a whole.
    fn gateway<W: Write>(&self, out: &mut Exposition<'_, W>) -> fmt::Result {
        let mut limits = out.metric(&names::RATE_LIMITED)?;
        self.limits.all().iter().try_for_each(|limit| limits.count(&[&limit.label], limit.count.load(Ordering::Relaxed)))?;
        let mut store = out.metric(&names::SHARED_STORE)?;
        for (outcome, counter) in STORE_OUTCOMES.iter().zip(&self.shared_store) {
            store.count(&["outcome=\"", outcome, "\""], counter.get())?;
        }
        out.single(&names::ACCEPTED, self.accepted.get())?;
        out.single(&names::PROXY_HEADER_FAILURES, self.proxy_header_failures.get())?;
        out.single(&names::CONNECTIONS, self.connections.get())?;
        out.single(&names::LOG_DROPPED, self.log_dropped.load(Ordering::Relaxed))?;
        out.single(&names::WORKERS, self.cores)?;
        let (version, revision) = (label("version", env!("CARGO_PKG_VERSION")), label("revision", env!("LOCKGATE_REVISION")));
        out.metric(&names::BUILD)?.count(&[&version, ",", &revision], 1)
    }
}

/// Writes the requests of routes, by status and reason. The series of 200 is there from the start; the others when they have a request.
fn ended_requests<W: Write>(samples: &mut Samples<'_, W>, routes: &[Arc<RouteMetrics>], codes: &[String]) -> fmt::Result {
    for route in routes {
        let count = |slot: usize| route.ends.get().map_or(0, |cores: &PerCore<Ends>| cores.sum(|core| core.passed[slot].get()));
        for slot in (0..codes::PASSED_SLOTS).filter(|slot| *slot == codes::OK || count(*slot) > 0) {
            samples.count(&[&route.labels, ",code=\"", &codes[slot], "\",reason=\"\""], count(slot))?;
        }
    }
    failed(samples, routes.iter().map(|route| (&*route.labels, route.failures.get())), codes)
}

/// Writes counters of failures.
fn failed<'m, W: Write>(
    samples: &mut Samples<'_, W>,
    failures: impl Iterator<Item = (&'m str, Option<&'m Failures>)>,
    codes: &[String],
) -> fmt::Result {
    let groups = failures::rows_by_reason();
    for (labels, failures) in failures.filter_map(|(labels, failures)| Some((labels, failures?))) {
        for (reason, rows) in &groups {
            failures.each(rows, |slot, count| samples.count(&[labels, ",code=\"", &codes[slot], "\",reason=\"", reason, "\""], count))?;
        }
    }
    Ok(())
}

/// Writes a histogram of the routes that had requests.
fn histograms<W: Write>(
    samples: &mut Samples<'_, W>,
    routes: &[Arc<RouteMetrics>],
    of: fn(&Ends) -> &Durations,
    has_exemplars: bool,
) -> fmt::Result {
    for route in routes {
        let Some(ends) = route.ends.get() else { continue };
        let summed = Summed::of(ends, of);
        if summed.buckets.iter().any(|count| *count > 0) {
            let exemplars = route.exemplars.get().filter(|_| has_exemplars);
            samples.histogram(&route.labels, &summed, exemplars.map(|exemplars| &**exemplars))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::histogram::BUCKETS;
    use super::super::route_metrics::Ended;
    use super::*;
    use crate::failure::Kind;
    use crate::failure::classify::HandshakeEnd;

    /// A text whose writing stops at every line, until a request has counted all that requests count.
    struct Stopping {
        text: String,
        begin: SyncSender<()>,
        done: Receiver<()>,
    }

    impl Write for Stopping {
        fn write_str(&mut self, piece: &str) -> fmt::Result {
            self.text.push_str(piece);
            if piece.contains('\n') {
                self.begin.send(()).unwrap();
                self.done.recv_timeout(Duration::from_secs(20)).expect("a request waits for a scrape");
            }
            Ok(())
        }
    }

    /// Everything that a request counts, each time with a kind, a status and an exemplar that the route did not have yet.
    fn count_all(metrics: &Metrics, route: &RouteMetrics, backend: &BackendMetrics, round: usize) {
        let kind = Kind::ALL[round % Kind::ALL.len()];
        let status = 200 + (round % 400) as u16;
        metrics.received(0);
        backend.answered(0, status);
        drop(route.tunnel());
        route.masked();
        route.dry_run(kind, status);
        let took = Duration::from_micros(100 << (round % 20));
        for kind in [None, Some(kind)] {
            route.ended(0, &Ended { status, kind, took, parts: Some((took, took)), trace: Some([b'a'; 32]) });
        }
        // Of each bucket, as if every round were a second of its own.
        let (exemplars, now) = (route.exemplars.get_or_init(Box::default), UNIX_EPOCH + Duration::from_secs(round as u64));
        (0..BUCKETS).for_each(|bucket| exemplars.take(bucket, [b'b'; 32], took, now));
        metrics.ended(0, 1, 1);
        metrics.tls.handshake(HandshakeEnd::ALL[round % HandshakeEnd::ALL.len()]);
        metrics.accepted.inc();
        metrics.connections.inc();
    }

    #[test]
    fn a_request_never_waits_for_a_scrape() {
        let metrics = Metrics::new(1);
        let (route, backend) = (metrics.route("a", "o".into()), metrics.backend("o"));
        let (limit, auth) = (metrics.limit("l"), metrics.auth("a"));
        count_all(&metrics, &route, &backend, 0);
        let (begin, begun) = sync_channel(0);
        let (finish, done) = sync_channel(0);
        let rounds = std::thread::scope(|scope| {
            let requests = scope.spawn(|| {
                let mut round = 0;
                for () in begun {
                    round += 1;
                    count_all(&metrics, &route, &backend, round);
                    limit.inc();
                    auth.refused.inc();
                    metrics.shared_store()[1].inc();
                    if finish.send(()).is_err() {
                        break;
                    }
                }
                round
            });
            let mut out = Stopping { text: String::new(), begin, done };
            metrics.write(&mut out, Format::OpenMetrics).unwrap();
            assert!(out.text.ends_with("# EOF\n") && out.text.contains("trace_id=\"bbbb"), "{}", out.text);
            drop(out);
            requests.join().unwrap()
        });
        assert!(rounds > 100, "{rounds} lines");
    }

    #[test]
    fn a_route_that_no_plan_has_any_more_is_not_written() {
        let metrics = Metrics::new(1);
        let (kept, removed) = (metrics.route("kept", "o".into()), metrics.route("former", "o".into()));
        assert!(metrics.encode(Format::Plain).contains("route=\"former\""));
        drop(removed);
        let text = metrics.encode(Format::Plain);
        assert!(text.contains("route=\"kept\"") && !text.contains("former"), "{text}");
        assert!(Arc::ptr_eq(&kept, &metrics.route("kept", "o".into())) && !Arc::ptr_eq(&kept, &metrics.route("kept", "p".into())));
    }

    #[test]
    fn names_of_the_configuration_are_escaped() {
        let metrics = Metrics::new(1);
        let _route = metrics.route("a\"\\\n", "o".into());
        assert!(metrics.encode(Format::Plain).contains("route=\"a\\\"\\\\\\n\",backend=\"o\""));
    }
}
