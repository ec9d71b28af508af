//! The division of a route's requests among several backends by weight.
//!
//! Without `sticky` the division is exact over time. With it, a client stays on one backend, and a change of the weights moves as few
//! clients as it can. Knows nothing of endpoints.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;

use super::route::Route;
use crate::config::actions::StickyBy;
use crate::header::{HeaderList, Value};
use crate::upstream::choose::balance;

/// What a rule of the routing table leads to.
#[derive(Clone, Debug)]
pub enum RouteTarget {
    /// A route.
    One(Arc<Route>),
    /// One of several routes, which differ by their backend.
    Split(Arc<Split>),
}

/// Routes that differ by their backend, each with its share of the requests.
#[derive(Debug)]
pub struct Split {
    variants: Vec<Variant>,
    /// Indexes of the variants, evenly interleaved.
    schedule: Vec<u16>,
    next_turn: AtomicUsize,
    sticky: Option<StickyBy>,
}

#[derive(Debug)]
struct Variant {
    route: Arc<Route>,
    weight: u32,
    /// Identifies the backend; the same in every process.
    seed: u64,
    /// The value of the cookie, which shows nothing of the backend's name.
    mark: String,
    cookie: Option<HeaderValue>,
}

/// The route of a request.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'s> {
    /// The route.
    pub route: &'s Arc<Route>,
    /// The cookie that keeps the client on this route, if it does not have it yet.
    pub cookie: Option<&'s HeaderValue>,
}

impl Split {
    /// Divides requests among routes with these weights and backends.
    pub(super) fn new(routes: Vec<(Arc<Route>, u32, &str)>, sticky: Option<StickyBy>) -> Self {
        let variant = |(route, weight, backend): (Arc<Route>, u32, &str)| {
            let seed = balance::stable_hash(backend.as_bytes());
            let mark = format!("{:08x}", (seed ^ (seed >> 32)) as u32);
            let cookie = match &sticky {
                // A cookie name and hexadecimal digits are a valid value.
                Some(StickyBy::Cookie(name)) => HeaderValue::from_str(&format!("{name}={mark}; Path=/; HttpOnly; SameSite=Lax")).ok(),
                Some(StickyBy::Header(_) | StickyBy::ClientIp) | None => None,
            };
            Variant { route, weight, seed, mark, cookie }
        };
        let variants: Vec<Variant> = routes.into_iter().map(variant).collect();
        let weights: Vec<u32> = variants.iter().map(|variant| variant.weight).collect();
        Self { schedule: balance::schedule(&weights), variants, next_turn: AtomicUsize::new(0), sticky }
    }

    /// Chooses the route of a request.
    pub fn choose(&self, headers: &HeaderList, client: IpAddr) -> Chosen<'_> {
        self.choose_by(headers, client, || self.next_turn.fetch_add(1, Ordering::Relaxed))
    }

    fn choose_by(&self, headers: &HeaderList, client: IpAddr, turn: impl Fn() -> usize) -> Chosen<'_> {
        match &self.sticky {
            None => self.chosen(self.by_turn(turn)),
            Some(StickyBy::ClientIp) => self.chosen(match client.to_canonical() {
                IpAddr::V4(v4) => self.by_key(&v4.octets()),
                IpAddr::V6(v6) => self.by_key(&v6.octets()),
            }),
            // Without the header there is nothing to stick to.
            Some(StickyBy::Header(name)) => {
                self.chosen(headers.get(name).map_or_else(|| self.by_turn(turn), |value| self.by_key(value.as_bytes())))
            }
            Some(StickyBy::Cookie(name)) => match self.by_cookie(headers, name) {
                Some(at) => self.chosen(at),
                None => {
                    let at = self.by_turn(turn);
                    Chosen { cookie: self.variants[at].cookie.as_ref(), ..self.chosen(at) }
                }
            },
        }
    }

    /// Returns the route that the next request of this kind would get, without taking its turn.
    pub fn peek(&self, headers: &HeaderList, client: IpAddr) -> Chosen<'_> {
        self.choose_by(headers, client, || self.next_turn.load(Ordering::Relaxed))
    }

    fn chosen(&self, at: usize) -> Chosen<'_> {
        Chosen { route: &self.variants[at].route, cookie: None }
    }

    fn by_turn(&self, turn: impl Fn() -> usize) -> usize {
        balance::round_robin(&self.schedule, |_| true, turn).unwrap_or_default()
    }

    fn by_key(&self, key: &[u8]) -> usize {
        let (usable, seed) = (|at: usize| self.variants[at].weight > 0, |at: usize| self.variants[at].seed);
        let key = balance::stable_hash(key);
        balance::rendezvous(self.variants.len(), key, usable, seed, |at| self.variants[at].weight).unwrap_or_default()
    }

    /// A variant without a weight gets no new clients, but keeps those that it has.
    fn by_cookie(&self, headers: &HeaderList, name: &str) -> Option<usize> {
        let pairs = headers.get_all(http::header::COOKIE).map(Value::as_bytes).flat_map(|line| line.split(|b| *b == b';'));
        let mut values = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        values.find_map(|value| self.variants.iter().position(|variant| variant.mark.as_bytes() == value))
    }
}
