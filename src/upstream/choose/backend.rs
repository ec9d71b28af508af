//! A backend: its current endpoints, and the choice among them.
//!
//! A name with several addresses has several endpoints. Until it is resolved, it has one endpoint without an address. `background` updates
//! the list, and a request reads it once per attempt. Knows nothing of connections or responses.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::time::Instant;

use super::balance::{self, Balance, WeightedLoad};
use super::budget::Budget;
use super::counts::BackendCounts;
use super::endpoint::{Endpoint, EndpointPermit};
use super::latencies::Latencies;
use super::settings::BackendSettings;
use crate::failure::{Failure, Kind};
use crate::upstream::connect::multiplex::Multiplex;
use crate::upstream::connect::target::{Protocol, Target};

/// The `Host` header of upstream requests.
#[derive(Clone, Debug)]
pub enum HostHeader {
    /// The client's `Host` for http endpoints; the endpoint's authority for https endpoints, whose certificate names it.
    ByScheme,
    /// The endpoint's authority.
    Upstream,
    /// The client's `Host`.
    Client,
    /// A fixed value.
    Literal(HeaderValue),
}

/// A named group of endpoints.
#[derive(Debug)]
pub struct Backend {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// The endpoints as configured, never empty.
    pub targets: Vec<Arc<Target>>,
    /// The `Host` of upstream requests.
    pub host_header: HostHeader,
    /// The settings that apply to all endpoints.
    pub settings: BackendSettings,
    /// The retry budget.
    pub budget: Arc<Budget>,
    /// What operators are told of its retries.
    pub counts: Arc<BackendCounts>,
    /// The latencies of responses, for hedging.
    pub latencies: Arc<Latencies>,
    members: ArcSwap<Members>,
    next_turn: AtomicUsize,
}

/// The current endpoints.
#[derive(Debug)]
struct Members {
    list: Vec<Member>,
    /// Round-robin order by weight, as indices.
    schedule: Vec<u16>,
    /// All endpoints have the same weight.
    equal_weights: bool,
}

/// An endpoint and its configured role.
#[derive(Clone, Debug)]
struct Member {
    endpoint: Arc<Endpoint>,
    weight: u32,
    drains: bool,
    /// Identifies the endpoint in rendezvous hashing.
    seed: u64,
}

/// What a choice depends on.
#[derive(Clone, Copy, Debug)]
pub struct EndpointQuery<'a> {
    /// The current time.
    pub now: Instant,
    /// Hash of the request's key, if the backend balances by one.
    pub key: Option<u64>,
    /// Endpoints that were tried already; others are preferred.
    pub tried: &'a [Arc<Endpoint>],
    /// Accept only a healthy endpoint that was not tried.
    pub only_good: bool,
}

/// How strict a choice is. A tier is used only if the one before finds no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    /// Healthy, not ejected, not tried.
    Good,
    /// Also ejected endpoints.
    Ejected,
    /// Also endpoints that were tried.
    Again,
}

