//! Counters that each core keeps for itself.
//!
//! Counting is a load and a store in memory that no other core writes, so it needs no atomic read-modify-write and no cache line moves
//! between cores. Reading sums the counters of all cores. Must not know what is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that one thread writes and any thread may read.
#[derive(Debug, Default)]
pub(super) struct CoreCounter(AtomicU64);

impl CoreCounter {
    /// Adds `n`. Only the thread of the core may call this: one of two concurrent additions would be lost.
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A set of counters for each core.
#[derive(Debug)]
pub(super) struct PerCore<T>(Arc<[CacheLine<T>]>);

/// Aligns a value to a cache line, so that cores do not share one.
#[derive(Debug, Default)]
#[repr(align(64))]
struct CacheLine<T>(T);

impl<T> Clone for PerCore<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> PerCore<T> {
    /// Creates counters at zero for `cores` cores, at least one.
    pub(super) fn new(cores: usize) -> Self {
        Self((0..cores.max(1)).map(|_| CacheLine::default()).collect())
    }

    /// Returns the counters of a core, whose number must be below the one given to `new`.
    pub(super) fn of(&self, core: usize) -> &T {
        debug_assert!(core < self.0.len(), "two cores would write one counter");
        &self.0[core % self.0.len()].0
    }

    /// Returns the sum over all cores.
    pub(super) fn sum(&self, one: impl Fn(&T) -> u64) -> u64 {
        self.0.iter().fold(0, |sum, line| sum.wrapping_add(one(&line.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_core_counts_for_itself_and_reading_adds_up() {
        let counters: PerCore<CoreCounter> = PerCore::new(4);
        std::thread::scope(|scope| {
            for core in 0..4 {
                let counters = &counters;
                scope.spawn(move || (0..10_000).for_each(|_| counters.of(core).add(1)));
            }
        });
        assert_eq!(counters.sum(CoreCounter::get), 40_000);
    }
}
