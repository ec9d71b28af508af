//! Counts connections in flight against a maximum.
//!
//! Knows nothing of connections; dropping a permit releases it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A counter with a maximum.
#[derive(Debug)]
pub struct InFlight {
    now: AtomicUsize,
    max: AtomicUsize,
}

/// The permit of one connection. Dropping it releases it.
#[derive(Debug)]
pub struct ConnectionPermit(Arc<InFlight>);

impl InFlight {
    /// Creates a counter that admits `max` at a time.
    pub const fn new(max: usize) -> Self {
        Self { now: AtomicUsize::new(0), max: AtomicUsize::new(max) }
    }

    /// Changes the maximum. Permits beyond it stay valid.
    pub fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Returns a permit if fewer than `max` are in use.
    pub fn enter(self: &Arc<Self>) -> Option<ConnectionPermit> {
        if self.now.fetch_add(1, Ordering::AcqRel) >= self.max.load(Ordering::Relaxed) {
            self.now.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(ConnectionPermit(Arc::clone(self)))
    }

    /// Returns the number of permits in use.
    pub fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_released() {
        let gate = Arc::new(InFlight::new(1));
        let first = gate.enter();
        assert!(first.is_some() && gate.enter().is_none());
        drop(first);
        assert!(gate.enter().is_some());
        assert_eq!(gate.now(), 0);
    }
}
