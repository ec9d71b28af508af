//! The I/O of an HTTP/2 connection: everything that is read or written passes the guard, and whether the client takes what is written is
//! recorded.
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

use super::guard::{Guard, emptied};
use super::state::ConnectionState;
use crate::server::client_socket::ClientSocket;
use crate::server::client_stream::ClientStream;

/// The I/O of a connection.
pub(super) struct Http2Io<'s> {
    socket: TokioIo<&'s mut ClientSocket>,
    /// Bytes of the client that the guard has yet to take, from `taken` on.
    input: Vec<u8>,
    taken: usize,
    /// Bytes for h2, from `given` on.
    output: Vec<u8>,
    given: usize,
    guard: Guard,
    state: Arc<ConnectionState>,
}

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// Size of a read.
const READ: usize = 16 * 1024;

impl<'s> Http2Io<'s> {
    pub(super) fn new(stream: &'s mut ClientStream, state: Arc<ConnectionState>, max_header_size: usize) -> Self {
        let input = std::mem::take(&mut stream.held);
        let guard = Guard::new(max_header_size, Instant::now());
        Self { socket: TokioIo::new(&mut stream.socket), input, taken: 0, output: Vec::new(), given: 0, guard, state }
    }

    /// Passes bytes through the guard until there is something for h2. Returns how many were passed.
    fn pass(guard: &mut Guard, bytes: &[u8], output: &mut Vec<u8>) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && output.len() < READ {
            taken += guard.take(&bytes[taken..], output, Instant::now);
        }
        taken
    }

    /// Gives h2 what there is for it. Returns false if there is nothing.
    fn give(&mut self, buf: &mut ReadBufCursor<'_>) -> bool {
        if self.output.is_empty() && self.taken < self.input.len() {
            self.taken += Self::pass(&mut self.guard, &self.input[self.taken..], &mut self.output);
        }
        if self.taken == self.input.len() {
            (self.input, self.taken) = (Vec::new(), 0);
        }
        let rest = &self.output[self.given..];
        let given = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..given]);
        self.given += given;
        if self.given == self.output.len() {
            (self.output, self.given) = (emptied(std::mem::take(&mut self.output)), 0);
        }
        given > 0
    }

    /// Writes bytes that may need another error code.
    fn write_with_codes(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut copy = bytes[..bytes.len().min(READ)].to_vec();
        self.guard.set_codes(&mut copy);
        Pin::new(&mut self.socket).poll_write(cx, &copy)
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
        while !this.give(&mut buf) {
            let read = READ_BUFFER.with_borrow_mut(|buffer| {
                let read = ready!(this.socket.inner_mut().poll_recv(cx, buffer))?;
                let taken = Self::pass(&mut this.guard, &buffer[..read], &mut this.output);
                this.input.extend_from_slice(&buffer[taken..read]);
                Poll::Ready(io::Result::Ok(read))
            });
            if ready!(read)? == 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Http2Io<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match this.guard.sets_codes() {
            false => Pin::new(&mut this.socket).poll_write(cx, bytes),
            true => this.write_with_codes(cx, bytes),
        };
        if let Poll::Ready(Ok(count)) = written {
            this.guard.wrote(&bytes[..count]);
        }
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
        if self.guard.sets_codes() {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_write(cx, first.map_or(&[], |buf| buf));
        }
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(mut count)) = written {
            for buf in bufs {
                let here = buf.len().min(count);
                this.guard.wrote(&buf[..here]);
                count -= here;
            }
        }
        this.record(written)
    }
}
