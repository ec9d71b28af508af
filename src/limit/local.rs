//! A rate limit that is counted in this process: GCRA per key and window, over a bounded map of keys.
//!
//! Knows nothing of requests or responses.

use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::{Quota, RateLimiter};

use super::key::Key;
use super::rate::{Decision, Settings, Window};
use super::store::BoundedStore;

type Limiter = RateLimiter<u64, BoundedStore, MonotonicClock, StateInformationMiddleware>;

/// A rate limit with its counters.
pub struct RateLimit {
    settings: Settings,
    /// One limiter per window, in the order of the settings.
    limiters: Vec<Limiter>,
    hasher: std::hash::RandomState,
    clock: MonotonicClock,
    started: std::time::Instant,
    swept: AtomicU64,
}

/// Minimum time between two sweeps of a full map, so that a flood of keys does not make each request pay for one.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

fn limiter(window: &Window, max_keys: usize) -> Limiter {
    let quota = Quota::with_period(window.period()).unwrap_or(Quota::per_second(window.count)).allow_burst(window.burst);
    let limiter: RateLimiter<u64, BoundedStore, MonotonicClock> = RateLimiter::new(quota, BoundedStore::new(max_keys), MonotonicClock);
    limiter.with_middleware()
}

impl RateLimit {
    /// Creates the limit with no keys.
    pub fn new(settings: Settings) -> Self {
        Self {
            limiters: settings.windows.iter().map(|window| limiter(window, settings.max_keys)).collect(),
            settings,
            hasher: std::hash::RandomState::new(),
            clock: MonotonicClock,
            started: std::time::Instant::now(),
            swept: AtomicU64::new(0),
        }
    }

    /// Decides on a request, and counts it as `cost` if it is admitted. A cost above the burst is never admitted.
    pub fn check(&self, key: Key<'_>, cost: NonZeroU32) -> Decision {
        // Only a keyed hash is stored: memory per key is bounded, and a client cannot construct a collision with another key.
        let hash = self.hasher.hash_one(key);
        if self.keys() >= self.settings.max_keys {
            self.evict_idle();
        }
        let mut tightest = Decision { admitted: true, window: 0, remaining: u32::MAX, wait: Duration::ZERO };
        for (window, limiter) in self.limiters.iter().enumerate() {
            match limiter.check_key_n(&hash, cost) {
                Ok(Ok(state)) => {
                    let remaining = state.remaining_burst_capacity();
                    if remaining < tightest.remaining {
                        tightest = Decision { window, remaining, ..tightest };
                    }
                }
                Ok(Err(refusal)) => {
                    return Decision { admitted: false, window, remaining: 0, wait: refusal.wait_time_from(self.clock.now()) };
                }
                Err(_) => {
                    let wait = self.settings.windows.get(window).map_or(Duration::ZERO, |window| window.window);
                    return Decision { admitted: false, window, remaining: 0, wait };
                }
            }
        }
        tightest
    }

    /// Removes keys whose burst is fully available again, which no client can notice. Does nothing if called again within
    /// a second.
    pub fn evict_idle(&self) {
        let now = self.started.elapsed().as_millis() as u64;
        let last = self.swept.load(Ordering::Relaxed);
        let due = last == 0 || now.saturating_sub(last) >= SWEEP_INTERVAL.as_millis() as u64;
        if due && self.swept.compare_exchange(last, now.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            for limiter in &self.limiters {
                limiter.retain_recent();
                limiter.shrink_to_fit();
            }
        }
    }

    /// Returns the settings that the limit was created with.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the number of keys in memory.
    pub fn keys(&self) -> usize {
        self.limiters.iter().map(RateLimiter::len).max().unwrap_or(0)
    }
}

impl std::fmt::Debug for RateLimit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RateLimit").field("settings", &self.settings).field("keys", &self.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn window(count: u32, seconds: u64, burst: u32) -> Window {
        let nonzero = |n| NonZeroU32::new(n).unwrap();
        Window { count: nonzero(count), window: Duration::from_secs(seconds), burst: nonzero(burst) }
    }

    fn limit(windows: &[Window], max_keys: usize) -> RateLimit {
        RateLimit::new(Settings { name: "t".into(), windows: windows.to_vec(), max_keys })
    }

    #[test]
    fn keys_are_bounded_and_new_ones_share_a_bucket_when_full() {
        let limit = limit(&[window(1, 3600, 1)], 100);
        let mut admitted = 0;
        for n in 0..10_000u32 {
            admitted += u32::from(limit.check(Key::Value(&n.to_be_bytes()), ONE).admitted);
        }
        assert!(limit.keys() <= 101, "{}", limit.keys());
        // Each stored key once, and the shared bucket once.
        assert!((50..=101).contains(&admitted), "{admitted}");
        // The flood did not evict the first keys: their buckets are still empty.
        assert!(!limit.check(Key::Value(&0u32.to_be_bytes()), ONE).admitted);
    }

    #[test]
    fn an_idle_key_is_evicted() {
        let limit = limit(&[window(1_000_000, 1, 1)], 4);
        for n in 0..64u32 {
            assert!(limit.check(Key::Value(&n.to_be_bytes()), ONE).admitted || n > 4);
        }
        assert!(limit.keys() <= 5);
    }
}
