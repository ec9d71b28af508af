//! Backends: what the configuration names, the endpoints that serve now, and the choice among them.
//!
//! A name with several addresses is several endpoints; until it is first resolved it is one without an address. `watch` keeps
//! the list; a request reads it once per try.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use http::uri::Authority;
use tokio::time::Instant;

use super::balance::{self, Balance};
use super::endpoint::{Endpoint, Engaged};
use super::health::Probe;
use super::hedge::Latencies;
use super::pool::PoolSettings;
use super::retry::Budget;
use super::tls::Tls;
use crate::breaker;
use crate::failure::{Failure, Kind};

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

/// One endpoint as configured.
#[derive(Debug)]
pub struct Target {
    /// As configured, without credentials; for logs.
    pub url: Arc<str>,
    /// Host name or address literal, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// For the `Host` header.
    pub authority: HeaderValue,
    /// Present for `https`.
    pub tls: Option<Tls>,
    /// Its share of the requests, against the others'. At least 1.
    pub weight: u32,
    /// Gets no new requests.
    pub drains: bool,
}

impl Target {
    /// A target of this URL.
    pub fn new(scheme: &str, authority: &Authority, tls: Option<Tls>, weight: u32, drains: bool) -> Self {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let default = if tls.is_some() { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default);
        // An authority without user information is always a valid header value.
        let header = HeaderValue::from_str(authority.as_str()).unwrap_or(HeaderValue::from_static("upstream"));
        Self { url: format!("{scheme}://{authority}").into(), host, port, authority: header, tls, weight: weight.max(1), drains }
    }

    /// The address, where it is written as one.
    pub fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// How a backend treats its endpoints.
#[derive(Clone, Debug)]
pub struct Care {
    /// How it chooses.
    pub balance: Balance,
    /// Bounds of each endpoint's connections.
    pub pool: PoolSettings,
    /// Active probes.
    pub probe: Option<Probe>,
    /// Each endpoint's breaker.
    pub breaker: Option<breaker::Settings>,
    /// How long an endpoint that comes back takes until it has its whole share.
    pub slow_start: Duration,
    /// Below this share of healthy endpoints all are used, in percent; 0 for never.
    pub panic_below: u32,
    /// From one resolution of a name to the next.
    pub dns_refresh: Duration,
    /// Worker threads.
    pub cores: usize,
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
    pub care: Care,
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
pub struct Wish<'a> {
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
    pub fn new(name: Arc<str>, targets: Vec<Arc<Target>>, host_header: HostHeader, care: Care, before: Option<&Self>) -> Self {
        let backend = Self {
            name,
            targets,
            host_header,
            care,
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
    pub fn resolved(&self, addresses: &[Vec<IpAddr>]) {
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
                let kept = old.iter().find(|endpoint| endpoint.is(target, address, &self.care));
                let endpoint = kept.cloned().unwrap_or_else(|| Arc::new(Endpoint::new(Arc::clone(target), address, &self.care)));
                let seed = balance::stable_hash(endpoint.label.as_bytes());
                Member { endpoint, weight: target.weight, drains: target.drains, seed }
            }));
        }
        if self.care.probe.is_none() {
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
    pub fn choose(&self, wish: Wish<'_>) -> Result<Engaged, Failure> {
        let members = self.members.load();
        if let [only] = members.list.as_slice() {
            let usable = !only.drains && only.endpoint.health.is_healthy();
            let entered = usable.then(|| Endpoint::enter(&only.endpoint, wish.now, false)).flatten();
            return entered.ok_or_else(|| members.nobody(wish.now));
        }
        let panics = members.panics(self.care.panic_below);
        // What one core saw may be gone when it enters: then the choice is made again.
        for _ in 0..members.list.len() + 1 {
            let tiers = if wish.only_good { &[Tier::Good][..] } else { &[Tier::Good, Tier::Ejected, Tier::Again] };
            let chosen = tiers.iter().copied().find_map(|tier| self.pick(&members, tier, panics, wish));
            let Some(chosen) = chosen else { break };
            if let Some(engaged) = Endpoint::enter(&members.list[chosen].endpoint, wish.now, true) {
                return Ok(engaged);
            }
        }
        Err(members.nobody(wish.now))
    }

    fn pick(&self, members: &Members, tier: Tier, panics: bool, wish: Wish<'_>) -> Option<usize> {
        let (list, now) = (&members.list, wish.now);
        let usable = |at: usize| list.get(at).is_some_and(|member| member.is_usable(tier, panics, wish));
        let share = |at: usize| list[at].endpoint.health.share(self.care.slow_start, now);
        // Where a cost cannot say that an endpoint is only coming back, chance does; a key's chance is always the same, so that it
        // moves back once.
        let chance = |at: usize| wish.key.map_or_else(fastrand::f64, |key| balance::fraction(key, list[at].seed));
        let warm = |at: usize| share(at) >= 1.0 || chance(at) < share(at);
        match (&self.care.balance, wish.key) {
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
    fn is_usable(&self, tier: Tier, panics: bool, wish: Wish<'_>) -> bool {
        let endpoint = &self.endpoint;
        !self.drains
            && (endpoint.health.is_healthy() || panics)
            && endpoint.breaker.as_ref().is_none_or(|breaker| breaker.admits(wish.now))
            && (tier != Tier::Good || endpoint.ejector.admits(wish.now))
            && (tier == Tier::Again || !wish.tried.iter().any(|tried| Arc::ptr_eq(tried, endpoint)))
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
    fn nobody(&self, now: Instant) -> Failure {
        let breakers = self.list.iter().filter_map(|member| member.endpoint.breaker.as_ref());
        let wait = breakers.map(|breaker| breaker.wait(now)).filter(|wait| !wait.is_zero()).min();
        Failure {
            retry_after: wait,
            ..Failure::because(Kind::NoEndpoint, "every endpoint is unhealthy, drained or behind an open breaker")
        }
    }
}
