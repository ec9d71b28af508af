//! The transport of a client connection: TCP, or TLS over TCP.
//!
//! Knows nothing of HTTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::counted_tcp::CountedTcp;
use crate::socket;

/// The transport of a client connection.
#[derive(Debug)]
pub(super) enum ClientSocket {
    /// Plain TCP.
    Tcp(CountedTcp),
    /// TLS over TCP. Boxed, because its state is large.
    Tls(Box<TlsStream<CountedTcp>>),
}

impl ClientSocket {
    /// Returns the TCP socket.
    pub(super) fn tcp(&self) -> &TcpStream {
        &self.counted().tcp
    }

    fn counted(&self) -> &CountedTcp {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Returns the number of bytes that the TCP socket has accepted, those of TLS included.
    pub(super) fn sent(&self) -> u64 {
        self.counted().sent()
    }

    /// Returns how many of these the client's system has acknowledged. It grows as long as the client reads, also while the socket accepts
    /// no more: the system says that it does when a large part of its buffer is free, which takes a slow client long. Costs a system call.
    pub(super) fn taken(&self) -> u64 {
        self.counted().taken()
    }

    /// Returns true for TLS.
    pub(super) const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Returns true if HTTP/2 was agreed on by ALPN (RFC 7301).
    pub(super) fn agreed_on_http2(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Reads into `buffer`. Returns the number of bytes, 0 at the end of the stream.
    ///
    /// # Errors
    /// Returns the error of the socket or of TLS.
    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => socket::poll_recv(&tcp.tcp, cx, buffer),
            Self::Tls(tls) => {
                let mut read = ReadBuf::new(buffer);
                ready!(Pin::new(tls).poll_read(cx, &mut read))?;
                Poll::Ready(Ok(read.filled().len()))
            }
        }
    }

    /// Ready as soon as a read may find something, data or the end. The last read must have found nothing.
    ///
    /// # Errors
    /// Returns the error of the socket.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing that was decrypted waits: the caller reads until there is nothing.
        self.tcp().poll_read_ready(cx)
    }

    /// Makes a close look like a failure to the client, which then knows that a response is incomplete.
    pub(super) fn reset_on_close(&self) {
        drop(socket2::SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO)));
    }
}

impl socket::Receive for ClientSocket {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_recv(cx, buffer)
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // Nothing waits in front of a TCP socket.
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
