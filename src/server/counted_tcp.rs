//! A TCP socket that counts what it sends, so that it is known how much of it the client's system has taken.
//!
//! Knows nothing of what is sent.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::socket;

/// A TCP socket that counts what it sends.
#[derive(Debug)]
pub(super) struct CountedTcp {
    pub(super) tcp: TcpStream,
    /// Number of bytes that the socket accepted.
    sent: u64,
}

impl CountedTcp {
    pub(super) const fn new(tcp: TcpStream) -> Self {
        Self { tcp, sent: 0 }
    }

    /// Returns the number of bytes that the socket has accepted.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the number of bytes that the client's system has acknowledged. It grows as long as the client reads.
    pub(super) fn taken(&self) -> u64 {
        self.sent.saturating_sub(socket::unacknowledged(&self.tcp))
    }

    fn count(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let written = ready!(written)?;
        self.sent += written as u64;
        Poll::Ready(Ok(written))
    }
}

impl AsyncRead for CountedTcp {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for CountedTcp {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = socket::poll_send(&this.tcp, cx, bytes);
        this.count(written)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = socket::poll_send_vectored(&this.tcp, cx, slices);
        this.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing waits in front of a TCP socket.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}
