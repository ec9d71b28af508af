//! Counters that each core has for itself. Counting is a load and a store in memory that no other core writes: no locked
//! instruction, no cache line that travels. Reading adds up what all cores have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that one thread writes and any may read.
#[derive(Debug, Default)]
pub(super) struct Own(AtomicU64);

impl Own {
    /// Adds. Only the thread of its core may call this: of two at the same time one would be lost.
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The same set of counters for every core.
#[derive(Debug)]
pub(super) struct PerCore<T>(Arc<[CacheLine<T>]>);

/// Begins on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct CacheLine<T>(T);

impl<T> Clone for PerCore<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> PerCore<T> {
    /// Zero for all; at least one core.
    pub(super) fn new(cores: usize) -> Self {
        Self((0..cores.max(1)).map(|_| CacheLine::default()).collect())
    }

    /// Those of one core, which is below the number given to `new`.
    pub(super) fn of(&self, core: usize) -> &T {
        debug_assert!(core < self.0.len(), "two cores would write one counter");
        &self.0[core % self.0.len()].0
    }

    /// The sum over all cores.
    pub(super) fn sum(&self, one: impl Fn(&T) -> u64) -> u64 {
        self.0.iter().fold(0, |sum, line| sum.wrapping_add(one(&line.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_core_counts_for_itself_and_reading_adds_up() {
        let counters: PerCore<Own> = PerCore::new(4);
        std::thread::scope(|scope| {
            for core in 0..4 {
                let counters = &counters;
                scope.spawn(move || (0..10_000).for_each(|_| counters.of(core).add(1)));
            }
        });
        assert_eq!(counters.sum(Own::get), 40_000);
    }
}
