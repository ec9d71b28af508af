//! How many requests a backend can take at once, found by watching its latency (a gradient limiter).
//!
//! Pure: samples and times in, a limit out. The limit grows by its square root while answers are about as fast as they can be, and
//! shrinks with the ratio of the best latency to the latest one.

use std::time::Duration;

use tokio::time::Instant;

/// Samples are looked at together for at least so long,
const WINDOW: Duration = Duration::from_millis(100);
/// and at least so many of them.
const ENOUGH: u32 = 10;
/// So much slower than the best is still no sign of a queue.
const TOLERANCE: f64 = 1.5;
/// Share of a new estimate in the limit.
const STEP: f64 = 0.2;
/// How fast the best latency is forgotten while the limit binds nobody, per second.
const DRIFT: f64 = 0.02;

/// The estimate.
#[derive(Clone, Debug)]
pub(super) struct Gradient {
    limit: f64,
    min: f64,
    max: f64,
    /// The best mean latency of late in seconds; 0 while nothing is known.
    best: f64,
    since: Instant,
    sum: f64,
    count: u32,
    /// Most requests in flight in this window.
    peak: usize,
}

impl Gradient {
    /// Begins with `min`, where nothing waits, and stays within `min` and `max`.
    pub(super) fn new(min: usize, max: usize, now: Instant) -> Self {
        let (min, max) = (min.max(1) as f64, max.max(min).max(1) as f64);
        Self { limit: min, min, max, best: 0.0, since: now, sum: 0.0, count: 0, peak: 0 }
    }

    /// The limit now.
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// An answer took so long while so many were in flight. The new limit when there is one.
    pub(super) fn heard(&mut self, took: Duration, in_flight: usize, now: Instant) -> Option<usize> {
        self.sum += took.as_secs_f64();
        self.count += 1;
        self.peak = self.peak.max(in_flight);
        let window = now.saturating_duration_since(self.since);
        if window < WINDOW || self.count < ENOUGH {
            return None;
        }
        let before = self.limit();
        self.close(window);
        self.since = now;
        (self.sum, self.count, self.peak) = (0.0, 0, 0);
        (self.limit() != before).then(|| self.limit())
    }

    fn close(&mut self, window: Duration) {
        let mean = (self.sum / f64::from(self.count)).max(1e-6);
        let binds = self.peak as f64 >= self.limit * 0.9;
        // A queue that the limit itself allows must not become the measure: only a limit that binds nobody, or the least one,
        // lets the best latency rise.
        if !binds || self.limit <= self.min {
            self.best *= 1.0 + DRIFT * window.as_secs_f64();
        }
        if self.limit <= self.min && binds && self.best > 0.0 {
            self.best = self.best.max(mean / TOLERANCE);
        }
        self.best = if self.best == 0.0 { mean } else { self.best.min(mean) };
        let gradient = (TOLERANCE * self.best / mean).clamp(0.5, 1.0);
        // A limit that is not used says nothing: it neither grows nor, while answers are fast, shrinks.
        let room = if self.peak as f64 >= self.limit * 0.5 { self.limit.sqrt() } else { 0.0 };
        let estimate = self.limit * gradient + room;
        self.limit = (self.limit * (1.0 - STEP) + estimate * STEP).clamp(self.min, self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A backend that serves `places` at once, each for `service`: more of them wait. Runs it for `seconds` with `offered`
    /// requests always wanting in; gives the limit at the end.
    fn settled(places: usize, service: Duration, offered: usize, seconds: u64) -> usize {
        let start = Instant::now();
        let (mut now, mut gradient) = (start, Gradient::new(4, 1000, start));
        while now < start + Duration::from_secs(seconds) {
            let in_flight = gradient.limit().min(offered);
            let waits = in_flight.max(places) as f64 / places as f64;
            let took = service.mul_f64(waits);
            now += took.div_f64(in_flight as f64);
            gradient.heard(took, in_flight, now);
        }
        gradient.limit()
    }

    #[test]
    fn it_finds_what_the_backend_can_do() {
        let limit = settled(40, Duration::from_millis(10), 500, 60);
        assert!((40..=90).contains(&limit), "{limit}");
        let limit = settled(8, Duration::from_millis(50), 500, 60);
        assert!((8..=24).contains(&limit), "{limit}");
    }

    #[test]
    fn a_limit_that_binds_nobody_stays() {
        assert!(settled(40, Duration::from_millis(10), 4, 30) < 12);
    }

    proptest::proptest! {
        #[test]
        fn it_stays_within_its_bounds(samples in proptest::collection::vec((1u64..2_000_000, 1usize..500, 0u64..50), 1..500)) {
            let mut now = Instant::now();
            let mut gradient = Gradient::new(5, 200, now);
            for (micros, in_flight, wait) in samples {
                now += Duration::from_millis(wait);
                gradient.heard(Duration::from_micros(micros), in_flight, now);
                proptest::prop_assert!((5..=200).contains(&gradient.limit()));
            }
        }
    }
}
