//! A histogram per core: observing one value is two additions and never a lock.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

use super::percore::{Own, PerCore};

/// Upper bounds in microseconds: 1 ms to 60 s in steps of about 2.5.
const BOUNDS: [u64; 14] =
    [1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 15_000_000, 60_000_000];

/// The durations of one core.
#[derive(Debug, Default)]
pub(super) struct Durations {
    buckets: [Own; BOUNDS.len() + 1],
    micros: Own,
}

impl Durations {
    /// Counts one duration.
    pub(super) fn observe(&self, duration: Duration) {
        let micros = duration.as_micros() as u64;
        let at = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[at].add(1);
        self.micros.add(micros);
    }
}

/// Writes what all cores have.
pub(super) fn encode<T: Default>(all: &PerCore<T>, one: impl Fn(&T) -> &Durations, mut encoder: MetricEncoder<'_>) -> fmt::Result {
    let bounds = BOUNDS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
    let counts = (0..=BOUNDS.len()).map(|at| all.sum(|core| one(core).buckets[at].get()));
    let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
    let count = buckets.iter().map(|(_, count)| count).sum();
    let sum = all.sum(|core| one(core).micros.get()) as f64 / 1e6;
    encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}
