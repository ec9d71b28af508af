//! Counts what is in flight against a maximum. A permit gives its place back when it is dropped, however it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A counter with a maximum.
#[derive(Debug)]
pub struct InFlight {
    now: AtomicUsize,
    max: usize,
}

/// One place taken.
#[derive(Debug)]
pub struct ConnectionPermit(Arc<InFlight>);

impl InFlight {
    /// A counter that admits `max` at the same time.
    pub const fn new(max: usize) -> Self {
        Self { now: AtomicUsize::new(0), max }
    }

    /// Takes a place, if there is one.
    pub fn enter(self: &Arc<Self>) -> Option<ConnectionPermit> {
        if self.now.fetch_add(1, Ordering::AcqRel) >= self.max {
            self.now.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(ConnectionPermit(Arc::clone(self)))
    }

    /// Places taken now.
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
    fn places_come_back() {
        let gate = Arc::new(InFlight::new(1));
        let first = gate.enter();
        assert!(first.is_some() && gate.enter().is_none());
        drop(first);
        assert!(gate.enter().is_some());
        assert_eq!(gate.now(), 0);
    }
}
