//! How many requests a backend can take at once, found by watching its latency (a gradient limiter).
//!
//! Pure: samples and times in, a limit out. At first the limit grows fast, until answers become slower; then by its square root while
//! they are about as fast as they can be, and it shrinks with the ratio of the best latency to the latest one. When the limit has
//! bound for a while, half of it is tried for a moment: what answers take without a queue is the new measure, better or worse.

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
/// How fast the limit grows at first, per window.
const FAST: f64 = 1.5;
/// A limit that binds for so long is measured again.
const REMEASURE: Duration = Duration::from_secs(10);
/// Windows with half of it: what was in flight before must leave first.
const HALVED: u32 = 2;
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
    /// No answer was slower yet.
    growing: bool,
    /// How long it has bound without a pause.
    bound: Duration,
    /// The limit before half of it was tried, and the windows left.
    trying: Option<(f64, u32)>,
}

impl Gradient {
    /// Begins with `min`, where nothing waits, and stays within `min` and `max`.
    pub(super) fn new(min: usize, max: usize, now: Instant) -> Self {
        let (min, max) = (min.max(1) as f64, max.max(min).max(1) as f64);
        Self {
            limit: min,
            min,
            max,
            best: 0.0,
            since: now,
            sum: 0.0,
            count: 0,
            peak: 0,
            growing: true,
            bound: Duration::ZERO,
            trying: None,
        }
    }

    /// The limit now.
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// An answer took so long while so many were in flight. The new limit when there is one.
    pub(super) fn record(&mut self, took: Duration, in_flight: usize, now: Instant) -> Option<usize> {
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
        if let Some((limit, left)) = self.trying {
            self.trying = (left > 1).then_some((limit, left - 1));
            if self.trying.is_none() {
                (self.best, self.limit) = (mean, limit);
            }
            return;
        }
        let binds = self.peak as f64 >= self.limit * 0.9;
        self.bound = if binds { self.bound + window } else { Duration::ZERO };
        if self.bound >= REMEASURE {
            self.bound = Duration::ZERO;
            self.trying = Some((self.limit, HALVED));
            self.limit = (self.limit / 2.0).max(self.min);
            return;
        }
        if !binds {
            self.best *= 1.0 + DRIFT * window.as_secs_f64();
        }
        self.best = if self.best == 0.0 { mean } else { self.best.min(mean) };
        self.limit = self.next(TOLERANCE * self.best / mean).clamp(self.min, self.max);
    }

    fn next(&mut self, gradient: f64) -> f64 {
        let gradient = gradient.clamp(0.5, 1.0);
        self.growing &= gradient >= 1.0;
        // A limit that is not used says nothing: it neither grows nor, while answers are fast, shrinks.
        let used = self.peak as f64 >= self.limit * 0.5;
        if self.growing && used {
            return self.limit * FAST;
        }
        let estimate = self.limit * gradient + if used { self.limit.sqrt() } else { 0.0 };
        self.limit * (1.0 - STEP) + estimate * STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A backend that serves `places` at once: more of them wait. Runs it for `seconds`, each answer taking `service` of the time,
    /// with `offered` requests always wanting in; gives the limits of the last tenth.
    fn settled(places: usize, service: impl Fn(u64) -> Duration, offered: usize, seconds: u64) -> std::ops::RangeInclusive<usize> {
        let start = Instant::now();
        let (mut now, mut gradient) = (start, Gradient::new(4, 1000, start));
        let (mut low, mut high) = (usize::MAX, 0);
        while now < start + Duration::from_secs(seconds) {
            let in_flight = gradient.limit().min(offered);
            let waits = in_flight.max(places) as f64 / places as f64;
            let took = service((now - start).as_secs()).mul_f64(waits);
            now += took.div_f64(in_flight as f64);
            gradient.record(took, in_flight, now);
            if now > start + Duration::from_secs(seconds) * 9 / 10 {
                (low, high) = (low.min(gradient.limit()), high.max(gradient.limit()));
            }
        }
        low..=high
    }

    fn always(millis: u64) -> impl Fn(u64) -> Duration {
        move |_| Duration::from_millis(millis)
    }

    #[test]
    fn it_finds_what_the_backend_can_do() {
        let limits = settled(40, always(10), 500, 60);
        assert!(*limits.start() >= 20 && (40..=90).contains(limits.end()), "{limits:?}");
        let limits = settled(8, always(50), 500, 60);
        assert!(*limits.start() >= 4 && (8..=24).contains(limits.end()), "{limits:?}");
    }

    #[test]
    fn a_backend_that_became_slower_keeps_its_places() {
        let slower = |second: u64| Duration::from_millis(if second < 60 { 20 } else { 60 });
        let limits = settled(100, slower, 500, 180);
        assert!(*limits.start() >= 50 && *limits.end() >= 100, "{limits:?}");
    }

    #[test]
    fn a_new_one_is_soon_as_large_as_it_must_be() {
        let limits = settled(100, always(20), 500, 4);
        assert!(*limits.end() >= 100, "{limits:?}");
    }

    #[test]
    fn a_limit_that_binds_nobody_stays() {
        assert!(*settled(40, always(10), 4, 30).end() < 16);
    }

    proptest::proptest! {
        #[test]
        fn it_stays_within_its_bounds(samples in proptest::collection::vec((1u64..2_000_000, 1usize..500, 0u64..50), 1..500)) {
            let mut now = Instant::now();
            let mut gradient = Gradient::new(5, 200, now);
            for (micros, in_flight, wait) in samples {
                now += Duration::from_millis(wait);
                gradient.record(Duration::from_micros(micros), in_flight, now);
                proptest::prop_assert!((5..=200).contains(&gradient.limit()));
            }
        }
    }
}
