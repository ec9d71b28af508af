//! One address of a backend with everything that is known of it: connections, load, health, breakers.
//!
//! Two breakers of one kind: the *ejector* looks at whether it answers at all and only makes others preferred; the
//! configured *breaker* looks at what it answers and keeps requests away.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::health::Health;
use super::load::Load;
use super::settings::BackendSettings;
use crate::breaker::{self, Breaker, BreakerPermit, Outcome, Rule, State};
use crate::failure::Kind;
use crate::upstream::connect::pool::Pool;
use crate::upstream::connect::target::Target;

/// Three requests in a row without an answer eject an endpoint, for a second at first.
const EJECTOR: breaker::Settings =
    breaker::Settings { rule: Rule::Consecutive(3), open_for: Duration::from_secs(1), open_at_most: Duration::from_secs(30), trials: 1 };
/// What an error counts as latency at least: who fails at once is not fast.
const PENALTY: Duration = Duration::from_secs(1);

/// One address of a backend.
#[derive(Debug)]
pub struct Endpoint {
    /// What the configuration says of it.
    pub target: Arc<Target>,
    /// Where it is; `None` until its name is resolved.
    pub address: Option<IpAddr>,
    /// For logs and metrics: the URL, and the address of a resolved name.
    pub label: Arc<str>,
    /// Its connections.
    pub pool: Arc<Pool>,
    /// How busy it is.
    pub load: Load,
    /// What probes say.
    pub health: Health,
    /// Does it answer?
    pub ejector: Breaker,
    /// Does it answer well?
    pub breaker: Option<Breaker>,
    breaker_settings: Option<breaker::Settings>,
}

impl Endpoint {
    /// An endpoint without connections and without a past.
    pub fn new(target: Arc<Target>, address: Option<IpAddr>, settings: &BackendSettings) -> Self {
        let now = Instant::now();
        let label = match address.filter(|_| target.literal().is_none()) {
            Some(address) => format!("{} ({address})", target.url).into(),
            None => Arc::clone(&target.url),
        };
        Self {
            label,
            address,
            pool: Arc::new(Pool::new(settings.pool, settings.cores)),
            load: Load::new(now),
            health: Health::new(now),
            ejector: Breaker::new(EJECTOR, now),
            breaker: settings.breaker.map(|settings| Breaker::new(settings, now)),
            breaker_settings: settings.breaker,
            target,
        }
    }

    /// Is it this target at this address, with the same bounds? TLS is compared by the files it was made from: a changed
    /// certificate needs new connections.
    pub fn is(&self, target: &Target, address: Option<IpAddr>, settings: &BackendSettings) -> bool {
        let tls = match (&self.target.tls, &target.tls) {
            (None, None) => true,
            (Some(own), Some(other)) => own.made_from == other.made_from && own.server_name == other.server_name,
            _ => false,
        };
        tls && self.target.url == target.url
            && self.address == address
            && self.pool.is_like(settings.pool, settings.cores)
            && self.breaker_settings == settings.breaker
    }

    /// Enters for one request; `None` when a breaker lets nobody pass. `ejects`: there are others beside it.
    pub fn enter(this: &Arc<Self>, now: Instant, ejects: bool) -> Option<EndpointPermit> {
        let breaker = match &this.breaker {
            None => None,
            Some(breaker) => {
                let (ticket, change) = breaker.enter(now);
                this.log("breaker", change);
                Some(ticket?)
            }
        };
        let ejector = ejects.then(|| this.ejector.enter(now).0).flatten();
        this.load.enter();
        Some(EndpointPermit { endpoint: Arc::clone(this), breaker, ejector })
    }

    /// Changes of state are events for operators.
    fn log(&self, which: &'static str, change: breaker::Change) {
        match change {
            None => {}
            Some(State::Open) => tracing::warn!(endpoint = %self.label, which, "open: no requests for a while"),
            Some(State::HalfOpen) => tracing::info!(endpoint = %self.label, which, "half open: trying"),
            Some(State::Closed) => tracing::info!(endpoint = %self.label, which, "closed: requests again"),
        }
    }

    /// After a change to closed it is new again: its share grows slowly.
    fn changed(&self, which: &'static str, change: breaker::Change, now: Instant) {
        if change == Some(State::Closed) {
            self.health.returned(now);
            self.load.forget();
        }
        self.log(which, change);
    }
}

/// How an attempt ended, as far as its endpoint is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// A response head came, with this status.
    Answered(u16),
    /// No valid answer came.
    Failed(Kind),
}

impl AttemptOutcome {
    /// Did it answer at all?
    const fn reached(self) -> Outcome {
        match self {
            Self::Answered(_) => Outcome::Good,
            // A deadline may be as short as a client likes.
            Self::Failed(Kind::TotalTimeout | Kind::UploadTimeout) => Outcome::Void,
            Self::Failed(kind) if kind.row().blames_backend => Outcome::Bad,
            Self::Failed(_) => Outcome::Void,
        }
    }

    /// Did it answer well? Client errors are no fault of its.
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

/// One request at an endpoint, from the choice until its answer was read. Dropped without an end it has no weight.
#[derive(Debug)]
pub struct EndpointPermit {
    /// Where.
    pub endpoint: Arc<Endpoint>,
    breaker: Option<BreakerPermit>,
    /// Present where there are others to choose: else nobody asks how busy this one is.
    ejector: Option<BreakerPermit>,
}

impl EndpointPermit {
    /// The attempt ended after `took`.
    pub fn record(&mut self, how: AttemptOutcome, took: Duration, now: Instant) {
        let endpoint = &self.endpoint;
        let worked = how.worked();
        if let Some(ticket) = self.ejector.take() {
            match (how, worked) {
                (AttemptOutcome::Answered(_), Outcome::Bad) => endpoint.load.record(took.max(PENALTY), now),
                (AttemptOutcome::Answered(_), _) | (AttemptOutcome::Failed(Kind::ResponseTimeout), _) => endpoint.load.record(took, now),
                // Who does not answer is ejected, and must be as good as any when it is tried again.
                (AttemptOutcome::Failed(_), _) => {}
            }
            endpoint.changed("ejector", endpoint.ejector.record(ticket, how.reached(), now), now);
        }
        if let (Some(ticket), Some(breaker)) = (self.breaker.take(), &endpoint.breaker) {
            endpoint.changed("breaker", breaker.record(ticket, worked, now), now);
        }
    }

    /// What had begun well broke off.
    pub fn aborted(&self, kind: Kind) {
        if let Some(breaker) = self.endpoint.breaker.as_ref().filter(|_| kind.row().blames_backend && kind != Kind::TotalTimeout) {
            self.endpoint.log("breaker", breaker.record_late_failure(Instant::now()));
        }
    }
}

impl Drop for EndpointPermit {
    fn drop(&mut self) {
        self.endpoint.load.leave();
        if self.ejector.is_some() || self.breaker.is_some() {
            let now = Instant::now();
            if let Some(ticket) = self.ejector.take() {
                self.endpoint.ejector.record(ticket, Outcome::Void, now);
            }
            if let (Some(ticket), Some(breaker)) = (self.breaker.take(), &self.endpoint.breaker) {
                breaker.record(ticket, Outcome::Void, now);
            }
        }
    }
}
