//! Error responses to bytes that never became a request, to which hyper would send nothing or a bare status line.
//!
//! Knows nothing of why a request is refused.

use std::pin::Pin;
use std::time::Duration;

use http::{Method, Response, Uri};
use http_body::Body as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client_socket::ClientSocket;
use super::head::{Refusal, skip_empty_lines};
use super::settings::Settings;
use crate::body::Body;
use crate::context::ClientPreferences;
use crate::failure::Failure;
use crate::gateway::{Early, Entry};

/// Bytes that are read and discarded after an early end, so that the client can read the response before a reset.
const LINGER_BYTES: usize = 256 * 1024;
/// How long that may take.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Discards what the client still sends, for a moment. Closing a socket with unread bytes resets it, and the response would be lost.
pub(super) async fn linger(stream: &mut TcpStream) {
    let mut left = LINGER_BYTES;
    let mut scratch = [0; 4096];
    let drain = async {
        while left > 0 {
            match stream.read(&mut scratch).await {
                Ok(0) | Err(_) => return,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
    };
    let _ = tokio::time::timeout(LINGER_TIMEOUT, drain).await;
}

/// Sends the error response for bytes that never became a request, and ends the connection.
pub(super) async fn answer_early(socket: &mut ClientSocket, entry: &Entry, settings: Settings, refusal: Refusal) {
    let (method, uri) = request_line(socket.held());
    let early = Early { failure: Failure::because(refusal.kind, refusal.rule), method, uri, wanted: ClientPreferences::default() };
    let response = entry.client.gateway.answer_early(&entry.client.peer, early);
    let bytes = to_bytes(response).await;
    let write = async {
        socket.stream.write_all(&bytes).await?;
        socket.stream.shutdown().await
    };
    if matches!(tokio::time::timeout(settings.write_timeout, write).await, Ok(Ok(()))) {
        linger(&mut socket.stream).await;
    }
}

/// Returns the method and target of an invalid head, as far as they are valid.
fn request_line(head: &[u8]) -> (Method, Uri) {
    let line = skip_empty_lines(head).split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut parts = line.split(|b| *b == b' ');
    let method = parts.next().filter(|m| m.len() <= 32).and_then(|m| Method::from_bytes(m).ok());
    let target = parts.next().filter(|t| t.len() <= 1024).and_then(|t| Uri::try_from(t).ok()).filter(|uri| uri.path().starts_with('/'));
    let unknown = || Method::from_bytes(b"-").unwrap_or(Method::GET);
    (method.unwrap_or_else(unknown), target.unwrap_or_else(|| Uri::from_static("/")))
}

/// Serializes a response as HTTP/1.1. Its body must be available; nothing here waits for an upstream.
async fn to_bytes(response: Response<Body>) -> Vec<u8> {
    let (parts, mut body) = response.into_parts();
    let phrase = parts.status.canonical_reason().unwrap_or_default();
    let mut bytes = format!(
        "HTTP/1.1 {} {phrase}\r\nconnection: close\r\ndate: {}\r\n",
        parts.status.as_u16(),
        httpdate::fmt_http_date(std::time::SystemTime::now())
    )
    .into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    bytes
}
