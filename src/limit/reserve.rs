//! The memory for buffered bodies: one budget for the whole process, so that many buffered bodies at once cannot exhaust memory.
//!
//! Knows nothing of bodies; it counts bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// The memory budget.
#[derive(Debug)]
pub struct Reserve {
    used: AtomicUsize,
    max: usize,
}

/// A share of the budget. Dropping it returns the bytes.
#[derive(Debug)]
pub struct MemoryPermit {
    of: Arc<Reserve>,
    bytes: usize,
}

/// Bytes together with their share of the budget.
struct Held {
    bytes: Bytes,
    _share: MemoryPermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl MemoryPermit {
    /// Returns the same bytes, which hold the share for as long as any slice of them lives, even in a send buffer.
    pub fn hold(self, bytes: impl Into<Bytes>) -> Bytes {
        Bytes::from_owner(Held { bytes: bytes.into(), _share: self })
    }

    /// Takes `bytes` more from the budget. Returns false, and takes nothing, if they are not available.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let sum = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.of.max);
        let taken = self.of.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, sum).is_ok();
        if taken {
            self.bytes += bytes;
        }
        taken
    }
}

impl Reserve {
    /// Creates a budget of `max` bytes.
    pub const fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    /// Returns an empty share, to be grown later.
    pub fn share(self: &Arc<Self>) -> MemoryPermit {
        MemoryPermit { of: Arc::clone(self), bytes: 0 }
    }

    /// Takes `bytes` from the budget if they are available.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Option<MemoryPermit> {
        let mut share = self.share();
        share.grow(bytes).then_some(share)
    }

    /// Returns the size of the budget in bytes.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Returns the number of bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        self.of.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returned_bytes_can_be_taken_again() {
        let reserve = Arc::new(Reserve::new(10));
        let first = reserve.take(6);
        assert!(first.is_some() && reserve.take(5).is_none() && reserve.take(usize::MAX).is_none());
        drop(first);
        let mut whole = reserve.share();
        assert!(whole.grow(4) && whole.grow(6) && !whole.grow(1));
        drop(whole);
        assert_eq!(reserve.used(), 0);
    }

    #[test]
    fn a_slice_keeps_the_share_of_the_whole() {
        let reserve = Arc::new(Reserve::new(10));
        let mut bytes = reserve.take(6).unwrap().hold(b"abcdef".as_slice());
        let part = bytes.split_off(4);
        drop(bytes);
        assert_eq!((reserve.used(), part.as_ref()), (6, b"ef".as_slice()));
        drop(part);
        assert_eq!(reserve.used(), 0);
    }
}