impl Backend {
    /// Creates a backend. Endpoints of `before` that are unchanged are kept with all their state, and so are its budget of retries and its
    /// latencies.
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
            budget: before.map(|before| Arc::clone(&before.budget)).unwrap_or_default(),
            counts: before.map(|before| Arc::clone(&before.counts)).unwrap_or_default(),
            latencies: before.map(|before| Arc::clone(&before.latencies)).unwrap_or_default(),
            members: ArcSwap::from_pointee(Members::new(Vec::new())),
            next_turn: AtomicUsize::new(0),
        };
        let old = before.map(Self::endpoints).unwrap_or_default();
        backend.replace_endpoints(&backend.addresses_in(&old), &old);
        backend
    }

    /// Returns true if all endpoints are configured to speak HTTP/2.
    pub fn speaks_only_http2(&self) -> bool {
        self.targets.iter().all(|target| target.protocol == Protocol::Http2)
    }

    /// Returns true if an endpoint may be spoken to in HTTP/2: it is configured so, or TLS decides.
    pub fn may_speak_http2(&self) -> bool {
        self.targets.iter().any(|target| target.may_speak_http2())
    }

    /// Returns true if its endpoints are sent a PROXY header, which names the client.
    pub fn names_clients(&self) -> bool {
        self.targets.iter().any(|target| target.send_proxy.is_some())
    }

    /// Returns true if the backend speaks HTTP/2, as far as its endpoints have said. `None` if none has been asked yet.
    pub fn speaks_http2(&self) -> Option<bool> {
        if self.speaks_only_http2() || !self.may_speak_http2() {
            return Some(self.speaks_only_http2());
        }
        let endpoints = self.endpoints();
        let any =
            |is: fn(&Multiplex) -> bool| endpoints.iter().any(|endpoint| endpoint.pool.multiplex().is_some_and(|multiplex| is(multiplex)));
        match any(Multiplex::chose_http1) {
            true => Some(false),
            false => any(Multiplex::chose_http2).then_some(true),
        }
    }

    /// Returns the known addresses of each target, in the order of the targets.
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

    /// Sets the addresses of each target, empty for an unresolved name. Endpoints that stay keep their state.
    pub fn set_addresses(&self, addresses: &[Vec<IpAddr>]) {
        self.replace_endpoints(addresses, &self.endpoints());
    }

    /// Replaces the endpoints, and keeps the unchanged ones of `old`.
    fn replace_endpoints(&self, addresses: &[Vec<IpAddr>], old: &[Arc<Endpoint>]) {
        let mut list = Vec::new();
        for (target, addresses) in self.targets.iter().zip(addresses) {
            let found: Vec<Option<IpAddr>> = match target.literal() {
                Some(literal) => vec![Some(literal)],
                None if addresses.is_empty() => vec![None],
                None => addresses.iter().copied().map(Some).collect(),
            };
            list.extend(found.into_iter().map(|address| {
                let kept = old.iter().find(|endpoint| endpoint.is(target, address, &self.settings));
                let endpoint = kept
                    .cloned()
                    .unwrap_or_else(|| Arc::new(Endpoint::new(Arc::clone(&self.name), Arc::clone(target), address, &self.settings)));
                let seed = balance::stable_hash(endpoint.label.as_bytes());
                Member { endpoint, weight: target.weight, drains: target.drains, seed }
            }));
        }
        if self.settings.probe.is_none() {
            // Without probes, an unhealthy endpoint would never become healthy again.
            list.iter()
                .filter(|member| !member.endpoint.health.is_healthy())
                .for_each(|member| member.endpoint.health.set(true, Instant::now()));
        }
        self.members.store(Arc::new(Members::new(list)));
    }

    /// Returns the current endpoints.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.members.load().list.iter().map(|member| Arc::clone(&member.endpoint)).collect()
    }

    /// Returns the number of endpoints that accept new requests.
    pub fn serving(&self) -> usize {
        self.members.load().list.iter().filter(|member| !member.drains).count()
    }

    /// Returns the `Host` for an endpoint, or `None` if it is the client's, which there may be.
    pub fn host_for<'a>(&'a self, endpoint: &'a Endpoint, has_client_host: bool) -> Option<&'a HeaderValue> {
        match &self.host_header {
            HostHeader::Literal(value) => Some(value),
            HostHeader::Client if has_client_host => None,
            HostHeader::ByScheme if has_client_host && endpoint.target.tls.is_none() => None,
            HostHeader::ByScheme | HostHeader::Client | HostHeader::Upstream => Some(&endpoint.target.authority),
        }
    }

    /// Chooses an endpoint and takes a permit of it.
    ///
    /// # Errors
    /// Returns [`Kind::NoEndpoint`] if all are unhealthy, drained or behind an open breaker.
    pub fn choose(&self, query: EndpointQuery<'_>) -> Result<EndpointPermit, Failure> {
        let members = self.members.load();
        if let [only] = members.list.as_slice() {
            let usable = !only.drains && only.endpoint.health.is_healthy();
            let entered = usable.then(|| Endpoint::enter(&only.endpoint, query.now, false)).flatten();
            return entered.ok_or_else(|| members.unavailable(query.now));
        }
        let panic_mode = members.panic_mode(self.settings.panic_below);
        // Another core may take the last trial of a breaker in the meantime; then the choice is repeated.
        for _ in 0..members.list.len() + 1 {
            let tiers = if query.only_good { &[Tier::Good][..] } else { &[Tier::Good, Tier::Ejected, Tier::Again] };
            let chosen = tiers.iter().copied().find_map(|tier| self.pick(&members, tier, panic_mode, query));
            let Some(chosen) = chosen else { break };
            if let Some(permit) = Endpoint::enter(&members.list[chosen].endpoint, query.now, true) {
                return Ok(permit);
            }
        }
        Err(members.unavailable(query.now))
    }

    fn pick(&self, members: &Members, tier: Tier, panic_mode: bool, query: EndpointQuery<'_>) -> Option<usize> {
        let (list, now) = (&members.list, query.now);
        let usable = |at: usize| list.get(at).is_some_and(|member| member.is_usable(tier, panic_mode, query));
        let share = |at: usize| list[at].endpoint.health.share(self.settings.slow_start, now);
        // During a slow start, where the cost does not reflect it, an endpoint is skipped at random. For a key the random number is always
        // the same, so that its requests move back only once.
        let chance = |at: usize| query.key.map_or_else(fastrand::f64, |key| balance::fraction(key, list[at].seed));
        let warm = |at: usize| share(at) >= 1.0 || chance(at) < share(at);
        match (&self.settings.balance, query.key) {
            (Balance::Hash(_), Some(key)) => {
                let pick =
                    |usable: &dyn Fn(usize) -> bool| balance::rendezvous(list.len(), key, usable, |at| list[at].seed, |at| list[at].weight);
                pick(&|at| usable(at) && warm(at)).or_else(|| pick(&usable))
            }
            (Balance::RoundRobin, _) => {
                let next_turn = || self.next_turn.fetch_add(1, Ordering::Relaxed);
                let pick = |usable: &dyn Fn(usize) -> bool| balance::round_robin(&members.schedule, usable, next_turn);
                pick(&|at| usable(at) && warm(at)).or_else(|| pick(&usable))
            }
            (Balance::LeastRequests | Balance::Hash(_), _) if members.equal_weights => {
                let cost = |at: usize| list[at].endpoint.load.cost(now) / share(at);
                balance::power_of_two_choices(list.len(), usable, cost, |n| fastrand::usize(..n))
            }
            (Balance::LeastRequests | Balance::Hash(_), _) => {
                let state = |at: usize| WeightedLoad {
                    weight: f64::from(list[at].weight) * share(at),
                    in_flight: list[at].endpoint.load.in_flight() as f64,
                    latency: list[at].endpoint.load.latency(now),
                };
                balance::weighted_by_load(list.len(), usable, state, fastrand::f64())
            }
        }
    }
}

