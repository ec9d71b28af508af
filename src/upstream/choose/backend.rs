//! A backend: the endpoints that serve now, and the choice among them.
//!
//! A name with several addresses is several endpoints; until it is first resolved it is one without an address. `background` keeps
//! the list up to date; a request reads it once per attempt.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::time::Instant;

use super::balance::{self, Balance};
use super::budget::Budget;
use super::endpoint::{Endpoint, EndpointPermit};
use super::latencies::Latencies;
use super::settings::BackendSettings;
use crate::failure::{Failure, Kind};
use crate::upstream::connect::target::Target;

/// What the `Host` header says upstream.
#[derive(Clone, Debug)]
pub enum HostHeader {
    /// The endpoint's own authority.
    Upstream,
    /// What the client sent.
    Client,
    /// A literal.
    Literal(HeaderValue),
}

/// A named group of endpoints.
#[derive(Debug)]
pub struct Backend {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// Never empty.
    pub targets: Vec<Arc<Target>>,
    /// `Host` upstream.
    pub host_header: HostHeader,
    /// How it treats its endpoints.
    pub settings: BackendSettings,
    /// Retries that its requests may still cause.
    pub budget: Budget,
    /// How long answers take, for hedging.
    pub latencies: Latencies,
    members: ArcSwap<Members>,
    turn: AtomicUsize,
}

/// The endpoints that serve now.
#[derive(Debug)]
struct Members {
    list: Vec<Member>,
    /// Turns by weight.
    schedule: Vec<u16>,
    /// All have the same weight.
    even: bool,
    mean_weight: f64,
}

/// An endpoint in its backend.
#[derive(Clone, Debug)]
struct Member {
    endpoint: Arc<Endpoint>,
    weight: u32,
    drains: bool,
    /// Stands for it when keys are hashed.
    seed: u64,
}

/// What a choice depends on.
#[derive(Clone, Copy, Debug)]
pub struct EndpointQuery<'a> {
    /// Now.
    pub now: Instant,
    /// Hash of the request's key, where the backend balances by one.
    pub key: Option<u64>,
    /// Endpoints that were tried already: others first.
    pub tried: &'a [Arc<Endpoint>],
    /// Only one that was not tried and is well.
    pub only_good: bool,
}

/// How choosy a choice is; the next only where the one before finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    /// Healthy, answering of late, not tried.
    Good,
    /// Perhaps one that did not answer of late: better than nothing.
    Ejected,
    /// Perhaps one that was tried.
    Again,
}

impl Backend {
    /// A backend with an endpoint per target; those of `before` that are the same are taken over with all their state.
    pub fn new(
        name: Arc<str>,
        targets: Vec<Arc<Target>>,
        host_header: HostHeader,
        settings: BackendSettings,
        before: Option<&Self>,
    ) -> Self {
        let backend = Self {
            name,
            targets,
            host_header,
            settings,
            budget: Budget::default(),
            latencies: Latencies::default(),
            members: ArcSwap::from_pointee(Members::new(Vec::new())),
            turn: AtomicUsize::new(0),
        };
        let old = before.map(Self::endpoints).unwrap_or_default();
        backend.renew(&backend.addresses_in(&old), &old);
        backend
    }

    /// The addresses of each target that are known, in order.
    pub fn addresses(&self) -> Vec<Vec<IpAddr>> {
        self.addresses_in(&self.endpoints())
    }

    fn addresses_in(&self, endpoints: &[Arc<Endpoint>]) -> Vec<Vec<IpAddr>> {
        let of = |target: &Target| {
            let same = endpoints.iter().filter(|endpoint| endpoint.target.url == target.url);
            same.filter_map(|endpoint| endpoint.address).collect()
        };
        self.targets.iter().map(|target| of(target)).collect()
    }

    /// New addresses of each target, as resolved; none for those that are not known yet. Endpoints that stay keep their state.
    pub fn set_addresses(&self, addresses: &[Vec<IpAddr>]) {
        self.renew(addresses, &self.endpoints());
    }

    fn renew(&self, addresses: &[Vec<IpAddr>], old: &[Arc<Endpoint>]) {
        let mut list = Vec::new();
        for (target, addresses) in self.targets.iter().zip(addresses) {
            let found: Vec<Option<IpAddr>> = match target.literal() {
                Some(literal) => vec![Some(literal)],
                None if addresses.is_empty() => vec![None],
                None => addresses.iter().copied().map(Some).collect(),
            };
            list.extend(found.into_iter().map(|address| {
                let kept = old.iter().find(|endpoint| endpoint.is(target, address, &self.settings));
                let endpoint = kept.cloned().unwrap_or_else(|| Arc::new(Endpoint::new(Arc::clone(target), address, &self.settings)));
                let seed = balance::stable_hash(endpoint.label.as_bytes());
                Member { endpoint, weight: target.weight, drains: target.drains, seed }
            }));
        }
        if self.settings.probe.is_none() {
            // Nobody would ever find it well again.
            list.iter()
                .filter(|member| !member.endpoint.health.is_healthy())
                .for_each(|member| member.endpoint.health.set(true, Instant::now()));
        }
        self.members.store(Arc::new(Members::new(list)));
    }

