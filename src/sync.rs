//! The locks and atomics of what is checked by a model checker: `tests/loom` compiles the same files with its own types behind this
//! door. And a count that is right however its holder ends.

pub use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
pub use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts one for as long as it lives. Sequentially consistent: who is counted and then looks for something, and who puts something
/// there and then looks at the count, cannot miss each other.
#[derive(Debug)]
pub struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    /// Counts one more.
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
