//! The metrics of one route with one backend, and those of one backend.
//!
//! What every request counts is counted per core, and allocated when the first request comes: a configuration may have thousands of routes
//! that nobody uses. A request takes no lock that a reader of the metrics could hold. Must not know how the text is written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use prometheus_client::metrics::gauge::Gauge;

use super::codes;
use super::exemplars::Exemplars;
use super::exposition::label;
use super::failures::Failures;
use super::histogram::Durations;
use super::open_tunnel::OpenTunnel;
use super::percore::{CoreCounter, PerCore};
use crate::context::TraceId;
use crate::failure::Kind;

/// The first bucket whose requests are exemplars though they succeeded: those that took more than half a second.
const SLOW: usize = 13;

/// How one request ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    /// The status that was sent.
    pub(super) status: u16,
    /// The kind of the failure.
    pub(super) kind: Option<Kind>,
    /// How long the request took.
    pub(super) took: Duration,
    /// How much of that passed before it was sent to the upstream, and between that and the response head, if there was one.
    pub(super) parts: Option<(Duration, Duration)>,
    /// Its trace.
    pub(super) trace: Option<TraceId>,
}

/// What one core counts.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Successes, by the slot of their status.
    pub(super) passed: [CoreCounter; codes::PASSED_SLOTS],
    pub(super) duration: Durations,
    pub(super) upstream: Durations,
    pub(super) overhead: Durations,
}

/// The metrics of one route with one of its backends.
#[derive(Debug)]
pub struct RouteMetrics {
    /// The name of the route.
    pub name: Arc<str>,
    /// The name of the backend, for the log.
    pub backend: Arc<str>,
    /// Both names as labels.
    pub(super) labels: Box<str>,
    cores: usize,
    pub(super) ends: OnceLock<PerCore<Ends>>,
    pub(super) failures: OnceLock<Failures>,
    pub(super) dry_run: OnceLock<Failures>,
    pub(super) exemplars: OnceLock<Box<Exemplars>>,
    pub(super) masked: AtomicU64,
    pub(super) tunnels: Gauge,
}

impl RouteMetrics {
    /// Creates the metrics of a route, for a process with `cores` worker threads.
    pub(super) fn new(name: &str, backend: Arc<str>, cores: usize) -> Self {
        Self {
            labels: format!("{},{}", label("route", name), label("backend", &backend)).into(),
            name: name.into(),
            backend,
            cores,
            ends: OnceLock::new(),
            failures: OnceLock::new(),
            dry_run: OnceLock::new(),
            exemplars: OnceLock::new(),
            masked: AtomicU64::new(0),
            tunnels: Gauge::default(),
        }
    }

    /// Counts a successful response from which internals were removed.
    pub fn masked(&self) {
        self.masked.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a tunnel as open until the result is dropped.
    pub fn tunnel(&self) -> OpenTunnel {
        OpenTunnel::new(self.tunnels.clone())
    }

    /// Counts an error that passed, by the status that the client would have got.
    pub(super) fn dry_run(&self, kind: Kind, status: u16) {
        self.dry_run.get_or_init(Failures::default).count(Some(kind), status);
    }

    /// Counts the end of a request on a core.
    pub(super) fn ended(&self, core: usize, end: &Ended) {
        let ends = self.ends.get_or_init(|| PerCore::new(self.cores)).of(core);
        let passed = ends.passed.get(codes::slot(end.status)).filter(|_| end.kind.is_none());
        match passed {
            Some(passed) => passed.add(1),
            None => self.failures.get_or_init(Failures::default).count(end.kind, end.status),
        }
        let bucket = ends.duration.observe(end.took);
        if let Some((before, upstream)) = end.parts {
            ends.overhead.observe(before);
            ends.upstream.observe(upstream);
        }
        if (passed.is_none() || bucket >= SLOW)
            && let Some(trace) = end.trace
        {
            self.exemplars.get_or_init(Box::default).take(bucket, trace, end.took, SystemTime::now());
        }
    }
}

/// The metrics of one backend.
#[derive(Debug)]
pub struct BackendMetrics {
    /// Its name as a label.
    pub(super) label: Box<str>,
    cores: usize,
    pub(super) responses: OnceLock<PerCore<Responses>>,
}

/// The responses of a backend that one core has received, by the slot of their status.
#[derive(Debug)]
pub(super) struct Responses(pub(super) [CoreCounter; codes::SLOTS]);

impl Default for Responses {
    fn default() -> Self {
        Self(std::array::from_fn(|_| CoreCounter::default()))
    }
}

impl BackendMetrics {
    /// Creates the metrics of a backend, for a process with `cores` worker threads.
    pub(super) fn new(name: &str, cores: usize) -> Self {
        Self { label: label("backend", name).into(), cores, responses: OnceLock::new() }
    }

    /// Counts a response on a core, by its status.
    pub fn answered(&self, core: usize, status: u16) {
        self.responses.get_or_init(|| PerCore::new(self.cores)).of(core).0[codes::slot(status)].add(1);
    }
}
