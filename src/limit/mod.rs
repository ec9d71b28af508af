//! Limits: request rates and requests in flight by key, the admission gate, and the memory for buffered bodies.
//!
//! Knows nothing of routes or responses: the gateway applies limits and turns a rejection into a failure.

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

pub use key::{Key, append_part, of_address, of_value};
pub use local::RateLimit;
pub use rate::{Decision, Settings, Window};

use concurrency::PerKey;

/// Where a limit's counters are kept.
#[derive(Debug)]
pub enum Store {
    /// In this process.
    Local,
    /// In a store that several gateways share. The counters in this process are used when the store fails.
    Shared,
}

/// A limit as configured: a rate, a number of requests in flight, or both.
#[derive(Debug)]
pub struct Limit {
    /// Name in the configuration.
    pub name: String,
    /// Request rate, counted in this process.
    pub rate: Option<Arc<RateLimit>>,
    /// Where the rate is counted.
    pub store: Store,
    /// Requests in flight per key.
    pub concurrency: Option<Arc<PerKey>>,
    /// Clients that the limit does not apply to.
    pub exempt: Vec<IpNet>,
    /// Clients that are refused.
    pub deny: Vec<IpNet>,
}

/// How the `exempt` and `deny` lists of a limit apply to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListMatch {
    /// The limit does not apply.
    Exempt,
    /// The client is rejected.
    Denied,
    /// The client is on neither list, so its requests are counted.
    Counted,
}

impl Limit {
    /// Matches a client against the lists; `deny` takes precedence.
    pub fn listed(&self, client: IpAddr) -> ListMatch {
        let on = |list: &[IpNet]| !list.is_empty() && list.iter().any(|net| net.contains(&client.to_canonical()));
        if on(&self.deny) {
            ListMatch::Denied
        } else if on(&self.exempt) {
            ListMatch::Exempt
        } else {
            ListMatch::Counted
        }
    }
}
