//! The state of an HTTP/2 connection that its driver, its I/O and its streams share.
//!
//! Plain counters and flags; takes no decisions.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The state of a connection. One thread drives a connection and all its streams; these are atomics only because the tasks are `Send`. So a
/// step is a load and a store, without a locked instruction.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// Streams that reached the service.
    called: AtomicU32,
    /// Responses whose body has ended.
    finished: AtomicU32,
    /// The last write was pending: the client reads nothing at the moment.
    blocked: AtomicBool,
    /// Number of completed writes.
    written: AtomicU32,
    /// Bytes of the connection that the client's system had taken, when that was looked at last.
    taken: AtomicU64,
    /// It is to be looked at again.
    look: AtomicBool,
    /// Bodies whose last frame was not taken yet.
    stalled: AtomicU32,
    /// Number of changes to `stalled`.
    steps: AtomicU32,
}

/// Adds one without a locked instruction; only the connection's thread writes the counter.
fn increment(counter: &AtomicU32) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

impl ConnectionState {
    /// Records that a request reached the service.
    pub(super) fn called(&self) {
        increment(&self.called);
    }

    /// Records that a response has ended.
    pub(super) fn finished(&self) {
        increment(&self.finished);
    }

    /// Records that a body starts or stops waiting for the client.
    pub(super) fn stalled(&self, waits: bool) {
        increment(&self.steps);
        if waits {
            increment(&self.stalled);
        } else {
            self.stalled.store(self.stalled.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
        }
    }

    /// Returns true if every open stream waits for the client.
    pub(super) fn is_stalled(&self) -> bool {
        let stalled = self.stalled.load(Ordering::Relaxed);
        stalled > 0 && stalled >= self.open()
    }

    pub(super) fn steps(&self) -> u32 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Returns the number of streams that are not answered yet.
    pub(super) fn open(&self) -> u32 {
        self.called.load(Ordering::Relaxed).wrapping_sub(self.finished.load(Ordering::Relaxed))
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    pub(super) fn has_served(&self) -> bool {
        self.called.load(Ordering::Relaxed) > 0
    }

    /// Records a write. `completed` is false if the socket takes nothing at the moment.
    pub(super) fn wrote(&self, completed: bool) {
        self.blocked.store(!completed, Ordering::Relaxed);
        if completed {
            increment(&self.written);
        }
    }

    /// Asks the I/O to look how much the client has taken.
    pub(super) fn look(&self) {
        self.look.store(true, Ordering::Relaxed);
    }

    /// Looks how much the client has taken, if that was asked for, or if it begins to take nothing more: `blocks` tells that.
    pub(super) fn looks(&self, blocks: bool, taken: impl FnOnce() -> u64) {
        if self.look.load(Ordering::Relaxed) || (blocks && !self.is_blocked()) {
            self.look.store(false, Ordering::Relaxed);
            self.taken.store(taken(), Ordering::Relaxed);
        }
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn written(&self) -> u32 {
        self.written.load(Ordering::Relaxed)
    }
}
