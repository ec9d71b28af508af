//! WebSocket over HTTP/2 (RFC 8441): an extended CONNECT becomes the handshake of HTTP/1.1, which the gateway knows, and its 101 becomes a 200
//! whose stream is the tunnel.
//!
//! Knows nothing of the rules of an upgrade, nor of what passes through the tunnel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead as _, AsyncWrite, ReadBuf};

use crate::failure::{Failure, Kind};
use crate::gateway::{ClientResponse, Entry};
use crate::socket::Receive;
use crate::tunnel::handshake;

/// The one protocol that an extended CONNECT may ask for.
const WEBSOCKET: &str = "websocket";

/// Fields of the handshake of HTTP/1.1 that an extended CONNECT has no use for (RFC 8441 5). A value of the client's own means nothing. A
/// content type describes a body, and there is none.
const OF_HTTP1: [HeaderName; 5] =
    [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_ACCEPT, header::CONTENT_TYPE];

/// Turns the head of an extended CONNECT into a handshake of HTTP/1.1. Returns what gives the stream once the request is accepted, or `None`
/// for any other request.
///
/// # Errors
/// It asks for a protocol that is not WebSocket.
pub(super) fn translate(parts: &mut Parts) -> Result<Option<OnUpgrade>, Failure> {
    if parts.method != Method::CONNECT {
        return Ok(None);
    }
    let Some(protocol) = parts.extensions.remove::<Protocol>() else { return Ok(None) };
    if !protocol.as_str().eq_ignore_ascii_case(WEBSOCKET) {
        return Err(Failure::because(Kind::UpgradeNotPermitted, "an extended CONNECT to a protocol that is not WebSocket"));
    }
    let key = HeaderValue::from_str(&handshake::new_key()).map_err(|_| Failure::new(Kind::Internal))?;
    parts.method = Method::GET;
    for name in &OF_HTTP1 {
        parts.headers.remove(name);
    }
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    parts.headers.insert(header::UPGRADE, HeaderValue::from_static(WEBSOCKET));
    parts.headers.insert(header::SEC_WEBSOCKET_KEY, key);
    Ok(parts.extensions.remove::<OnUpgrade>())
}

/// Returns the status and the headers of a response to an extended CONNECT, and starts the tunnel of one that accepts it. `held` is dropped
/// when the tunnel has ended.
pub(super) fn accept(
    response: &mut ClientResponse,
    stream: OnUpgrade,
    entry: &Entry,
    held: impl Send + 'static,
) -> (StatusCode, HeaderMap) {
    let mut headers = HeaderMap::from(&response.headers);
    let Some(mut tunnel) = response.tunnel.take() else {
        // A success without a tunnel would begin one (RFC 8441 4).
        let status = if response.status.is_success() { StatusCode::BAD_GATEWAY } else { response.status };
        return (status, headers);
    };
    for name in &OF_HTTP1 {
        headers.remove(name);
    }
    let entry = entry.clone();
    tokio::spawn(async move {
        // Without a stream the client has left, as the record of the tunnel says when it is dropped.
        if let Ok(stream) = stream.await {
            tunnel.run(&entry.client.gateway.core, &mut Stream(TokioIo::new(stream)), Vec::new()).await;
        }
        drop((tunnel, held));
    });
    (StatusCode::OK, headers)
}

/// The stream of an extended CONNECT.
struct Stream(TokioIo<Upgraded>);

impl Receive for Stream {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut read))?;
        Poll::Ready(Ok(read.filled().len()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
