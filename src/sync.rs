//! The locks and atomics of the code that a model checker checks: `tests/loom` compiles the same files with loom's types in place of this
//! module. Also a counter guard.
//!
//! Knows nothing of what is locked or counted.

pub use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
pub use std::sync::{Mutex, MutexGuard, PoisonError};

/// Adds one to a counter for as long as it lives. Sequentially consistent: if one thread counts itself and then looks for an item, and
/// another stores an item and then looks at the counter, at least one of them sees the other.
#[derive(Debug)]
pub struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    /// Adds one to the counter.
    pub fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
