//! May a request enter: rate limits by key, and counts of what is in flight.
//!
//! Knows nothing of routes or answers; the spine asks and turns a refusal into a failure.

pub mod gate;
mod gradient;
pub mod inflight;
mod key;
pub mod reserve;
mod store;

use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::{Quota, RateLimiter};

pub use key::{Key, of_address, of_value};
use store::BoundedStore;

/// What a limit is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name in the configuration, shown to clients as the policy's name.
    pub name: String,
    /// Requests per window.
    pub count: NonZeroU32,
    /// The window.
    pub window: Duration,
    /// Requests that may come at once.
    pub burst: NonZeroU32,
    /// Keys that are told apart at the same time.
    pub max_keys: usize,
}

/// A decision about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The request may enter.
    pub admitted: bool,
    /// Requests left in the burst.
    pub remaining: u32,
    /// Until a request is admitted again; zero when admitted.
    pub wait: Duration,
}

/// One rate limit: GCRA per key over a bounded map of keys.
pub struct RateLimit {
    settings: Settings,
    limiter: RateLimiter<u64, BoundedStore, MonotonicClock, StateInformationMiddleware>,
    hasher: std::hash::RandomState,
    clock: MonotonicClock,
    started: std::time::Instant,
    swept: AtomicU64,
}

/// Least time between two sweeps of a full map: a flood of keys must not make each request pay for one.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl RateLimit {
    /// Makes the limit with no keys in it.
    pub fn new(settings: Settings) -> Self {
        // The window divided by the count is at least one nanosecond: the configuration checks it.
        let period = (settings.window / settings.count.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(settings.count)).allow_burst(settings.burst);
        let clock = MonotonicClock;
        let limiter: RateLimiter<u64, BoundedStore, MonotonicClock> =
            RateLimiter::new(quota, BoundedStore::new(settings.max_keys), clock.clone());
        let limiter = limiter.with_middleware();
        Self {
            settings,
            limiter,
            hasher: std::hash::RandomState::new(),
            clock,
            started: std::time::Instant::now(),
            swept: AtomicU64::new(0),
        }
    }

    /// Decides for a key and counts the request if it is admitted.
    pub fn check(&self, key: Key<'_>) -> Decision {
        // Only a keyed hash is kept: bounded memory per key, and nobody can aim at another key's bucket.
        let hash = self.hasher.hash_one(key);
        if self.limiter.len() >= self.settings.max_keys {
            self.evict_idle();
        }
        match self.limiter.check_key(&hash) {
            Ok(state) => Decision { admitted: true, remaining: state.remaining_burst_capacity(), wait: Duration::ZERO },
            Err(refusal) => Decision { admitted: false, remaining: 0, wait: refusal.wait_time_from(self.clock.now()) },
        }
    }

    /// Forgets keys whose bucket is full again: to forget those changes nothing for anybody. Called often, works at most
    /// once a second.
    pub fn evict_idle(&self) {
        let now = self.started.elapsed().as_millis() as u64;
        let last = self.swept.load(Ordering::Relaxed);
        let due = last == 0 || now.saturating_sub(last) >= SWEEP_EVERY.as_millis() as u64;
        if due && self.swept.compare_exchange(last, now.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }

    /// What it was made from.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Keys that are told apart now.
    pub fn keys(&self) -> usize {
        self.limiter.len()
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

    fn limit(count: u32, window: u64, burst: u32, max_keys: usize) -> RateLimit {
        let nonzero = |n| NonZeroU32::new(n).unwrap();
        RateLimit::new(Settings {
            name: "t".into(),
            count: nonzero(count),
            window: Duration::from_secs(window),
            burst: nonzero(burst),
            max_keys,
        })
    }

    #[test]
    fn a_burst_is_admitted_and_the_next_one_waits() {
        let limit = limit(1, 3600, 3, 10);
        for left in [2, 1, 0] {
            assert_eq!(limit.check(Key::Global), Decision { admitted: true, remaining: left, wait: Duration::ZERO });
        }
        let refused = limit.check(Key::Global);
        assert!(!refused.admitted && refused.wait > Duration::from_secs(3500) && refused.wait <= Duration::from_secs(3600), "{refused:?}");
    }

    #[test]
    fn keys_are_bounded_and_new_ones_share_a_bucket_when_full() {
        let limit = limit(1, 3600, 1, 100);
        let mut admitted = 0;
        for n in 0..10_000u32 {
            admitted += u32::from(limit.check(Key::Value(&n.to_be_bytes())).admitted);
        }
        assert!(limit.keys() <= 101, "{}", limit.keys());
        // Each kept key once, and the shared bucket once.
        assert!((50..=101).contains(&admitted), "{admitted}");
        // The first keys were not evicted by the flood: their buckets are still empty.
        assert!(!limit.check(Key::Value(&0u32.to_be_bytes())).admitted);
    }

    #[test]
    fn a_key_that_is_full_again_makes_room() {
        let limit = limit(1_000_000, 1, 1, 4);
        for n in 0..64u32 {
            assert!(limit.check(Key::Value(&n.to_be_bytes())).admitted || n > 4);
        }
        assert!(limit.keys() <= 5);
    }
}
