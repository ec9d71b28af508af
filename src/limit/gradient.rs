//! Finds how many requests a backend can take at once from its latency (a gradient limiter).
//!
//! Pure: takes samples and times, returns a limit. The limit first grows exponentially, until responses become slower. From then on it
//! grows by its square root while the latency is close to the best one, and shrinks by the ratio of the best latency to the current one.
//! When the limit has been reached for a while it is halved for a short probe: the latency measured then, without a queue at the backend,
//! becomes the new best latency, whether better or worse.

use std::time::Duration;

use tokio::time::Instant;

/// Minimum length of a sampling window.
const WINDOW: Duration = Duration::from_millis(100);
/// Minimum number of samples in a window.
const MIN_SAMPLES: u32 = 10;
/// A latency up to this multiple of the best one is not taken as a sign of a queue.
const TOLERANCE: f64 = 1.5;
/// Weight of a new estimate in the limit.
const SMOOTHING: f64 = 0.2;
/// Growth of the limit per window until responses first become slower.
const INITIAL_GROWTH: f64 = 1.5;
/// The best latency is measured again after the limit has been reached for this long.
const PROBE_AFTER: Duration = Duration::from_secs(10);
/// Length of the probe in windows. More than one, because the requests in flight at its start must complete first.
const PROBE_WINDOWS: u32 = 2;
/// Growth of the best latency per second while the limit is not reached, so that an old measurement is forgotten.
const DRIFT: f64 = 0.02;

/// The limiter's state.
#[derive(Clone, Debug)]
pub(super) struct Gradient {
    limit: f64,
    min: f64,
    max: f64,
    /// The best recent mean latency in seconds; 0 before the first window.
    best: f64,
    since: Instant,
    sum: f64,
    count: u32,
    /// Maximum number of requests in flight in this window.
    peak: usize,
    /// True until responses first become slower.
    growing: bool,
    /// The time for which the limit has been reached without a pause.
    limited_for: Duration,
    /// While probing: the limit to return to, and the remaining windows.
    probe: Option<(f64, u32)>,
}

impl Gradient {
    /// Creates a limiter that starts at `min` and stays within `min..=max`.
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
            limited_for: Duration::ZERO,
            probe: None,
        }
    }

    /// Returns the current limit.
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Records that a response took `took` with `in_flight` requests in flight. Returns the limit if it changed.
    pub(super) fn record(&mut self, took: Duration, in_flight: usize, now: Instant) -> Option<usize> {
        self.sum += took.as_secs_f64();
        self.count += 1;
        self.peak = self.peak.max(in_flight);
        let window = now.saturating_duration_since(self.since);
        if window < WINDOW || self.count < MIN_SAMPLES {
            return None;
        }
        let before = self.limit();
        self.close_window(window);
        self.since = now;
        (self.sum, self.count, self.peak) = (0.0, 0, 0);
        (self.limit() != before).then(|| self.limit())
    }

    /// Ends a window and updates the limit.
    fn close_window(&mut self, window: Duration) {
        let mean = (self.sum / f64::from(self.count)).max(1e-6);
        if let Some((limit, left)) = self.probe {
            self.probe = (left > 1).then_some((limit, left - 1));
            if self.probe.is_none() {
                (self.best, self.limit) = (mean, limit);
            }
            return;
        }
        let limited = self.peak as f64 >= self.limit * 0.9;
        self.limited_for = if limited { self.limited_for + window } else { Duration::ZERO };
        if self.limited_for >= PROBE_AFTER {
            self.limited_for = Duration::ZERO;
            self.probe = Some((self.limit, PROBE_WINDOWS));
            self.limit = (self.limit / 2.0).max(self.min);
            return;
        }
        if !limited {
            self.best *= 1.0 + DRIFT * window.as_secs_f64();
        }
        self.best = if self.best == 0.0 { mean } else { self.best.min(mean) };
        self.limit = self.next(TOLERANCE * self.best / mean).clamp(self.min, self.max);
    }

    /// Returns the next limit, before it is clamped to the bounds.
    fn next(&mut self, gradient: f64) -> f64 {
        let gradient = gradient.clamp(0.5, 1.0);
        self.growing &= gradient >= 1.0;
        // A limit that is not used tells nothing: it does not grow, and it shrinks only if responses become slower.
        let used = self.peak as f64 >= self.limit * 0.5;
        if self.growing && used {
            return self.limit * INITIAL_GROWTH;
        }
        let estimate = self.limit * gradient + if used { self.limit.sqrt() } else { 0.0 };
        self.limit * (1.0 - SMOOTHING) + estimate * SMOOTHING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates a backend that serves `capacity` requests at once and queues the rest, each taking `service(second)`, for `seconds` with
    /// `offered` requests always available. Returns the range of the limit over the last tenth of the time.
    fn settled(capacity: usize, service: impl Fn(u64) -> Duration, offered: usize, seconds: u64) -> std::ops::RangeInclusive<usize> {
        let start = Instant::now();
        let (mut now, mut gradient) = (start, Gradient::new(4, 1000, start));
        let (mut low, mut high) = (usize::MAX, 0);
        while now < start + Duration::from_secs(seconds) {
            let in_flight = gradient.limit().min(offered);
            let waits = in_flight.max(capacity) as f64 / capacity as f64;
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
    fn it_finds_the_capacity_of_the_backend() {
        let limits = settled(40, always(10), 500, 60);
        assert!(*limits.start() >= 20 && (40..=90).contains(limits.end()), "{limits:?}");
        let limits = settled(8, always(50), 500, 60);
        assert!(*limits.start() >= 4 && (8..=24).contains(limits.end()), "{limits:?}");
    }

    #[test]
    fn a_slower_backend_keeps_its_limit() {
        let slower = |second: u64| Duration::from_millis(if second < 60 { 20 } else { 60 });
        let limits = settled(100, slower, 500, 180);
        assert!(*limits.start() >= 50 && *limits.end() >= 100, "{limits:?}");
    }

    #[test]
    fn a_new_limit_grows_fast() {
        let limits = settled(100, always(20), 500, 4);
        assert!(*limits.end() >= 100, "{limits:?}");
    }

    #[test]
    fn a_limit_that_is_not_reached_stays() {
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
