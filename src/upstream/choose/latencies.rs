//! How long answers take, in percentiles: when a second try beside a slow first one is worth it.
//!
//! Only numbers; who hedges is `dispatch`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Steps per doubling: a percentile is right within a sixth.
const STEPS: u32 = 4;
/// From one microsecond to over an hour.
const BUCKETS: usize = 32 * STEPS as usize;
/// After so many samples the older ones count half.
const FADES: u32 = 2048;
/// With fewer samples nothing is known.
const ENOUGH: u32 = 32;

/// Latencies of a backend's answers, shared by all cores; the old ones fade.
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

const fn bucket(micros: u64) -> usize {
    let micros = if micros == 0 { 1 } else { micros };
    let octave = micros.ilog2();
    // The two bits below the highest.
    let fine = if octave >= 2 { (micros >> (octave - 2)) & 3 } else { 0 };
    let at = (octave * STEPS) as usize + fine as usize;
    if at < BUCKETS { at } else { BUCKETS - 1 }
}

/// Where a bucket ends, in microseconds.
const fn end(bucket: usize) -> u64 {
    let (octave, fine) = (bucket as u32 / STEPS, bucket as u64 % STEPS as u64);
    if octave >= 2 { (5 + fine) << (octave - 2) } else { 2 << octave }
}

impl Latencies {
    /// An answer took so long.
    pub fn record(&self, took: Duration) {
        self.buckets[bucket(took.as_micros() as u64)].fetch_add(1, Ordering::Relaxed);
        if self.count.fetch_add(1, Ordering::Relaxed) + 1 >= FADES {
            self.count.store(FADES / 2, Ordering::Relaxed);
            for bucket in &self.buckets {
                bucket.store(bucket.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
        }
    }

    /// The time within which so many thousandths of the answers came; `None` while too little is known.
    pub fn percentile(&self, thousandths: u32) -> Option<Duration> {
        let counts: Vec<u32> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let all: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        if all < u64::from(ENOUGH) {
            return None;
        }
        let mut left = all * u64::from(thousandths.min(1000)) / 1000;
        let at = counts.iter().position(|count| {
            let here = left < u64::from(*count);
            left = left.saturating_sub(u64::from(*count));
            here
        });
        at.map(|at| Duration::from_micros(end(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_grow_and_hold_their_values() {
        for micros in (0..2_000_000).step_by(7) {
            let at = bucket(micros);
            assert!(micros < end(at).max(2) && (at == 0 || end(at - 1) <= micros.max(2) || at < 8), "{micros} in {at}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_near() {
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
