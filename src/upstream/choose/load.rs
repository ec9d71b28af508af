//! The load of an endpoint over all cores: requests in flight, and the recent mean latency.
//!
//! Pure numbers: the time is an argument. Knows nothing of requests.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Time constant with which the mean follows new samples, in seconds.
const MEAN_TIME_CONSTANT: f64 = 1.0;
/// Time constant with which the mean decays without samples, in seconds. It makes an endpoint that was slow be tried again.
const DECAY_TIME_CONSTANT: f64 = 3.0;
/// Latencies below this count as equal, in seconds.
const FLOOR: f64 = 0.001;

/// The load of an endpoint, shared by all cores. Concurrent writers may lose a latency sample, but never a count.
#[derive(Debug)]
pub struct Load {
    in_flight: AtomicUsize,
    /// Mean latency in seconds, as the bits of an `f64`; 0 if unknown.
    mean: AtomicU64,
    /// Microseconds from `start` to the last sample.
    last_sample: AtomicU64,
    start: Instant,
}

impl Load {
    /// Creates a load of zero with an unknown latency.
    pub fn new(now: Instant) -> Self {
        Self { in_flight: AtomicUsize::new(0), mean: AtomicU64::new(0), last_sample: AtomicU64::new(0), start: now }
    }

    /// Records the start of a request.
    pub fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Records the end of a request.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the number of requests in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn micros(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_micros() as u64
    }

    /// Returns the seconds since the last sample, and the mean at that time.
    fn last(&self, now: Instant) -> (f64, f64) {
        let elapsed = self.micros(now).saturating_sub(self.last_sample.load(Ordering::Relaxed)) as f64 / 1e6;
        (elapsed, f64::from_bits(self.mean.load(Ordering::Relaxed)))
    }

    /// Records the latency of a response.
    pub fn record(&self, took: Duration, now: Instant) {
        let (elapsed, mean) = self.last(now);
        let keep = (-elapsed / MEAN_TIME_CONSTANT).exp();
        // Even many simultaneous samples move the mean by a tenth each, and a single sample moves it by at most half, since it may be an
        // outlier.
        let (mean, keep) = if mean == 0.0 { (FLOOR, 0.5) } else { (mean, keep.clamp(0.5, 0.9)) };
        self.mean.store((mean * keep + took.as_secs_f64() * (1.0 - keep)).to_bits(), Ordering::Relaxed);
        self.last_sample.store(self.micros(now), Ordering::Relaxed);
    }

    /// Forgets the mean latency.
    pub fn forget(&self) {
        self.mean.store(0, Ordering::Relaxed);
    }

    /// Returns the mean latency in seconds, which decays without samples; 0 if it is unknown.
    pub fn latency(&self, now: Instant) -> f64 {
        let (elapsed, mean) = self.last(now);
        if mean > FLOOR { mean * (-elapsed / DECAY_TIME_CONSTANT).exp() } else { mean }
    }

    /// Returns the cost of one more request: the requests in flight and the request itself, each at the mean latency.
    pub fn cost(&self, now: Instant) -> f64 {
        (self.in_flight() as f64 + 1.0) * self.latency(now).max(FLOOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slower_and_busier_endpoints_cost_more() {
        let t = Instant::now();
        let (fast, slow) = (Load::new(t), Load::new(t));
        for _ in 0..50 {
            fast.record(Duration::from_millis(5), t);
            slow.record(Duration::from_millis(100), t);
        }
        assert!(slow.cost(t) > 19.0 * fast.cost(t));
        (0..30).for_each(|_| fast.enter());
        assert!(fast.cost(t) > slow.cost(t), "thirty waiting are worse than a slow one");
        (0..30).for_each(|_| fast.leave());
        assert!(slow.cost(t + Duration::from_secs(60)) < 3.0 * fast.cost(t), "it is forgotten");
    }

    proptest::proptest! {
        #[test]
        fn a_mean_stays_between_its_samples(samples in proptest::collection::vec((1u64..1_000_000, 0u64..3_000_000), 1..100)) {
            let mut now = Instant::now();
            let load = Load::new(now);
            // An unknown mean counts as the floor.
            let (mut low, mut high) = (FLOOR, FLOOR);
            for (took, wait) in samples {
                now += Duration::from_micros(wait);
                let took = Duration::from_micros(took);
                load.record(took, now);
                (low, high) = (low.min(took.as_secs_f64()), high.max(took.as_secs_f64()));
                let mean = f64::from_bits(load.mean.load(Ordering::Relaxed));
                proptest::prop_assert!(mean >= low * 0.999 && mean <= high * 1.001, "{mean} in {low}..{high}");
            }
        }
    }
}
