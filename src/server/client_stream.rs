//! A client connection as a stream of bytes, and the bytes that were read from it and not used yet.
//!
//! Reads go to one buffer per core; only what cannot be used at once is held. Knows nothing of requests.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite as _;
use tokio::task::coop;

use super::client_socket::ClientSocket;
use crate::http1::sending::Sending;

/// Size of the largest read.
const LARGEST_READ: usize = 64 * 1024;
/// Size of a read at the start of a request; small, because pipelined requests in it are held while the first one is served.
pub(super) const HEAD_READ: usize = 8 * 1024;

/// Bytes that count as one operation of a task's budget.
const OPERATION: usize = 16 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; LARGEST_READ].into_boxed_slice());
}

/// A client connection as a stream of bytes.
#[derive(Debug)]
pub(super) struct ClientStream {
    pub(super) socket: ClientSocket,
    /// Bytes that were read and not used yet.
    pub(super) held: Vec<u8>,
    /// Set once the client has read more than its socket's send buffer can hold.
    client_reads: Arc<AtomicBool>,
    /// Number of written bytes at which `client_reads` is checked next.
    check_at: u64,
}

/// Bytes that are written between two such checks.
const CHECK_INTERVAL: u64 = 128 * 1024;

/// What was received.
pub(super) enum Received<T> {
    /// Nothing was held: the received bytes were used at once, with this result. What was not used is held.
    Direct(T),
    /// The bytes were added to those that are held.
    Held,
    /// The client has closed its side, or the connection is broken.
    End,
}

impl ClientStream {
    pub(super) const fn new(socket: ClientSocket, client_reads: Arc<AtomicBool>) -> Self {
        Self { socket, held: Vec::new(), client_reads, check_at: CHECK_INTERVAL }
    }

    /// Receives up to `most` bytes. If none are held, `take` may use them where they are; it returns how many it used, from the start.
    pub(super) fn poll_receive<T>(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        take: impl FnOnce(&[u8]) -> (usize, T),
    ) -> Poll<Received<T>> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let read = ready!(self.socket.poll_recv(cx, &mut buffer[..most.min(LARGEST_READ)]));
            let bytes = &buffer[..read.unwrap_or_default()];
            if bytes.is_empty() {
                return Poll::Ready(Received::End);
            }
            spend(cx, bytes.len());
            if !self.held.is_empty() {
                self.held.extend_from_slice(bytes);
                return Poll::Ready(Received::Held);
            }
            let (used, result) = take(bytes);
            if used < bytes.len() {
                self.held.extend_from_slice(&bytes[used..]);
            }
            Poll::Ready(Received::Direct(result))
        })
    }

    /// Removes bytes from the start of those that are held.
    pub(super) fn consume(&mut self, bytes: usize) {
        if bytes == self.held.len() {
            // An idle connection holds no buffer.
            self.held = Vec::new();
        } else {
            self.held.drain(..bytes);
        }
    }

    /// Sends some of what is to be sent. Returns the number of bytes.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, sending: &mut Sending) -> Poll<io::Result<usize>> {
        let socket = Pin::new(&mut self.socket);
        let written = match sending.parts() {
            (bytes, []) => ready!(socket.poll_write(cx, bytes))?,
            _ => ready!(socket.poll_write_vectored(cx, &sending.slices()))?,
        };
        sending.advance(written);
        spend(cx, written);
        if self.socket.sent() > self.check_at {
            self.check_client_reads();
        }
        if written == 0 { Poll::Ready(Err(io::ErrorKind::WriteZero.into())) } else { Poll::Ready(Ok(written)) }
    }

    /// Sends what TLS holds back because the socket was full.
    ///
    /// # Errors
    /// Returns the error of the socket or of TLS.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Checks whether more was written than the send buffer holds; the client must have read the excess.
    #[cold]
    fn check_client_reads(&mut self) {
        let holds = socket2::SockRef::from(self.socket.tcp()).send_buffer_size().unwrap_or(usize::MAX) as u64;
        let sent = self.socket.sent();
        let client_reads = sent > holds;
        self.client_reads.store(client_reads, Ordering::Relaxed);
        self.check_at = if client_reads { u64::MAX } else { sent + CHECK_INTERVAL };
    }

    /// Reads until the bytes tell whether they start with `preface`. Returns false if the stream ended without any.
    pub(super) async fn sniff(&mut self, preface: &[u8]) -> bool {
        loop {
            let undecided = self.held.len() < preface.len() && preface.starts_with(&self.held);
            if !undecided {
                return true;
            }
            if matches!(std::future::poll_fn(|cx| self.poll_receive(cx, HEAD_READ, |_| (0, ()))).await, Received::End) {
                return !self.held.is_empty();
            }
        }
    }
}

/// Counts a large transfer as several operations, so that a task that always finds data ready lets the others of its core run in time.
fn spend(cx: &mut Context<'_>, bytes: usize) {
    for _ in 0..bytes / OPERATION {
        let Poll::Ready(operation) = coop::poll_proceed(cx) else { return };
        operation.made_progress();
    }
}