impl Member {
    /// Returns true if the endpoint may be chosen in this tier.
    fn is_usable(&self, tier: Tier, panic_mode: bool, query: EndpointQuery<'_>) -> bool {
        let endpoint = &self.endpoint;
        !self.drains
            && (endpoint.health.is_healthy() || panic_mode)
            && endpoint.breaker.as_ref().is_none_or(|breaker| breaker.admits(query.now))
            && (tier != Tier::Good || endpoint.ejector.admits(query.now))
            && (tier == Tier::Again || !query.tried.iter().any(|tried| Arc::ptr_eq(tried, endpoint)))
    }
}

impl Members {
    fn new(list: Vec<Member>) -> Self {
        let weights: Vec<u32> = list.iter().map(|member| member.weight).collect();
        let equal_weights = weights.windows(2).all(|pair| pair[0] == pair[1]);
        Self { schedule: balance::schedule(&weights), list, equal_weights }
    }

    /// Returns true in panic mode: so few endpoints are healthy that they would be overloaded. Never true if none is.
    fn panic_mode(&self, below: u32) -> bool {
        if below == 0 {
            return false;
        }
        let serving = || self.list.iter().filter(|member| !member.drains);
        let (all, healthy) = (serving().count(), serving().filter(|member| member.endpoint.health.is_healthy()).count());
        healthy > 0 && healthy * 100 < all * below as usize
    }

    /// Returns the failure if no endpoint can be used, with the shortest time until a breaker admits a trial.
    fn unavailable(&self, now: Instant) -> Failure {
        let breakers = self.list.iter().filter_map(|member| member.endpoint.breaker.as_ref());
        let wait = breakers.map(|breaker| breaker.wait(now)).filter(|wait| !wait.is_zero()).min();
        Failure {
            retry_after: wait,
            ..Failure::because(Kind::NoEndpoint, "every endpoint is unhealthy, drained or behind an open breaker")
        }
    }
}
