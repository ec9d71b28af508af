//! The distribution of a backend's latencies, from which the delay of a hedged attempt is derived.
//!
//! Pure counters. `retry::hedge` decides whether a request is hedged.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Buckets per doubling: from 4 µs on, a percentile is reported at most a quarter too high.
const BUCKETS_PER_DOUBLING: u32 = 4;
/// From one microsecond to over an hour.
const BUCKETS: usize = 32 * BUCKETS_PER_DOUBLING as usize;
/// At this number of samples, all counts are halved.
const HALVE_AT: u32 = 2048;
/// Minimum number of samples for a percentile.
const MIN_SAMPLES: u32 = 32;

/// The latencies of a backend's responses, shared by all cores. Old samples fade.
#[derive(Debug)]
pub struct Latencies {
    buckets: [AtomicU32; BUCKETS],
    count: AtomicU32,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU32::new(0)), count: AtomicU32::new(0) }
    }
}

/// Returns the bucket of a latency.
const fn bucket(micros: u64) -> usize {
    let micros = if micros == 0 { 1 } else { micros };
    let octave = micros.ilog2();
    // The two bits below the highest one.
    let fine = if octave >= 2 { (micros >> (octave - 2)) & 3 } else { 0 };
    let at = (octave * BUCKETS_PER_DOUBLING) as usize + fine as usize;
    if at < BUCKETS { at } else { BUCKETS - 1 }
}

/// Returns the upper bound of a bucket in microseconds, exclusive.
const fn upper_bound(bucket: usize) -> u64 {
    let (octave, fine) = (bucket as u32 / BUCKETS_PER_DOUBLING, bucket as u64 % BUCKETS_PER_DOUBLING as u64);
    if octave >= 2 { (5 + fine) << (octave - 2) } else { 2 << octave }
}

impl Latencies {
    /// Records the latency of a response.
    pub fn record(&self, took: Duration) {
        self.buckets[bucket(took.as_micros() as u64)].fetch_add(1, Ordering::Relaxed);
        if self.count.fetch_add(1, Ordering::Relaxed) + 1 >= HALVE_AT {
            self.count.store(HALVE_AT / 2, Ordering::Relaxed);
            for bucket in &self.buckets {
                bucket.store(bucket.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
        }
    }

    /// Returns the latency below which `thousandths` of the responses are; `None` if there are too few samples.
    pub fn percentile(&self, thousandths: u32) -> Option<Duration> {
        let counts: Vec<u32> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let all: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        if all < u64::from(MIN_SAMPLES) {
            return None;
        }
        let mut left = all * u64::from(thousandths.min(1000)) / 1000;
        let at = counts.iter().position(|count| {
            let here = left < u64::from(*count);
            left = left.saturating_sub(u64::from(*count));
            here
        });
        at.map(|at| Duration::from_micros(upper_bound(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_grow_and_hold_their_values() {
        for micros in (0..2_000_000).step_by(7) {
            let at = bucket(micros);
            assert!(micros < upper_bound(at).max(2) && (at == 0 || upper_bound(at - 1) <= micros.max(2) || at < 8), "{micros} in {at}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_close() {
        let latencies = Latencies::default();
        assert_eq!(latencies.percentile(950), None);
        for n in 1..=1000u64 {
            latencies.record(Duration::from_micros(n * 100));
        }
        let p95 = latencies.percentile(950).unwrap().as_micros();
        assert!((95_000..=114_000).contains(&p95), "{p95}");
        for _ in 0..20_000 {
            latencies.record(Duration::from_micros(50));
        }
        assert!(latencies.percentile(950).unwrap() < Duration::from_micros(80), "old ones fade");
    }
}
