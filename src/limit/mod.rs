//! May a request enter: rates by key, counts of what is in flight, and the memory for bodies that are held.
//!
//! Knows nothing of routes or answers; the spine asks and turns a refusal into a failure.

pub mod concurrency;
pub mod gate;
mod gradient;
pub mod inflight;
mod key;
mod local;
pub mod reserve;
pub mod shared;
mod store;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

pub use key::{Key, of_address, of_value};
pub use local::RateLimit;

use concurrency::PerKey;

/// One rate: so many requests per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Requests per window.
    pub count: NonZeroU32,
    /// The window.
    pub window: Duration,
    /// Requests that may come at once.
    pub burst: NonZeroU32,
}

impl Window {
    /// Time that one request takes of the window; at least a nanosecond.
    pub fn period(&self) -> Duration {
        (self.window / self.count.get()).max(Duration::from_nanos(1))
    }
}

/// What a limit is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name in the configuration, shown to clients as the policy's name.
    pub name: String,
    /// Its rates, shortest window first: who is refused by a short one has taken nothing from the long ones.
    pub windows: Vec<Window>,
    /// Keys that are told apart at the same time.
    pub max_keys: usize,
}

/// A decision about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The request may enter.
    pub admitted: bool,
    /// The window that refused, or that has the least left.
    pub window: usize,
    /// Requests left in its burst.
    pub remaining: u32,
    /// Until the same request is admitted; zero when admitted.
    pub wait: Duration,
}

/// Where a limit's state is.
#[derive(Debug)]
pub enum Store {
    /// In this process.
    Local,
    /// In a store that several gateways share; what is in this process stands in when that fails.
    Shared,
}

/// A limit as configured: at least one of a rate and a count in flight.
#[derive(Debug)]
pub struct Limit {
    /// Name in the configuration.
    pub name: String,
    /// Requests per time, counted in this process.
    pub rate: Option<RateLimit>,
    /// Where they are counted.
    pub store: Store,
    /// Requests in flight per key.
    pub concurrency: Option<Arc<PerKey>>,
    /// Clients it is not for.
    pub allow: Vec<IpNet>,
    /// Clients that are refused.
    pub deny: Vec<IpNet>,
}

/// What the lists of a limit say of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// The limit is not for it.
    Allowed,
    /// It is refused.
    Denied,
    /// Nothing: it is counted.
    Counted,
}

impl Limit {
    /// What the lists say; `deny` weighs more.
    pub fn listed(&self, client: IpAddr) -> Listed {
        let on = |list: &[IpNet]| !list.is_empty() && list.iter().any(|net| net.contains(&client.to_canonical()));
        if on(&self.deny) {
            Listed::Denied
        } else if on(&self.allow) {
            Listed::Allowed
        } else {
            Listed::Counted
        }
    }
}
