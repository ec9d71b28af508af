//! The state of a client connection that its driver, its socket and its service share: the progress of requests, responses and bytes.
//!
//! Plain counters and flags; takes no decisions.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::data_rate::MinRate;

/// The state of a client connection. One thread drives a connection and all its streams; these are atomics only because the task is `Send`.
/// So a step is a load and a store, without a locked instruction.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// Request heads that were passed to hyper.
    pub(super) delivered: AtomicU32,
    /// Requests that reached the service.
    pub(super) called: AtomicU32,
    /// Responses whose body has ended.
    pub(super) finished: AtomicU32,
    /// No further requests are passed.
    pub(super) refused: AtomicBool,
    /// The last write was pending: the client reads nothing at the moment.
    pub(super) blocked: AtomicBool,
    /// Bytes of a response were handed to hyper and may not be written yet.
    pub(super) unwritten: AtomicBool,
    /// Number of completed writes.
    pub(super) written: AtomicU32,
    /// Number of bytes written.
    pub(super) bytes: AtomicU64,
    /// Minimum rate at which the client must read the current response, in bytes per second; 0 for none.
    pub(super) min_rate: AtomicU32,
    /// Part of a request head was read.
    pub(super) partial: AtomicBool,
    /// HTTP/2 bodies whose last frame was not taken yet.
    pub(super) stalled: AtomicU32,
    /// Number of changes to `stalled`.
    pub(super) steps: AtomicU32,
    /// A response was aborted whose end only the end of the connection shows.
    pub(super) reset: AtomicBool,
    /// Request bodies in progress. Another core may hold one, so this is counted with locked instructions.
    pub(super) bodies: AtomicU32,
}

/// Counts a request body as in progress until it is dropped.
pub(super) struct RequestBodyGuard(Arc<ConnectionState>);

impl RequestBodyGuard {
    pub(super) fn new(shared: &Arc<ConnectionState>) -> Self {
        shared.bodies.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(shared))
    }
}

impl Drop for RequestBodyGuard {
    fn drop(&mut self) {
        self.0.bodies.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Adds one without a locked instruction; only the connection's thread writes the counter.
pub(super) fn increment(counter: &AtomicU32) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

impl ConnectionState {
    /// Records that a request reached the service. With `multiplexed`, it also counts as a head, because no framer counts it.
    pub(super) fn called(&self, multiplexed: bool) {
        if multiplexed {
            increment(&self.delivered);
        }
        increment(&self.called);
    }

    /// Records whether bytes of a response may be waiting to be written.
    pub(super) fn set_unwritten(&self, unwritten: bool) {
        self.unwritten.store(unwritten, Ordering::Relaxed);
    }

    pub(super) fn has_unwritten(&self) -> bool {
        self.unwritten.load(Ordering::Relaxed)
    }

    pub(super) fn finished(&self) {
        increment(&self.finished);
    }

    /// Records that an HTTP/2 body starts or stops waiting for the client.
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

    pub(super) fn set_reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }

    /// Returns the number of requests (HTTP/2: streams) that are not answered yet.
    pub(super) fn open(&self) -> u32 {
        self.called.load(Ordering::Relaxed).wrapping_sub(self.finished.load(Ordering::Relaxed))
    }

    /// Returns true if every head that was passed is answered, and the response written.
    pub(super) fn is_settled(&self) -> bool {
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

    /// Returns true while a request's body is in progress, possibly after its response.
    pub(super) fn has_body(&self) -> bool {
        self.bodies.load(Ordering::Acquire) > 0
    }

    pub(super) fn is_busy(&self) -> bool {
        self.delivered.load(Ordering::Relaxed) != self.finished.load(Ordering::Relaxed)
    }

    pub(super) fn has_served(&self) -> bool {
        self.called.load(Ordering::Relaxed) > 0
    }

    /// Records the minimum rate of a response that starts.
    pub(super) fn set_min_rate(&self, rate: MinRate) {
        self.min_rate.store(rate.map_or(0, NonZeroU32::get), Ordering::Relaxed);
    }

    pub(super) fn min_rate(&self) -> MinRate {
        NonZeroU32::new(self.min_rate.load(Ordering::Relaxed))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Records that `bytes` were written.
    pub(super) fn wrote(&self, bytes: usize) {
        increment(&self.written);
        self.bytes.store(self.bytes().wrapping_add(bytes as u64), Ordering::Relaxed);
    }

    pub(super) fn written(&self) -> u32 {
        self.written.load(Ordering::Relaxed)
    }
}