    /// The endpoints that serve now.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.members.load().list.iter().map(|member| Arc::clone(&member.endpoint)).collect()
    }

    /// How many endpoints take new requests.
    pub fn serving(&self) -> usize {
        self.members.load().list.iter().filter(|member| !member.drains).count()
    }

    /// What `Host` an endpoint gets, given what the client sent.
    pub fn host_for<'a>(&'a self, endpoint: &'a Endpoint, client: Option<&'a HeaderValue>) -> &'a HeaderValue {
        match (&self.host_header, client) {
            (HostHeader::Literal(value), _) => value,
            (HostHeader::Client, Some(client)) => client,
            (HostHeader::Client | HostHeader::Upstream, _) => &endpoint.target.authority,
        }
    }

    /// Chooses an endpoint and enters it.
    ///
    /// # Errors
    /// [`Kind::NoEndpoint`] when all are unhealthy, drained or behind an open breaker.
    pub fn choose(&self, query: EndpointQuery<'_>) -> Result<EndpointPermit, Failure> {
        let members = self.members.load();
        if let [only] = members.list.as_slice() {
            let usable = !only.drains && only.endpoint.health.is_healthy();
            let entered = usable.then(|| Endpoint::enter(&only.endpoint, query.now, false)).flatten();
            return entered.ok_or_else(|| members.unavailable(query.now));
        }
        let panics = members.panics(self.settings.panic_below);
        // What one core saw may be gone when it enters: then the choice is made again.
        for _ in 0..members.list.len() + 1 {
            let tiers = if query.only_good { &[Tier::Good][..] } else { &[Tier::Good, Tier::Ejected, Tier::Again] };
            let chosen = tiers.iter().copied().find_map(|tier| self.pick(&members, tier, panics, query));
            let Some(chosen) = chosen else { break };
            if let Some(permit) = Endpoint::enter(&members.list[chosen].endpoint, query.now, true) {
                return Ok(permit);
            }
        }
        Err(members.unavailable(query.now))
    }

    fn pick(&self, members: &Members, tier: Tier, panics: bool, query: EndpointQuery<'_>) -> Option<usize> {
        let (list, now) = (&members.list, query.now);
        let usable = |at: usize| list.get(at).is_some_and(|member| member.is_usable(tier, panics, query));
        let share = |at: usize| list[at].endpoint.health.share(self.settings.slow_start, now);
        // Where a cost cannot say that an endpoint is only coming back, chance does; a key's chance is always the same, so that it
        // moves back once.
        let chance = |at: usize| query.key.map_or_else(fastrand::f64, |key| balance::fraction(key, list[at].seed));
        let warm = |at: usize| share(at) >= 1.0 || chance(at) < share(at);
        match (&self.settings.balance, query.key) {
            (Balance::Hash(_), Some(key)) => {
                let pick =
                    |usable: &dyn Fn(usize) -> bool| balance::by_key(list.len(), key, usable, |at| list[at].seed, |at| list[at].weight);
                pick(&|at| usable(at) && warm(at)).or_else(|| pick(&usable))
            }
            (Balance::RoundRobin, _) => {
                let turn = || self.turn.fetch_add(1, Ordering::Relaxed);
                let pick = |usable: &dyn Fn(usize) -> bool| balance::in_turn(&members.schedule, usable, turn);
                pick(&|at| usable(at) && warm(at)).or_else(|| pick(&usable))
            }
            (Balance::LeastRequests | Balance::Hash(_), _) if members.even => {
                let cost = |at: usize| list[at].endpoint.load.cost(1.0, now) / share(at);
                balance::cheaper_of_two(list.len(), usable, cost, |n| fastrand::usize(..n))
            }
            (Balance::LeastRequests | Balance::Hash(_), _) => {
                let odds = |at: usize| {
                    let (weight, load) = (f64::from(list[at].weight) * share(at), &list[at].endpoint.load);
                    weight / load.cost(weight / members.mean_weight, now).powi(2)
                };
                balance::by_odds(list.len(), usable, odds, fastrand::f64())
            }
        }
    }
}

impl Member {
    fn is_usable(&self, tier: Tier, panics: bool, query: EndpointQuery<'_>) -> bool {
        let endpoint = &self.endpoint;
        !self.drains
            && (endpoint.health.is_healthy() || panics)
            && endpoint.breaker.as_ref().is_none_or(|breaker| breaker.admits(query.now))
            && (tier != Tier::Good || endpoint.ejector.admits(query.now))
            && (tier == Tier::Again || !query.tried.iter().any(|tried| Arc::ptr_eq(tried, endpoint)))
    }
}

impl Members {
    fn new(list: Vec<Member>) -> Self {
        let weights: Vec<u32> = list.iter().map(|member| member.weight).collect();
        let even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let mean_weight = weights.iter().copied().map(f64::from).sum::<f64>() / weights.len().max(1) as f64;
        Self { schedule: balance::schedule(&weights), list, even, mean_weight: mean_weight.max(1.0) }
    }

    /// Some are healthy, but so few that they would fall next.
    fn panics(&self, below: u32) -> bool {
        if below == 0 {
            return false;
        }
        let serving = || self.list.iter().filter(|member| !member.drains);
        let (all, healthy) = (serving().count(), serving().filter(|member| member.endpoint.health.is_healthy()).count());
        healthy > 0 && healthy * 100 < all * below as usize
    }

    /// Nobody may be asked; with the time until a breaker tries again.
    fn unavailable(&self, now: Instant) -> Failure {
        let breakers = self.list.iter().filter_map(|member| member.endpoint.breaker.as_ref());
        let wait = breakers.map(|breaker| breaker.wait(now)).filter(|wait| !wait.is_zero()).min();
        Failure {
            retry_after: wait,
            ..Failure::because(Kind::NoEndpoint, "every endpoint is unhealthy, drained or behind an open breaker")
        }
    }
}
