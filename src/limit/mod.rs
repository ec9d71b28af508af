//! Limits: request rates by key, requests in flight, and the memory for bodies that are held.
//!
//! Knows nothing of routes or responses; the gateway asks, and turns a rejection into a failure.

pub mod concurrency;
pub mod gate;
mod gradient;
pub mod inflight;
mod key;
mod local;
mod rate;
pub mod reserve;
pub mod shared;
mod store;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

pub use key::{Key, of_address, of_value};
pub use local::RateLimit;
pub use rate::{Decision, Settings, Window};

use concurrency::PerKey;

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
    pub rate: Option<Arc<RateLimit>>,
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
pub enum ListMatch {
    /// The limit is not for it.
    Allowed,
    /// It is refused.
    Denied,
    /// Nothing: it is counted.
    Counted,
}

impl Limit {
    /// What the lists say; `deny` weighs more.
    pub fn listed(&self, client: IpAddr) -> ListMatch {
        let on = |list: &[IpNet]| !list.is_empty() && list.iter().any(|net| net.contains(&client.to_canonical()));
        if on(&self.deny) {
            ListMatch::Denied
        } else if on(&self.allow) {
            ListMatch::Allowed
        } else {
            ListMatch::Counted
        }
    }
}
