//! Error responses to bytes that never became a request.
//!
//! Knows nothing of why a request is refused.

use std::pin::Pin;
use std::time::Duration;

use http::{Method, Uri};
use http_body::Body as _;
use tokio::io::AsyncWriteExt as _;

use super::client_socket::ClientSocket;
use super::client_stream::ClientStream;
use super::settings::Settings;
use crate::context::ClientPreferences;
use crate::failure::Kind;
use crate::gateway::{ClientResponse, Early, Entry};
use crate::http1::{Violation, skip_empty_lines, target, write};
use crate::socket;

/// The refusal of requests that arrive during shutdown.
pub(super) const SHUTTING_DOWN: Violation = Violation { kind: Kind::ShuttingDown, rule: "arrived after the listeners closed", byte: None };
/// The refusal of a head that does not arrive in time.
pub(super) const HEADER_TIMEOUT: Violation = Violation { kind: Kind::RequestTimeout, rule: "header_timeout", byte: None };

/// Bytes that are read and discarded after an early end, so that the client can read the response before a reset.
const LINGER_BYTES: usize = 256 * 1024;
/// How long that may take.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// GOAWAY with `PROTOCOL_ERROR` (RFC 9113 6.8).
const GO_AWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// The methods that clients of HTTP/1 send.
const METHODS: &[&[u8]] = &[b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE"];

/// Discards what the client still sends, for a moment. Closing a socket with unread bytes resets it, and the response would be lost.
pub(super) async fn linger(socket: &ClientSocket) {
    let mut left = LINGER_BYTES;
    let mut scratch = [0; 4096];
    let drain = async {
        while left > 0 {
            match std::future::poll_fn(|cx| socket::poll_recv(socket.tcp(), cx, &mut scratch)).await {
                Ok(0) | Err(_) => return,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
    };
    let _ = tokio::time::timeout(LINGER_TIMEOUT, drain).await;
}

/// Sends the error response for bytes that never became a request, and ends the connection.
pub(super) async fn answer_early(stream: &mut ClientStream, entry: &Entry, settings: Settings, violation: Violation) {
    let (method, uri) = request_line(&stream.held);
    let early = Early { failure: violation.into(), method, uri, wanted: ClientPreferences::default() };
    let response = entry.client.gateway.get().answer_early(&entry.client.peer, early);
    let bytes = if is_broken_preface(&stream.held) { GO_AWAY.to_vec() } else { to_bytes(response).await };
    let write = async {
        stream.socket.write_all(&bytes).await?;
        stream.socket.shutdown().await
    };
    if matches!(tokio::time::timeout(settings.write_timeout, write).await, Ok(Ok(()))) {
        linger(&stream.socket).await;
    }
}

/// Returns true for bytes that are no HTTP/1 but may be meant for HTTP/2: a preface that went wrong (RFC 9113 3.4). Nobody who sends them reads
/// a response of HTTP/1.
fn is_broken_preface(head: &[u8]) -> bool {
    let line = head.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let parts: [&[u8]; 4] = {
        let mut parts = line.split(|b| *b == b' ');
        std::array::from_fn(|_| parts.next().unwrap_or_default())
    };
    match parts {
        [b"PRI", ..] => true,
        [method, _, version, b""] => !version.is_empty() && !METHODS.contains(&method) && !version.starts_with(b"HTTP/"),
        _ => false,
    }
}

/// Returns the method and target of an invalid head, as far as they are valid.
fn request_line(head: &[u8]) -> (Method, Uri) {
    let line = skip_empty_lines(head).split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut parts = line.split(|b| *b == b' ');
    let method = parts.next().filter(|m| m.len() <= 32).and_then(|m| Method::from_bytes(m).ok());
    let target = parts
        .next()
        .filter(|t| t.len() <= 1024)
        .and_then(|t| Uri::try_from(target::escaped(t)).ok())
        .filter(|uri| uri.path().starts_with('/'));
    let unknown = || Method::from_bytes(b"-").unwrap_or(Method::GET);
    (method.unwrap_or_else(unknown), target.unwrap_or_else(|| Uri::from_static("/")))
}

/// Serializes a response as HTTP/1.1. Its body must be available; nothing here waits for an upstream.
async fn to_bytes(response: ClientResponse) -> Vec<u8> {
    let ClientResponse { status, headers, mut body, .. } = response;
    let mut bytes = Vec::new();
    write::response(&mut bytes, status, &headers, write::Length::AsInHeaders, Some("close"));
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    bytes
}
