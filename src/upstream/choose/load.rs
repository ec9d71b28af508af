//! How busy an endpoint is, seen by all cores: what is in flight, and how long answers took of late.
//!
//! Pure numbers: time is an argument, and no request is known here.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How fast the mean follows.
const FOLLOWS: f64 = 1.0;
/// How fast it is forgotten while nothing is heard: an endpoint that was slow once is asked again.
const FORGETS: f64 = 3.0;
/// Differences below this are no reason to choose, in seconds.
const FLOOR: f64 = 0.001;

/// Shared by all cores. Cores that write at the same time may lose each other's sample, never the count.
#[derive(Debug)]
pub struct Load {
    in_flight: AtomicUsize,
    /// Mean latency in seconds, as bits.
    mean: AtomicU64,
    /// Microseconds since `start` of the last sample.
    heard: AtomicU64,
    start: Instant,
}

impl Load {
    /// Nothing known.
    pub fn new(now: Instant) -> Self {
        Self { in_flight: AtomicUsize::new(0), mean: AtomicU64::new(0), heard: AtomicU64::new(0), start: now }
    }

    /// A request begins.
    pub fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// It ended.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn micros(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_micros() as u64
    }

    /// Seconds since the last sample, and the mean then.
    fn last(&self, now: Instant) -> (f64, f64) {
        let quiet = self.micros(now).saturating_sub(self.heard.load(Ordering::Relaxed)) as f64 / 1e6;
        (quiet, f64::from_bits(self.mean.load(Ordering::Relaxed)))
    }

    /// An answer took so long.
    pub fn record(&self, took: Duration, now: Instant) {
        let (quiet, mean) = self.last(now);
        let keep = (-quiet / FOLLOWS).exp();
        // Many samples in one moment still move the mean by a tenth each, and one alone moves it by half at most: it may be a hiccup.
        let (mean, keep) = if mean == 0.0 { (FLOOR, 0.5) } else { (mean, keep.clamp(0.5, 0.9)) };
        self.mean.store((mean * keep + took.as_secs_f64() * (1.0 - keep)).to_bits(), Ordering::Relaxed);
        self.heard.store(self.micros(now), Ordering::Relaxed);
    }

    /// What was heard before says nothing any more.
    pub fn forget(&self) {
        self.mean.store(0, Ordering::Relaxed);
    }

    /// What one more request would cost: the requests before it, each as long as they took of late, where `capacity` of them are as
    /// good as one elsewhere.
    pub fn cost(&self, capacity: f64, now: Instant) -> f64 {
        let (quiet, mean) = self.last(now);
        let mean = if mean > FLOOR { mean * (-quiet / FORGETS).exp() } else { mean };
        (self.in_flight() as f64 / capacity + 1.0) * mean.max(FLOOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_and_the_busier_costs_more() {
        let t = Instant::now();
        let (fast, slow) = (Load::new(t), Load::new(t));
        for _ in 0..50 {
            fast.record(Duration::from_millis(5), t);
            slow.record(Duration::from_millis(100), t);
        }
        assert!(slow.cost(1.0, t) > 19.0 * fast.cost(1.0, t));
        (0..30).for_each(|_| fast.enter());
        assert!(fast.cost(1.0, t) > slow.cost(1.0, t), "thirty waiting are worse than a slow one");
        (0..30).for_each(|_| fast.leave());
        assert!(slow.cost(1.0, t + Duration::from_secs(60)) < 3.0 * fast.cost(1.0, t), "it is forgotten");
    }

    proptest::proptest! {
        #[test]
        fn a_mean_stays_between_its_samples(samples in proptest::collection::vec((1u64..1_000_000, 0u64..3_000_000), 1..100)) {
            let mut now = Instant::now();
            let load = Load::new(now);
            // What is not known yet counts as the floor.
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
