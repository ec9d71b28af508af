//! The health of an endpoint: the results of probes, and the slow start after it was unavailable.
//!
//! [`ProbeCounter`] applies the thresholds, and [`Health`] holds the result for all cores. Knows nothing of how an endpoint is probed;
//! `background` does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::uri::PathAndQuery;
use tokio::time::Instant;

/// The active probes of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The path that is requested.
    pub path: PathAndQuery,
    /// The `Host` of the probe, if it is not the endpoint's own.
    pub host: Option<http::HeaderValue>,
    /// Interval between two probes, with a jitter of a tenth.
    pub every: Duration,
    /// Timeout of a probe, including the connect.
    pub timeout: Duration,
    /// Consecutive failed probes that make an endpoint unhealthy.
    pub unhealthy_after: u32,
    /// Consecutive successful probes that make it healthy again.
    pub healthy_after: u32,
    /// Ranges of successful statuses, both ends included.
    pub expect: Vec<(u16, u16)>,
}

impl Probe {
    /// Returns true if a probe with this status was successful.
    pub fn expects(&self, status: u16) -> bool {
        self.expect.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

/// Counts consecutive probes.
#[derive(Clone, Copy, Debug)]
pub struct ProbeCounter {
    healthy: bool,
    /// Consecutive probes that contradict the current state.
    contradicting: u32,
}

impl ProbeCounter {
    /// Starts from a known state.
    pub const fn of(healthy: bool) -> Self {
        Self { healthy, contradicting: 0 }
    }

    /// Records a probe. Returns the new state if it changed.
    pub fn record(&mut self, good: bool, probe: &Probe) -> Option<bool> {
        if good == self.healthy {
            self.contradicting = 0;
            return None;
        }
        self.contradicting += 1;
        let needed = if self.healthy { probe.unhealthy_after } else { probe.healthy_after };
        (self.contradicting >= needed.max(1)).then(|| {
            *self = Self::of(good);
            good
        })
    }
}

/// The health of an endpoint, and when it became available again.
#[derive(Debug)]
pub struct Health {
    unhealthy: AtomicBool,
    /// Milliseconds from `start` to the end of the last unavailability, plus one; 0 without a slow start to apply.
    returned: AtomicU64,
    start: Instant,
}

/// The share of its weight that an endpoint starts with.
const FIRST_SHARE: f64 = 0.1;

impl Health {
    /// Creates a healthy state.
    pub const fn new(now: Instant) -> Self {
        Self { unhealthy: AtomicBool::new(false), returned: AtomicU64::new(0), start: now }
    }

    /// Returns true if the endpoint is healthy.
    pub fn is_healthy(&self) -> bool {
        !self.unhealthy.load(Ordering::Relaxed)
    }

    /// Sets the health. A healthy endpoint begins its slow start.
    pub fn set(&self, healthy: bool, now: Instant) {
        self.unhealthy.store(!healthy, Ordering::Relaxed);
        if healthy {
            self.returned(now);
        }
    }

    /// Begins the slow start of an endpoint that is available again.
    pub fn returned(&self, now: Instant) {
        self.returned.store(now.saturating_duration_since(self.start).as_millis() as u64 + 1, Ordering::Relaxed);
    }

    /// Returns the share of its weight that the endpoint has now, in 0..=1. It grows linearly over `slow_start`.
    pub fn share(&self, slow_start: Duration, now: Instant) -> f64 {
        let returned = self.returned.load(Ordering::Relaxed);
        if returned == 0 {
            return 1.0;
        }
        let back = now.saturating_duration_since(self.start).as_secs_f64() - (returned - 1) as f64 / 1e3;
        if slow_start.is_zero() || back >= slow_start.as_secs_f64() {
            // The slow start is over; the next call returns early.
            self.returned.store(0, Ordering::Relaxed);
            return 1.0;
        }
        (back / slow_start.as_secs_f64()).clamp(FIRST_SHARE, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> Probe {
        Probe {
            path: PathAndQuery::from_static("/health"),
            host: None,
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            unhealthy_after: 3,
            healthy_after: 2,
            expect: vec![(200, 299), (401, 401)],
        }
    }

    #[test]
    fn health_changes_after_consecutive_probes() {
        let probe = probe();
        let mut counter = ProbeCounter::of(true);
        let results: Vec<_> =
            [false, false, true, false, false, false, false, true, false, true, true].map(|good| counter.record(good, &probe)).into();
        let mut expected = vec![None; 11];
        (expected[5], expected[10]) = (Some(false), Some(true));
        assert_eq!(results, expected);
        assert!(probe.expects(204) && probe.expects(401) && !probe.expects(500));
    }

    #[test]
    fn an_endpoint_starts_slowly() {
        let (t, ramp) = (Instant::now(), Duration::from_secs(10));
        let health = Health::new(t);
        assert_eq!(health.share(ramp, t), 1.0);
        health.set(false, t);
        health.set(true, t + Duration::from_secs(5));
        assert_eq!(health.share(ramp, t + Duration::from_secs(5)), FIRST_SHARE);
        assert!((health.share(ramp, t + Duration::from_secs(10)) - 0.5).abs() < 0.01);
        assert_eq!(health.share(ramp, t + Duration::from_secs(15)), 1.0);
    }

    proptest::proptest! {
        /// The state changes only after its threshold of equal consecutive probes.
        #[test]
        fn health_changes_only_after_a_streak(probes in proptest::collection::vec(proptest::bool::ANY, 1..200)) {
            let probe = probe();
            let (mut counter, mut streak) = (ProbeCounter::of(true), 0u32);
            let mut last = None;
            for good in probes {
                streak = if last == Some(good) { streak + 1 } else { 1 };
                last = Some(good);
                if let Some(state) = counter.record(good, &probe) {
                    proptest::prop_assert_eq!(state, good);
                    let needed = if state { 2 } else { 3 };
                    proptest::prop_assert!(streak >= needed);
                }
            }
        }
    }
}
