//! A TCP stream that remembers the first bytes that it received: they tell what an endpoint speaks that speaks no TLS, or an old one.
//!
//! Knows nothing of TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Number of bytes that are remembered: those of a `ServerHello` up to its version (RFC 5246 7.4.1.3).
const FIRST: usize = 11;

/// A TCP stream that remembers the first bytes that it received.
#[derive(Debug)]
pub struct FirstBytes {
    tcp: TcpStream,
    first: [u8; FIRST],
    length: usize,
}

impl FirstBytes {
    /// Wraps a stream of which nothing was read yet.
    pub const fn of(tcp: TcpStream) -> Self {
        Self { tcp, first: [0; FIRST], length: 0 }
    }

    /// Returns the first bytes, at most eleven.
    pub fn first(&self) -> &[u8] {
        &self.first[..self.length]
    }
}

impl AsyncRead for FirstBytes {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.tcp).poll_read(cx, buf))?;
        if this.length < FIRST {
            let read = &buf.filled()[before..];
            let more = read.len().min(FIRST - this.length);
            this.first[this.length..][..more].copy_from_slice(&read[..more]);
            this.length += more;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FirstBytes {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}
