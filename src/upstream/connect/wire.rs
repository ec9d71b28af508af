//! The socket of an upstream connection, which records two things that hyper does not report.
//!
//! It counts reads, because hyper reports an end of stream before and within a response head alike, while the failure catalogue
//! distinguishes them. And it records the request head as it is written, because hyper consumes a request: a request that is sent again is
//! restored from here, which costs a copy of a few hundred bytes instead of one of every header. Knows nothing of HTTP beyond the end of a
//! head.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use memchr::memmem;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

/// The state of a connection's socket during an exchange: the number of successful reads since the request began (an end of stream counts
/// as one), whether the upstream still reads, and the request head as it was written.
#[derive(Clone, Debug, Default)]
pub struct SocketState(Arc<State>);

#[derive(Debug, Default)]
struct State {
    reads: AtomicU32,
    write_closed: AtomicBool,
    keeps_head: AtomicBool,
    /// Reads are bounded, because it is not known yet whether the client reads the response.
    bounded: AtomicBool,
    head: Mutex<Vec<u8>>,
}

/// Size of a read while it is not known whether the client reads the response. hyper's buffers grow with what is read, and stay that large
/// as long as the client reads nothing.
const BOUNDED_READ: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; BOUNDED_READ].into_boxed_slice());
}

/// Maximum recorded bytes; a request with a larger head cannot be sent again.
const MAX_HEAD_SIZE: usize = 64 * 1024;
/// Capacity that is kept for the next head.
const USUAL_HEAD_SIZE: usize = 2 * 1024;

impl SocketState {
    /// Starts a request. With `keeps_head`, its head is recorded for another attempt.
    pub fn start_request(&self, keeps_head: bool) {
        self.0.reads.store(0, Ordering::Relaxed);
        self.0.bounded.store(true, Ordering::Relaxed);
        // Cleared in any case: the head of an earlier request must never be taken for this one's.
        let mut head = self.lock();
        head.clear();
        head.shrink_to(USUAL_HEAD_SIZE);
        drop(head);
        self.0.keeps_head.store(keeps_head, Ordering::Release);
    }

    /// Lifts the bound on reads, since the client reads the response.
    pub fn lift_read_bound(&self) {
        self.0.bounded.store(false, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if bytes of a response arrived. `ended` means that the last read was the end of the stream.
    pub fn has_received(&self, ended: bool) -> bool {
        self.0.reads.load(Ordering::Relaxed) > u32::from(ended)
    }

    /// Returns true if the upstream has stopped reading, so that the connection cannot be reused.
    pub fn is_write_closed(&self) -> bool {
        self.0.write_closed.load(Ordering::Relaxed)
    }

    /// Returns the request head as it was written, if it was recorded completely.
    pub fn request_head(&self) -> Option<Vec<u8>> {
        let head = self.lock();
        let end = memmem::find(&head, END_OF_HEAD)?;
        Some(head[..end + END_OF_HEAD.len()].to_vec())
    }

    /// Records written bytes until the head is complete.
    fn record_head(&self, bytes: &[u8]) {
        let mut head = self.lock();
        if head.capacity() == 0 {
            head.reserve(bytes.len().min(USUAL_HEAD_SIZE));
        }
        let room = MAX_HEAD_SIZE.saturating_sub(head.len());
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        // A head is nearly always written in one piece, so its end is checked first.
        if head.ends_with(END_OF_HEAD) || head.len() >= MAX_HEAD_SIZE || memmem::find(&head, END_OF_HEAD).is_some() {
            self.0.keeps_head.store(false, Ordering::Release);
        }
    }
}

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// The socket of an upstream connection.
///
/// An upstream may respond before it has read the whole request, and close its receiving side. hyper would then report the failed write and
/// lose the response that has arrived. Therefore after a failed write no more bytes are written, the rest of the request is discarded, and
/// reading determines the outcome.
#[derive(Debug)]
pub struct Wire<T> {
    inner: T,
    state: SocketState,
}

impl<T> Wire<T> {
    /// Wraps `inner` and records into `state`.
    pub const fn new(inner: T, state: SocketState) -> Self {
        Self { inner, state }
    }
}

impl<T> Wire<T> {
    /// Records the written part of the offered bytes as long as they belong to the head.
    fn record_written(&self, written: &Poll<io::Result<usize>>, offered: &[IoSlice<'_>]) {
        if !self.state.0.keeps_head.load(Ordering::Acquire) {
            return;
        }
        let Poll::Ready(Ok(mut left)) = *written else { return };
        for bytes in offered {
            let part = &bytes[..left.min(bytes.len())];
            left -= part.len();
            if !part.is_empty() && self.state.0.keeps_head.load(Ordering::Relaxed) {
                self.state.record_head(part);
            }
        }
    }

    /// Turns a write that fails because the upstream stopped reading into a successful one.
    fn ignore_closed(&self, written: Poll<io::Result<usize>>, all: usize) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(error)) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                self.state.0.write_closed.store(true, Ordering::Relaxed);
                Poll::Ready(Ok(all))
            }
            other => other,
        }
    }
}

impl<T: Read + Unpin> Wire<T> {
    /// Reads at most [`BOUNDED_READ`] bytes.
    fn poll_bounded_read(&mut self, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut some = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.inner).poll_read(cx, some.unfilled()))?;
            buf.put_slice(some.filled());
            Poll::Ready(Ok(()))
        })
    }
}

impl<T: Read + Unpin> Read for Wire<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let bounded = buf.remaining() > BOUNDED_READ && this.state.0.bounded.load(Ordering::Relaxed);
        let read = if bounded { this.poll_bounded_read(cx, buf) } else { Pin::new(&mut this.inner).poll_read(cx, buf) };
        if matches!(read, Poll::Ready(Ok(()))) {
            this.state.0.reads.fetch_add(1, Ordering::Relaxed);
        }
        read
    }
}

impl<T: Write + Unpin> Write for Wire<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.state.is_write_closed() {
            let written = Poll::Ready(Ok(bytes.len()));
            this.record_written(&written, &[IoSlice::new(bytes)]);
            return written;
        }
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        let written = this.ignore_closed(written, bytes.len());
        this.record_written(&written, &[IoSlice::new(bytes)]);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let all = bufs.iter().map(|buf| buf.len()).sum();
        if this.state.is_write_closed() {
            let written = Poll::Ready(Ok(all));
            this.record_written(&written, bufs);
            return written;
        }
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        let written = this.ignore_closed(written, all);
        this.record_written(&written, bufs);
        written
    }
}
