//! Histograms of durations, counted per core: to observe a value takes two additions and no lock.
//!
//! Must not know what is measured.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

use super::percore::{CoreCounter, PerCore};

/// The upper bounds of the buckets, in microseconds: 1 ms to 60 s, each about 2.5 times the previous one.
const BOUNDS: [u64; 14] =
    [1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 15_000_000, 60_000_000];

/// The durations that one core has observed.
#[derive(Debug, Default)]
pub(super) struct Durations {
    buckets: [CoreCounter; BOUNDS.len() + 1],
    micros: CoreCounter,
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

/// Encodes the sum of the histograms of all cores.
pub(super) fn encode<T: Default>(all: &PerCore<T>, one: impl Fn(&T) -> &Durations, mut encoder: MetricEncoder<'_>) -> fmt::Result {
    let bounds = BOUNDS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
    let counts = (0..=BOUNDS.len()).map(|at| all.sum(|core| one(core).buckets[at].get()));
    let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
    let count = buckets.iter().map(|(_, count)| count).sum();
    let sum = all.sum(|core| one(core).micros.get()) as f64 / 1e6;
    encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}
