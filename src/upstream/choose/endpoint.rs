//! One address of a backend with its state: connections, load, health, breakers.
//!
//! There are two breakers. The *ejector* checks whether the endpoint responds at all, and only lowers its preference. The configured
//! *breaker* checks the responses, and rejects requests. Knows nothing of the choice among endpoints.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::counts::EndpointCounts;
use super::health::Health;
use super::load::Load;
use super::settings::BackendSettings;
use crate::breaker::{self, Breaker, BreakerPermit, Outcome, Rule, State};
use crate::failure::Kind;
use crate::upstream::connect::pool::Pool;
use crate::upstream::connect::target::Target;

/// Three consecutive requests without a response eject an endpoint, for a second at first.
const EJECTOR: breaker::Settings =
    breaker::Settings { rule: Rule::Consecutive(3), open_for: Duration::from_secs(1), open_at_most: Duration::from_secs(30), trials: 1 };
/// Minimum latency that is recorded for an error, so that an endpoint that fails fast does not attract requests.
const PENALTY: Duration = Duration::from_secs(1);

/// One address of a backend.
#[derive(Debug)]
pub struct Endpoint {
    /// The name of its backend, for the log.
    pub backend: Arc<str>,
    /// The endpoint as configured.
    pub target: Arc<Target>,
    /// The address; `None` until the name is resolved.
    pub address: Option<IpAddr>,
    /// The URL, with the address of a resolved name; for logs and metrics.
    pub label: Arc<str>,
    /// Its connections.
    pub pool: Arc<Pool>,
    /// Requests in flight and latency.
    pub load: Load,
    /// The result of the probes.
    pub health: Health,
    /// Opens when the endpoint does not respond.
    pub ejector: Breaker,
    /// Opens when the endpoint responds with errors or not at all.
    pub breaker: Option<Breaker>,
    /// What operators are told of it.
    pub counts: EndpointCounts,
    breaker_settings: Option<breaker::Settings>,
}

impl Endpoint {
    /// Creates an endpoint without connections or history.
    pub fn new(backend: Arc<str>, target: Arc<Target>, address: Option<IpAddr>, settings: &BackendSettings) -> Self {
        let now = Instant::now();
        let label = match address.filter(|_| target.literal().is_none()) {
            Some(address) => format!("{} ({address})", target.url).into(),
            None => Arc::clone(&target.url),
        };
        Self {
            backend,
            label,
            address,
            pool: Arc::new(Pool::new(settings.pool, settings.cores, target.may_speak_http2())),
            load: Load::new(now),
            health: Health::new(now),
            ejector: Breaker::new(EJECTOR, now),
            breaker: settings.breaker.map(|settings| Breaker::new(settings, now)),
            counts: EndpointCounts::default(),
            breaker_settings: settings.breaker,
            target,
        }
    }

    /// Returns true if this is the endpoint of `target` at `address` with the same settings, and can be kept on a reload. TLS is compared
    /// by the contents of its files, because a changed certificate needs new connections.
    pub fn is(&self, target: &Target, address: Option<IpAddr>, settings: &BackendSettings) -> bool {
        let tls = match (&self.target.tls, &target.tls) {
            (None, None) => true,
            (Some(own), Some(other)) => own.made_from == other.made_from && own.server_name == other.server_name,
            _ => false,
        };
        tls && self.target.url == target.url
            && self.target.protocol == target.protocol
            && self.target.send_proxy == target.send_proxy
            && self.address == address
            && self.pool.is_like(settings.pool, settings.cores)
            && self.breaker_settings == settings.breaker
    }

    /// Returns true if the endpoint gets requests: it is healthy and neither ejected nor behind an open circuit breaker.
    pub fn is_up(&self) -> bool {
        let closed = self.ejector.is_closed() && self.breaker.as_ref().is_none_or(Breaker::is_closed);
        self.health.is_healthy() && closed
    }

    /// Admits a request, or returns `None` if the breaker rejects it. `ejects` is false for the only endpoint of a backend.
    pub fn enter(this: &Arc<Self>, now: Instant, ejects: bool) -> Option<EndpointPermit> {
        let breaker = match &this.breaker {
            None => None,
            Some(breaker) => {
                let (permit, change) = breaker.enter(now);
                this.log(Which::Breaker, change, "its time is over");
                Some(permit?)
            }
        };
        let ejector = ejects.then(|| this.ejector.enter(now).0).flatten();
        this.load.enter();
        Some(EndpointPermit { endpoint: Arc::clone(this), breaker, ejector })
    }

