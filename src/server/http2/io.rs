//! The I/O of an HTTP/2 connection: passes the bytes that were read before, ends a flood of frames, and records whether the client takes
//! what is written.
//!
//! Knows nothing of frames.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::frames::FrameBudget;
use super::state::ConnectionState;
use crate::server::client_socket::ClientSocket;
use crate::server::client_stream::ClientStream;

/// The I/O of a connection.
pub(super) struct Http2Io<'s> {
    socket: TokioIo<&'s mut ClientSocket>,
    /// Bytes that were read before.
    before: Vec<u8>,
    state: Arc<ConnectionState>,
    budget: FrameBudget,
}

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// Size of a read.
const READ: usize = 16 * 1024;

impl<'s> Http2Io<'s> {
    pub(super) fn new(stream: &'s mut ClientStream, state: Arc<ConnectionState>) -> Self {
        let before = std::mem::take(&mut stream.held);
        let mut budget = FrameBudget::new(Instant::now());
        // A first read cannot hold more than its burst.
        budget.count(&before, Instant::now);
        Self { before, budget, socket: TokioIo::new(&mut stream.socket), state }
    }

    fn record<T>(&self, written: Poll<T>) -> Poll<T> {
        self.state.looks(written.is_pending(), || self.socket.inner().taken());
        self.state.wrote(!written.is_pending());
        written
    }
}

impl Read for Http2Io<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.before.is_empty() {
            let fits = this.before.len().min(buf.remaining());
            buf.put_slice(&this.before[..fits]);
            this.before.drain(..fits);
            return Poll::Ready(Ok(()));
        }
        READ_BUFFER.with_borrow_mut(|buffer| {
            let most = buf.remaining().min(buffer.len());
            let read = ready!(this.socket.inner_mut().poll_recv(cx, &mut buffer[..most]))?;
            if !this.budget.count(&buffer[..read], Instant::now) {
                return Poll::Ready(Err(io::Error::other("too many frames that bring no request further")));
            }
            buf.put_slice(&buffer[..read]);
            Poll::Ready(Ok(()))
        })
    }
}

impl Write for Http2Io<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.record(written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.socket).poll_flush(cx);
        // TLS takes some more than the socket does: whether the client reads shows only here.
        if this.socket.inner().is_tls() && (flushed.is_pending() || this.state.is_blocked()) {
            return this.record(flushed);
        }
        // The client may be waited for although the socket accepts more: it bounds what is sent by its windows, too.
        this.state.looks(false, || this.socket.inner().taken());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        this.record(written)
    }
}
