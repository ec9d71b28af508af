//! The byte stream of a connection to an endpoint: TCP, TLS over TCP, or what takes the place of the network.
//!
//! Knows nothing of HTTP.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::first_bytes::FirstBytes;
use crate::failure::classify;
use crate::socket;

/// A byte stream that is no socket.
pub trait ByteStream: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin> ByteStream for S {}

/// The byte stream of a connection.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over TCP. Boxed, because its state is large.
    Tls(Box<TlsStream<FirstBytes>>),
    /// What a [`Dialer`](super::connector::Dialer) opened in place of the network.
    Other(Box<dyn ByteStream>),
}

impl Stream {
    /// Returns true for TLS.
    pub const fn is_tls(&self) -> bool {
        match self {
            Self::Tls(_) => true,
            Self::Tcp(_) => false,
            Self::Other(_) => false,
        }
    }

    /// Returns true if the endpoint chose HTTP/2 in the TLS handshake (ALPN).
    pub fn chose_http2(&self) -> bool {
        match self {
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
            Self::Tcp(_) => false,
            Self::Other(_) => false,
        }
    }

    /// Returns false if a read would find nothing, neither data nor the end. Costs no system call.
    pub fn may_be_readable(&self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.poll_read_ready(cx).is_ready(),
            // Data that was decrypted already waits outside of the socket.
            Self::Tls(_) => true,
            Self::Other(_) => true,
        }
    }

    /// Reads into `buffer`. Returns the number of bytes, 0 at the end of the stream.
    ///
    /// # Errors
    /// Returns the error of the socket or of TLS.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Self::Tcp(tcp) = self {
            return socket::poll_recv(tcp, cx, buffer);
        }
        let mut read = ReadBuf::new(buffer);
        ready!(Pin::new(self).poll_read(cx, &mut read))?;
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Returns true if written bytes may wait in a buffer until the stream is flushed.
    pub const fn needs_flush(&self) -> bool {
        match self {
            Self::Tls(_) => true,
            Self::Tcp(_) => false,
            Self::Other(_) => false,
        }
    }
}

impl socket::Receive for Stream {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_recv(cx, buffer)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf).map_err(classify::refused),
            Self::Other(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => socket::poll_send(stream, cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Other(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => socket::poll_send_vectored(stream, cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Other(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Other(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Other(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
