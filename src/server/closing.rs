//! The end of the accepting of requests, as a connection learns of it.
//!
//! Knows nothing of what a connection does then.

use std::pin::Pin;
use std::task::Context;

use tokio::task::coop::has_budget_remaining;

use crate::gateway::Entry;

/// The end of the accepting of requests, as a connection learns of it.
pub(super) struct Closing<F> {
    signal: F,
    listens: bool,
}

impl<F: Future> Closing<Pin<&mut F>> {
    pub(super) const fn new(signal: Pin<&mut F>) -> Closing<Pin<&mut F>> {
        Closing { signal, listens: false }
    }

    /// Returns true once no further requests are accepted. Else the task is woken then. The listener's flag is set before the signal is sent,
    /// so the signal need not be polled again once it has registered the task.
    pub(super) fn is_due(&mut self, entry: &Entry, cx: &mut Context<'_>) -> bool {
        if self.listens {
            return entry.client.is_closed();
        }
        self.listens = has_budget_remaining();
        self.signal.as_mut().poll(cx).is_ready()
    }
}