    /// Counts and logs a change of a breaker's state, and what it was that changed it last.
    fn log(&self, which: Which, change: breaker::Change, cause: impl fmt::Display) {
        let (backend, endpoint) = (&*self.backend, &*self.label);
        let (which, opened) = match which {
            Which::Ejector => ("ejector", &self.counts.ejections),
            Which::Breaker => ("breaker", &self.counts.breaker_openings),
        };
        if change == Some(State::Open) {
            opened.fetch_add(1, Ordering::Relaxed);
        }
        match change {
            None => {}
            Some(State::Open) => tracing::warn!(backend, endpoint, which, %cause, "open: the endpoint gets no requests for a while"),
            Some(State::HalfOpen) => tracing::info!(backend, endpoint, which, %cause, "half open: the endpoint gets trial requests"),
            Some(State::Closed) => tracing::info!(backend, endpoint, which, %cause, "closed: the endpoint gets requests again"),
        }
    }

    /// Logs a change of a breaker's state. When the breaker closes, the endpoint's slow start begins and its latency is forgotten. Returns
    /// true if it opened.
    fn changed(&self, which: Which, change: breaker::Change, how: AttemptOutcome, now: Instant) -> bool {
        if change == Some(State::Closed) {
            self.health.returned(now);
            self.load.forget();
        }
        self.log(which, change, how);
        change == Some(State::Open)
    }
}

/// One of an endpoint's two breakers.
#[derive(Clone, Copy, Debug)]
enum Which {
    Ejector,
    Breaker,
}

/// The outcome of an attempt, as far as its endpoint is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// A response head arrived, with this status.
    Answered(u16),
    /// No valid response arrived.
    Failed(Kind),
}

/// The outcome as a cause in the log.
impl fmt::Display for AttemptOutcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(out, "the last answer was {status}"),
            Self::Failed(kind) => write!(out, "the last attempt: {}", kind.row().cause),
        }
    }
}

impl AttemptOutcome {
    /// Returns the outcome for the ejector: good if there was any response.
    const fn reached(self) -> Outcome {
        match self {
            Self::Answered(_) => Outcome::Good,
            // A client can set a deadline as short as it likes.
            Self::Failed(Kind::TotalTimeout | Kind::UploadTimeout) => Outcome::Void,
            Self::Failed(kind) if kind.row().blames_backend => Outcome::Bad,
            Self::Failed(_) => Outcome::Void,
        }
    }

    /// Returns the outcome for the breaker: good if there was a response other than a server error.
    fn worked(self) -> Outcome {
        match self {
            Self::Answered(status) => match Kind::of_upstream_status(status) {
                Some(kind) if kind.row().blames_backend => Outcome::Bad,
                Some(_) | None => Outcome::Good,
            },
            Self::Failed(Kind::TotalTimeout) => Outcome::Void,
            Self::Failed(kind) if kind.row().blames_backend => Outcome::Bad,
            Self::Failed(_) => Outcome::Void,
        }
    }
}

/// The permit of one request at an endpoint, held until its response was read. Dropping it without recording an outcome counts as void.
#[derive(Debug)]
pub struct EndpointPermit {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    breaker: Option<BreakerPermit>,
    /// `None` for the only endpoint of a backend, whose load is not recorded either.
    ejector: Option<BreakerPermit>,
}

impl EndpointPermit {
    /// Records the outcome of the attempt and how long it took. Returns true if that opened a breaker.
    pub fn record(&mut self, how: AttemptOutcome, took: Duration, now: Instant) -> bool {
        let (endpoint, mut opened) = (&self.endpoint, false);
        let worked = how.worked();
        if let Some(permit) = self.ejector.take() {
            match (how, worked) {
                (AttemptOutcome::Answered(_), Outcome::Bad) => endpoint.load.record(took.max(PENALTY), now),
                (AttemptOutcome::Answered(_), _) | (AttemptOutcome::Failed(Kind::ResponseTimeout), _) => endpoint.load.record(took, now),
                // An endpoint that does not respond is ejected; its latency must not count against it when it is tried again.
                (AttemptOutcome::Failed(_), _) => {}
            }
            opened |= endpoint.changed(Which::Ejector, endpoint.ejector.record(permit, how.reached(), now), how, now);
        }
        if let (Some(permit), Some(breaker)) = (self.breaker.take(), &endpoint.breaker) {
            opened |= endpoint.changed(Which::Breaker, breaker.record(permit, worked, now), how, now);
        }
        opened
    }

    /// Records that a response was cut off after its head.
    pub fn aborted(&self, kind: Kind) {
        if let Some(breaker) = self.endpoint.breaker.as_ref().filter(|_| kind.row().blames_backend && kind != Kind::TotalTimeout) {
            self.endpoint.log(Which::Breaker, breaker.record_late_failure(Instant::now()), AttemptOutcome::Failed(kind));
        }
    }
}

impl Drop for EndpointPermit {
    fn drop(&mut self) {
        self.endpoint.load.leave();
        if self.ejector.is_some() || self.breaker.is_some() {
            let now = Instant::now();
            if let Some(permit) = self.ejector.take() {
                self.endpoint.ejector.record(permit, Outcome::Void, now);
            }
            if let (Some(permit), Some(breaker)) = (self.breaker.take(), &self.endpoint.breaker) {
                breaker.record(permit, Outcome::Void, now);
            }
        }
    }
}
