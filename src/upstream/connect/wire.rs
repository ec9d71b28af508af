//! An upstream socket that counts what arrives: hyper reports an end before and within a response head alike, but they are
//! two rows of the catalogue. It also keeps_head the head that was written: hyper consumes a request, and one that goes out again is
//! read back from here, which costs a copy of some hundred bytes instead of a copy of every header.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use memchr::memmem;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

/// What a connection's exchange knows of its socket: successful reads since the request began (the end of the stream counts as
/// one), whether the upstream still reads, and the head of the request as it was written.
#[derive(Clone, Debug, Default)]
pub struct SocketState(Arc<State>);

#[derive(Debug, Default)]
struct State {
    reads: AtomicU32,
    write_closed: AtomicBool,
    keeps_head: AtomicBool,
    /// SocketState are small, as it is not known yet whether the client takes what is read.
    bounded: AtomicBool,
    head: Mutex<Vec<u8>>,
}

/// Bytes of one read while it is not known whether the client takes them: hyper's buffers grow with what is read, and stay as long as
/// the client takes nothing.
const BOUNDED_READ: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; BOUNDED_READ].into_boxed_slice());
}

/// The largest head that is kept, in bytes; a larger one cannot be sent again.
const MAX_HEAD: usize = 64 * 1024;
/// Room that a connection keeps_head for its next head.
const USUAL_HEAD: usize = 2 * 1024;

impl SocketState {
    /// A request begins; `keeps_head` its head for another try.
    pub fn begin(&self, keeps_head: bool) {
        self.0.reads.store(0, Ordering::Relaxed);
        self.0.bounded.store(true, Ordering::Relaxed);
        // Always: what another request wrote here must never be taken for this one's.
        let mut head = self.lock();
        head.clear();
        head.shrink_to(USUAL_HEAD);
        drop(head);
        self.0.keeps_head.store(keeps_head, Ordering::Release);
    }

    /// The client takes what is read: from now on as much is read as there is.
    pub fn lift_read_bound(&self) {
        self.0.bounded.store(false, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Did bytes of a response arrive? `ended` says that the last read was the end of the stream.
    pub fn any_bytes(&self, ended: bool) -> bool {
        self.0.reads.load(Ordering::Relaxed) > u32::from(ended)
    }

    /// The upstream has stopped reading: this connection serves no further request.
    pub fn is_write_closed(&self) -> bool {
        self.0.write_closed.load(Ordering::Relaxed)
    }

    /// The head as it was written, when all of it was kept.
    pub fn request_head(&self) -> Option<Vec<u8>> {
        let head = self.lock();
        let end = memmem::find(&head, END_OF_HEAD)?;
        Some(head[..end + END_OF_HEAD.len()].to_vec())
    }

    /// Bytes of a request went out.
    fn wrote(&self, bytes: &[u8]) {
        let mut head = self.lock();
        if head.capacity() == 0 {
            head.reserve(bytes.len().min(USUAL_HEAD));
        }
        let room = MAX_HEAD.saturating_sub(head.len());
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        // A head nearly always goes out in one piece, which ends with its end.
        if head.ends_with(END_OF_HEAD) || head.len() >= MAX_HEAD || memmem::find(&head, END_OF_HEAD).is_some() {
            self.0.keeps_head.store(false, Ordering::Release);
        }
    }
}

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// The socket.
///
/// An upstream may answer before it has read the request, and close its reading side: hyper would report the failed write
/// and lose the answer that is already there. So a write that fails is the last one that is tried, the rest of the request
/// goes nowhere, and reading tells how it ends.
#[derive(Debug)]
pub struct Wire<T> {
    inner: T,
    state: SocketState,
}

impl<T> Wire<T> {
    /// Counts into `reads`.
    pub const fn new(inner: T, state: SocketState) -> Self {
        Self { inner, state }
    }
}

impl<T> Wire<T> {
    /// Keeps what was written of the bytes offered, as long as they are a head.
    fn keep(&self, written: &Poll<io::Result<usize>>, offered: &[IoSlice<'_>]) {
        if !self.state.0.keeps_head.load(Ordering::Acquire) {
            return;
        }
        let Poll::Ready(Ok(mut left)) = *written else { return };
        for bytes in offered {
            let part = &bytes[..left.min(bytes.len())];
            left -= part.len();
            if !part.is_empty() && self.state.0.keeps_head.load(Ordering::Relaxed) {
                self.state.wrote(part);
            }
        }
    }

    fn note_closed(&self, written: Poll<io::Result<usize>>, all: usize) -> Poll<io::Result<usize>> {
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
    /// SocketState at most [`BOUNDED_READ`] bytes.
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
            this.keep(&written, &[IoSlice::new(bytes)]);
            return written;
        }
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        let written = this.note_closed(written, bytes.len());
        this.keep(&written, &[IoSlice::new(bytes)]);
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
            this.keep(&written, bufs);
            return written;
        }
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        let written = this.note_closed(written, all);
        this.keep(&written, bufs);
        written
    }
}
