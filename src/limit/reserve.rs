//! Memory for bodies that are held: one reserve for the whole process, so that many held at once cannot take all there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// The reserve.
#[derive(Debug)]
pub struct Reserve {
    used: AtomicUsize,
    max: usize,
}

/// A part of it; given back when this is dropped.
#[derive(Debug)]
pub struct MemoryPermit {
    of: Arc<Reserve>,
    bytes: usize,
}

/// Bytes with their share of the reserve.
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
    /// The same bytes, which hold the share as long as any part of them lives, wherever they wait to be sent.
    pub fn hold(self, bytes: impl Into<Bytes>) -> Bytes {
        Bytes::from_owner(Held { bytes: bytes.into(), _share: self })
    }

    /// Takes so many bytes more; false when they are not there.
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
    /// A reserve of so many bytes.
    pub const fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    /// A share of nothing, which may grow.
    pub fn share(self: &Arc<Self>) -> MemoryPermit {
        MemoryPermit { of: Arc::clone(self), bytes: 0 }
    }

    /// Takes so many bytes, if they are there.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Option<MemoryPermit> {
        let mut share = self.share();
        share.grow(bytes).then_some(share)
    }

    /// Bytes that there are in all.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Bytes in use.
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
    fn what_is_given_back_can_be_taken_again() {
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
    fn bytes_hold_their_share_as_long_as_a_part_of_them_lives() {
        let reserve = Arc::new(Reserve::new(10));
        let mut bytes = reserve.take(6).unwrap().hold(b"abcdef".as_slice());
        let part = bytes.split_off(4);
        drop(bytes);
        assert_eq!((reserve.used(), part.as_ref()), (6, b"ef".as_slice()));
        drop(part);
        assert_eq!(reserve.used(), 0);
    }
}
