//! What the configuration says about all endpoints of a backend.

use std::time::Duration;

use super::balance::Balance;
use super::health::Probe;
use crate::breaker;
use crate::upstream::connect::pool::PoolSettings;

/// How a backend treats its endpoints.
#[derive(Clone, Debug)]
pub struct BackendSettings {
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
