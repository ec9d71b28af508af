//! What happens that somebody may want to hear of, and the queue to the task that decides.
//!
//! Whoever puts an event into the queue never waits: what does not fit is dropped and counted. Must not know rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use tokio::sync::mpsc;

/// The most events in the queue.
pub const MAX_QUEUED: usize = 4096;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Requests failed in the same way.
    Failures(Failures),
    /// No endpoint of a backend gets requests.
    BackendDown {
        /// Its name.
        backend: String,
    },
    /// An endpoint of a backend that was down gets requests again.
    BackendUp {
        /// Its name.
        backend: String,
    },
    /// The circuit breaker of an endpoint opened.
    BreakerOpened {
        /// The name of the backend.
        backend: String,
        /// The endpoint, as in the log.
        endpoint: String,
        /// How often, since the event of before.
        times: u64,
    },
    /// When a certificate of the listener ends. Sent now and then, whenever that is.
    CertificateEnds {
        /// Its file. Receivers are told its name, without the folder.
        file: String,
        /// When it ends.
        at: SystemTime,
    },
    /// A changed configuration or certificate cannot be used.
    ReloadFailed {
        /// What could not be loaded.
        what: &'static str,
        /// The number of its problems.
        problems: usize,
    },
}

/// Failed requests of one group. All texts are masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Identifies the group.
    pub group: String,
    /// What went wrong, in one line and without values.
    pub title: String,
    /// The name of the route.
    pub route: String,
    /// The name of the backend.
    pub backend: String,
    /// The code that clients got.
    pub code: String,
    /// The status that clients got.
    pub status: u16,
    /// The number of requests.
    pub count: u64,
    /// What has become of the group.
    pub change: Option<Change>,
}

/// What has become of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    New,
    /// It had been resolved, and occurred again.
    Regressed,
}

/// What the notifiers want to hear of, so that nobody makes events in vain.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Failures of requests.
    pub failures: AtomicBool,
    /// States of backends, breakers and certificates.
    pub states: AtomicBool,
}

/// The way into the queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    sender: mpsc::Sender<Event>,
    wanted: Arc<Wanted>,
    dropped: Arc<AtomicU64>,
}

/// Creates the queue. What does not fit is counted in `dropped`.
pub fn queue(dropped: Arc<AtomicU64>) -> (Events, mpsc::Receiver<Event>) {
    let (sender, receiver) = mpsc::channel(MAX_QUEUED);
    (Events { sender, wanted: Arc::default(), dropped }, receiver)
}

impl Events {
    /// Puts an event into the queue.
    pub fn send(&self, event: Event) {
        if self.sender.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns what the notifiers want to hear of.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let dropped = Arc::new(AtomicU64::new(0));
        let (events, mut queue) = queue(Arc::clone(&dropped));
        for _ in 0..MAX_QUEUED + 7 {
            events.send(Event::BackendDown { backend: "a".into() });
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 7);
        assert_eq!(std::iter::from_fn(|| queue.try_recv().ok()).count(), MAX_QUEUED);
    }
}
