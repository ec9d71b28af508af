//! The settings that apply to all endpoints of a backend.
//!
//! Plain data.

use std::time::Duration;

use super::balance::Balance;
use super::health::Probe;
use crate::breaker;
use crate::upstream::connect::pool::PoolSettings;

/// How a backend treats its endpoints.
#[derive(Clone, Debug)]
pub struct BackendSettings {
    /// The load balancing algorithm.
    pub balance: Balance,
    /// Limits of each endpoint's connections.
    pub pool: PoolSettings,
    /// The active probes.
    pub probe: Option<Probe>,
    /// Settings of each endpoint's breaker.
    pub breaker: Option<breaker::Settings>,
    /// How long an endpoint that is available again takes to reach its full weight.
    pub slow_start: Duration,
    /// Panic threshold: below this percentage of healthy endpoints, all are used. 0 for never.
    pub panic_below: u32,
    /// Interval of name resolution.
    pub dns_refresh: Duration,
    /// The path that is put before the path of every request; empty, or without a slash at its end.
    pub base_path: String,
    /// Number of worker threads.
    pub cores: usize,
}
