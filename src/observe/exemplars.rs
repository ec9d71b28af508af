//! Exemplars of a histogram: per bucket the trace of one recent request, at most a new one each second.
//!
//! They are taken of failures and of slow requests only, so a fast success pays nothing for them. A request never waits: a slot that is
//! being read keeps what it has. Must not know how a trace is recorded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::histogram::BUCKETS;
use crate::context::TraceId;

/// One request as an example of its bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exemplar {
    pub(super) trace: TraceId,
    pub(super) took: Duration,
    /// When it ended, since 1970.
    pub(super) at: Duration,
}

/// The exemplar of one bucket.
#[derive(Debug, Default)]
struct Slot {
    /// The second since 1970 in which the exemplar was taken.
    second: AtomicU64,
    exemplar: Mutex<Option<Exemplar>>,
}

/// The exemplars of one histogram.
#[derive(Debug, Default)]
pub(super) struct Exemplars([Slot; BUCKETS]);

impl Exemplars {
    /// Takes a request as the exemplar of its bucket, unless the bucket got one in the same second or is being read.
    pub(super) fn take(&self, bucket: usize, trace: TraceId, took: Duration, now: SystemTime) {
        let at = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let Some(slot) = self.0.get(bucket) else { return };
        if slot.second.swap(at.as_secs(), Ordering::Relaxed) == at.as_secs() {
            return;
        }
        match slot.exemplar.try_lock() {
            Ok(mut exemplar) => *exemplar = Some(Exemplar { trace, took, at }),
            Err(TryLockError::Poisoned(poisoned)) => *poisoned.into_inner() = Some(Exemplar { trace, took, at }),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// Returns the exemplar of a bucket.
    pub(super) fn of(&self, bucket: usize) -> Option<Exemplar> {
        *self.0.get(bucket)?.exemplar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gets_one_exemplar_a_second_and_a_reader_stops_nobody() {
        let exemplars = Exemplars::default();
        let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        let take = |trace, millis| exemplars.take(3, [trace; 32], Duration::from_millis(1), at(millis));
        take(b'a', 5_000);
        take(b'b', 5_999);
        assert_eq!(exemplars.of(3).unwrap().trace, [b'a'; 32]);
        take(b'c', 6_000);
        assert_eq!((exemplars.of(3).unwrap().trace, exemplars.of(2).is_none()), ([b'c'; 32], true));
        let reader = exemplars.0[3].exemplar.lock();
        take(b'd', 7_000);
        drop(reader);
        assert_eq!(exemplars.of(3).unwrap().trace, [b'c'; 32]);
        exemplars.take(BUCKETS, [b'e'; 32], Duration::ZERO, at(8_000));
    }
}
