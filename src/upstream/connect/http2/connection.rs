//! What the requests and the task of an HTTP/2 connection share: the way to new streams, and their number.
//!
//! Knows nothing of what a stream carries.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::SendRequest;

/// Maximum concurrent streams of a connection. The endpoint may allow fewer.
pub(super) const MAX_STREAMS: usize = 100;

/// Told when a connection can take more requests than before, or none any more.
pub type OnChange = Arc<dyn Fn() + Send + Sync>;

/// An open connection. Dropping it closes it once its streams have ended.
pub struct Http2Connection {
    /// `None` when the connection takes no more requests.
    sender: Mutex<Option<SendRequest<Bytes>>>,
    /// Streams in use.
    active: AtomicUsize,
    /// Streams that the endpoint allows. One until its SETTINGS have arrived, since it refuses what is above.
    limit: AtomicUsize,
    /// Streams since the connection was opened.
    opened: AtomicUsize,
    /// A response has arrived on it.
    has_served: AtomicBool,
    scheme: &'static str,
    on_change: OnChange,
}

impl std::fmt::Debug for Http2Connection {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Http2Connection({}/{})", self.active(), self.limit.load(Ordering::Relaxed))
    }
}

impl Http2Connection {
    pub(super) fn new(sender: SendRequest<Bytes>, scheme: &'static str, on_change: OnChange) -> Self {
        Self {
            sender: Mutex::new(Some(sender)),
            active: AtomicUsize::new(0),
            limit: AtomicUsize::new(1),
            opened: AtomicUsize::new(0),
            has_served: AtomicBool::new(false),
            scheme,
            on_change,
        }
    }

    fn sender(&self) -> MutexGuard<'_, Option<SendRequest<Bytes>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a place for a stream if one is free, and what opens it.
    pub(super) fn place(self: &Arc<Self>) -> Option<(Place, SendRequest<Bytes>)> {
        if self.active() >= self.limit.load(Ordering::SeqCst).min(MAX_STREAMS) {
            return None;
        }
        let mut current = self.sender();
        let mut sender = current.as_ref()?.clone();
        // An error says that the endpoint takes no more requests (GOAWAY), or that the numbers of streams are used up.
        if matches!(sender.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_))) {
            *current = None;
            return None;
        }
        self.active.fetch_add(1, Ordering::SeqCst);
        self.opened.fetch_add(1, Ordering::Relaxed);
        Some((Place(Arc::clone(self)), sender))
    }

    /// Returns true if the connection takes no more requests.
    pub fn is_closing(&self) -> bool {
        self.sender().is_none()
    }

    /// Takes no more requests. The connection closes after its last stream.
    pub fn retire(&self) {
        if self.sender().take().is_some() {
            (self.on_change)();
        }
    }

    /// Takes no more requests if there is none now. Returns true if the connection takes no more.
    pub(super) fn retire_if_idle(&self) -> bool {
        let mut sender = self.sender();
        if self.active() == 0 {
            *sender = None;
        }
        sender.is_none()
    }

    pub(super) fn set_limit(&self, limit: usize) {
        if self.limit.swap(limit, Ordering::SeqCst) < limit {
            (self.on_change)();
        }
    }

    /// Returns the number of streams in use.
    pub(super) fn active(&self) -> usize {
        self.active.load(Ordering::SeqCst)
    }

    /// Returns the number of streams since the connection was opened.
    pub(super) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

/// One stream's place on its connection.
#[derive(Debug)]
pub(super) struct Place(Arc<Http2Connection>);

impl Place {
    pub(super) fn connection(&self) -> &Http2Connection {
        &self.0
    }

    /// Returns the scheme of the connection's requests.
    pub(super) fn scheme(&self) -> &'static str {
        self.0.scheme
    }

    /// Returns true if a response has arrived on the connection.
    pub(super) fn has_served(&self) -> bool {
        self.0.has_served.load(Ordering::Relaxed)
    }

    /// Records that a response has arrived on the connection.
    pub(super) fn serves(&self) {
        self.0.has_served.store(true, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
        (self.0.on_change)();
    }
}
