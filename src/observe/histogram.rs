//! Histograms of durations, counted per core: to observe a value takes two additions and no lock.
//!
//! The bounds are powers of two of a second, those of a native histogram of Prometheus with schema 0: neighbours have the ratio 2 over the
//! whole range, the bucket of a value follows from its bit length, and 250 ms, 500 ms, 1 s and 2 s are bounds. Must not know what is
//! measured.

use std::time::Duration;

use super::percore::{CoreCounter, PerCore};

/// The upper bounds of the buckets as the label `le` has them: 122 us (2^-13 s) to 64 s (2^6 s).
pub(super) const BOUNDS: [&str; 20] = [
    "0.0001220703125",
    "0.000244140625",
    "0.00048828125",
    "0.0009765625",
    "0.001953125",
    "0.00390625",
    "0.0078125",
    "0.015625",
    "0.03125",
    "0.0625",
    "0.125",
    "0.25",
    "0.5",
    "1.0",
    "2.0",
    "4.0",
    "8.0",
    "16.0",
    "32.0",
    "64.0",
];

/// The number of buckets, with that of longer durations.
pub(super) const BUCKETS: usize = BOUNDS.len() + 1;

/// Nanoseconds and parts of 2^-13 s in the same time, without their common factor: 10^9 / 2^13 = 5^9 / 2^4.
const NANOS: u64 = 1_953_125;
const PARTS: u64 = 16;

/// Returns the bucket of a duration.
fn bucket(nanos: u64) -> usize {
    // A value on a bound belongs to the bucket below it, hence the 1 less.
    let parts = nanos.saturating_mul(PARTS).saturating_sub(1) / NANOS;
    ((u64::BITS - parts.leading_zeros()) as usize).min(BOUNDS.len())
}

/// The durations that one core has observed.
#[derive(Debug, Default)]
pub(super) struct Durations {
    buckets: [CoreCounter; BUCKETS],
    /// The sum. Microseconds, because nanoseconds overflow after 584 years of waiting, which many requests have behind them together.
    micros: CoreCounter,
}

impl Durations {
    /// Counts one duration. Returns its bucket.
    pub(super) fn observe(&self, duration: Duration) -> usize {
        let nanos = duration.as_nanos() as u64;
        let at = bucket(nanos);
        self.buckets[at].add(1);
        self.micros.add(nanos / 1000);
        at
    }
}

/// The sum of the histograms of all cores.
#[derive(Debug)]
pub(super) struct Summed {
    /// The counts, each of its bucket alone.
    pub(super) buckets: [u64; BUCKETS],
    /// The sum of all durations.
    pub(super) seconds: f64,
}

impl Summed {
    /// Adds up one histogram of each core.
    pub(super) fn of<T: Default>(all: &PerCore<T>, one: impl Fn(&T) -> &Durations) -> Self {
        let buckets = std::array::from_fn(|at| all.sum(|core| one(core).buckets[at].get()));
        Self { buckets, seconds: all.sum(|core| one(core).micros.get()) as f64 / 1e6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        for (at, bound) in BOUNDS.iter().enumerate() {
            let bound: f64 = bound.parse().unwrap();
            assert_eq!(bound, 2f64.powi(at as i32 - 13));
            let nanos = (bound * 1e9).floor() as u64;
            assert_eq!((bucket(nanos), bucket(nanos + 1)), (at, at + 1), "{bound}");
        }
        assert_eq!((bucket(0), bucket(1), bucket(u64::MAX)), (0, 0, BOUNDS.len()));
    }
}
