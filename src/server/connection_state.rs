//! What connection, guard and service know of each other: how far requests, answers and bytes are. It decides nothing.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::data_rate::MinRate;

/// What connection, guard and service know of each other. One thread drives a connection and all its streams: atomics only
/// because the task is `Send`, so a step is a load and a store and no locked instruction.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// Heads that passed to hyper.
    pub(super) delivered: AtomicU32,
    /// Requests that reached the service.
    pub(super) called: AtomicU32,
    /// Answers whose body is over.
    pub(super) finished: AtomicU32,
    /// Nothing more passes.
    pub(super) refused: AtomicBool,
    /// The client takes nothing at the moment.
    pub(super) blocked: AtomicBool,
    /// Bytes of an answer were handed to hyper and may not be written yet.
    pub(super) unwritten: AtomicBool,
    /// Steps of writing.
    pub(super) written: AtomicU32,
    /// Bytes that were written.
    pub(super) bytes: AtomicU64,
    /// The least rate at which the client must take the answer under way, in bytes a second; 0 for none.
    pub(super) min_rate: AtomicU32,
    /// Part of a head is there.
    pub(super) partial: AtomicBool,
    /// HTTP/2 bodies whose last frame was not taken yet, and steps they made.
    pub(super) stalled: AtomicU32,
    pub(super) steps: AtomicU32,
    /// An answer was cut whose end only the connection's end shows.
    pub(super) reset: AtomicBool,
    /// Request bodies under way. Another core may have one, so this is counted with locked instructions.
    pub(super) bodies: AtomicU32,
}

/// A request body under way.
pub(super) struct Arriving(Arc<ConnectionState>);

impl Arriving {
    pub(super) fn new(shared: &Arc<ConnectionState>) -> Self {
        shared.bodies.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(shared))
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.bodies.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Counts one step.
pub(super) fn increment(counter: &AtomicU32) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

impl ConnectionState {
    /// A request reached the service; `multiplexed` where no gate counts heads.
    pub(super) fn called(&self, multiplexed: bool) {
        if multiplexed {
            increment(&self.delivered);
        }
        increment(&self.called);
    }

    /// Whether bytes of an answer may wait to be written.
    pub(super) fn set_unwritten(&self, unwritten: bool) {
        self.unwritten.store(unwritten, Ordering::Relaxed);
    }

    pub(super) fn has_unwritten(&self) -> bool {
        self.unwritten.load(Ordering::Relaxed)
    }

    pub(super) fn finished(&self) {
        increment(&self.finished);
    }

    /// A body begins or ends to wait for the client.
    pub(super) fn stalled(&self, waits: bool) {
        increment(&self.steps);
        if waits {
            increment(&self.stalled);
        } else {
            self.stalled.store(self.stalled.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
        }
    }

    /// Every open stream waits for the client.
    pub(super) fn is_stalled(&self) -> bool {
        let stalled = self.stalled.load(Ordering::Relaxed);
        stalled > 0 && stalled >= self.open()
    }

    pub(super) fn steps(&self) -> u32 {
        self.steps.load(Ordering::Relaxed)
    }

    pub(super) fn must_reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }

    /// Requests that are not answered yet (HTTP/2: streams).
    pub(super) fn open(&self) -> u32 {
        self.called.load(Ordering::Relaxed).wrapping_sub(self.finished.load(Ordering::Relaxed))
    }

    /// Every head that passed was answered and written.
    pub(super) fn settled(&self) -> bool {
        self.delivered.load(Ordering::Relaxed) == self.finished.load(Ordering::Relaxed) && !self.is_blocked()
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    pub(super) fn is_partial(&self) -> bool {
        self.partial.load(Ordering::Relaxed)
    }

    /// A request's body is under way, perhaps after its answer.
    pub(super) fn has_body(&self) -> bool {
        self.bodies.load(Ordering::Acquire) > 0
    }

    pub(super) fn is_busy(&self) -> bool {
        self.delivered.load(Ordering::Relaxed) != self.finished.load(Ordering::Relaxed)
    }

    pub(super) fn has_served(&self) -> bool {
        self.called.load(Ordering::Relaxed) > 0
    }

    /// The least rate of the answer that begins.
    pub(super) fn set_min_rate(&self, rate: MinRate) {
        self.min_rate.store(rate.map_or(0, NonZeroU32::get), Ordering::Relaxed);
    }

    pub(super) fn min_rate(&self) -> MinRate {
        NonZeroU32::new(self.min_rate.load(Ordering::Relaxed))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// So many bytes were written.
    pub(super) fn wrote(&self, bytes: usize) {
        increment(&self.written);
        self.bytes.store(self.bytes().wrapping_add(bytes as u64), Ordering::Relaxed);
    }

    pub(super) fn written(&self) -> u32 {
        self.written.load(Ordering::Relaxed)
    }
}
