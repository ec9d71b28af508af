//! An upstream socket that counts what arrives: hyper reports an end before and within a response head alike, but they are
//! two rows of the catalogue.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

/// Successful reads since the request began; the end of the stream counts as one.
#[derive(Clone, Debug, Default)]
pub struct Reads(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    reads: AtomicU32,
    deaf: AtomicBool,
}

impl Reads {
    /// A request begins.
    pub fn reset(&self) {
        self.0.reads.store(0, Ordering::Relaxed);
    }

    /// Did bytes of a response arrive? `ended` says that the last read was the end of the stream.
    pub fn any_bytes(&self, ended: bool) -> bool {
        self.0.reads.load(Ordering::Relaxed) > u32::from(ended)
    }
}

impl Reads {
    /// The upstream has stopped reading: this connection serves no further request.
    pub fn is_deaf(&self) -> bool {
        self.0.deaf.load(Ordering::Relaxed)
    }
}

/// The socket.
///
/// An upstream may answer before it has read the request, and close its reading side: hyper would report the failed write
/// and lose the answer that is already there. So a write that fails is the last one that is tried, the rest of the request
/// goes nowhere, and reading tells how it ends.
#[derive(Debug)]
pub struct Wire<T> {
    inner: T,
    reads: Reads,
}

impl<T> Wire<T> {
    /// Counts into `reads`.
    pub const fn new(inner: T, reads: Reads) -> Self {
        Self { inner, reads }
    }
}

impl<T> Wire<T> {
    fn hear(&self, written: Poll<io::Result<usize>>, all: usize) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(error)) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                self.reads.0.deaf.store(true, Ordering::Relaxed);
                Poll::Ready(Ok(all))
            }
            other => other,
        }
    }
}

impl<T: Read + Unpin> Read for Wire<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        if matches!(read, Poll::Ready(Ok(()))) {
            this.reads.0.reads.fetch_add(1, Ordering::Relaxed);
        }
        read
    }
}

impl<T: Write + Unpin> Write for Wire<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.reads.is_deaf() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.hear(written, bytes.len())
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
        if this.reads.is_deaf() {
            return Poll::Ready(Ok(all));
        }
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.hear(written, all)
    }
}
