//! An HTTP/2 connection to an endpoint, which the requests of a core share, one stream each.
//!
//! The library `h2` does the framing. The connection's task drives it and ends with it: when it was idle for too long, when it answers no
//! PING, when the endpoint closes it, and at the latest when nothing refers to it any more. Knows nothing of pools or endpoints.

mod drive;
mod stream;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;

pub use self::stream::{Http2Head, Http2Stream};
use super::stream::Stream;
use crate::failure::{Failure, classify};

/// Maximum concurrent streams of a connection. The endpoint may allow fewer.
pub const MAX_STREAMS: usize = 100;
/// Bytes of a response that may arrive before its client has taken any.
const STREAM_WINDOW: u32 = 128 * 1024;
/// The same for all streams of a connection. Clients that read slowly must not take the window of the others, so it is the sum.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;
/// Maximum size of a header list. Above `upstream::heads::response`, which tells what is too large.
const MAX_HEADER_LIST: u32 = 256 * 1024;
/// Maximum bytes of a stream's request body that wait for the socket.
const SEND_BUFFER: usize = 64 * 1024;

/// Told when a connection can take more requests than before, or none any more.
pub type OnChange = Arc<dyn Fn() + Send + Sync>;

/// What a connection is opened with.
pub struct Opening {
    /// The connection closes when it had no request for so long.
    pub idle_timeout: Duration,
    /// Called when the number of free streams grows, and when the connection takes no more requests.
    pub on_change: OnChange,
    /// Held until the connection is closed.
    pub permit: Box<dyn Send>,
}

/// An open connection. Dropping it closes it once its streams have ended.
pub struct Http2Connection {
    /// `None` when the connection takes no more requests.
    sender: Mutex<Option<SendRequest<Bytes>>>,
    /// Streams in use.
    active: AtomicUsize,
    /// Streams that the endpoint allows. One until its SETTINGS have arrived, since it refuses what is above.
    limit: AtomicUsize,
    /// A response has arrived on it.
    has_served: AtomicBool,
    /// Streams since the connection was opened.
    opened: AtomicUsize,
    scheme: &'static str,
    on_change: OnChange,
}

impl std::fmt::Debug for Http2Connection {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Http2Connection({}/{})", self.active.load(Ordering::Relaxed), self.limit.load(Ordering::Relaxed))
    }
}

impl Http2Connection {
    /// Opens a connection over a stream that was just opened, and starts its task on this core's runtime.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn open(stream: Stream, opening: Opening) -> Result<Arc<Self>, Failure> {
        let scheme = if stream.is_tls() { "https" } else { "http" };
        let (sender, mut driven) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_LIST)
            .max_send_buffer_size(SEND_BUFFER)
            .initial_max_send_streams(1)
            .enable_push(false)
            .handshake::<_, Bytes>(stream)
            .await
            .map_err(|error| classify::http2_head(&error).failure)?;
        let connection = Arc::new(Self {
            sender: Mutex::new(Some(sender)),
            active: AtomicUsize::new(0),
            limit: AtomicUsize::new(1),
            has_served: AtomicBool::new(false),
            opened: AtomicUsize::new(0),
            scheme,
            on_change: Arc::clone(&opening.on_change),
        });
        let clock = drive::Clock::new(driven.ping_pong(), opening.idle_timeout);
        let weak = Arc::downgrade(&connection);
        tokio::spawn(async move {
            drive::drive(driven, clock, &weak).await;
            if let Some(connection) = weak.upgrade() {
                connection.retire();
            }
            drop(opening.permit);
            (opening.on_change)();
        });
        Ok(connection)
    }

    fn sender(&self) -> MutexGuard<'_, Option<SendRequest<Bytes>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a stream if one is free.
    pub fn stream(self: &Arc<Self>) -> Option<Box<Http2Stream>> {
        if self.active.load(Ordering::SeqCst) >= self.limit.load(Ordering::SeqCst).min(MAX_STREAMS) {
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
        let reused = self.has_served.load(Ordering::Relaxed);
        Some(Box::new(Http2Stream::new(Slot(Arc::clone(self)), sender, reused)))
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
    fn retire_if_idle(&self) -> bool {
        let mut sender = self.sender();
        if self.active.load(Ordering::SeqCst) == 0 {
            *sender = None;
        }
        sender.is_none()
    }

    fn set_limit(&self, limit: usize) {
        if self.limit.swap(limit, Ordering::SeqCst) < limit {
            (self.on_change)();
        }
    }
}

/// One stream's place on its connection.
#[derive(Debug)]
struct Slot(Arc<Http2Connection>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
        (self.0.on_change)();
    }
}
