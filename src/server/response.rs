//! A response of the gateway on its way to a client of HTTP/1: its head, its framing, and its body as it arrives.
//!
//! Knows nothing of sockets.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Version;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http_body::Body as _;

use crate::body::Body;
use crate::data_rate::DataRate;
use crate::gateway::ClientResponse;
use crate::header::Value;
use crate::http1::sending::Sending;
use crate::http1::write::{self, Length};

thread_local! {
    static HEAD_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a response depends on in its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) version: Version,
    /// The method is HEAD.
    pub(super) is_head: bool,
    pub(super) reads_trailers: bool,
    /// The connection may serve another request.
    pub(super) keep_alive: bool,
}

/// A response on its way.
pub(super) struct OutgoingResponse {
    body: Body,
    pub(super) sending: Sending,
    /// The trailers that are announced, if the client reads trailers.
    trailers: Option<HeaderValue>,
    /// The end of the connection ends the body.
    until_close: bool,
    keep_alive: bool,
    /// The body was cut off: what was written is incomplete.
    aborted: bool,
    /// How slowly the client may read.
    pub(super) rate: Option<DataRate>,
}

impl OutgoingResponse {
    /// Starts a response. `before` is sent in front of its head.
    pub(super) fn new(response: ClientResponse, asked: Asked, before: &[u8]) -> Self {
        let ClientResponse { status, headers, body, .. } = response;
        let has_no_content = asked.is_head || status.is_informational() || matches!(status.as_u16(), 204 | 304);
        let length = match body.size_hint().exact() {
            _ if has_no_content => Length::AsInHeaders,
            Some(length) => Length::Exact(length),
            None if asked.version == Version::HTTP_11 => Length::Chunked,
            None => Length::UntilClose,
        };
        let keep_alive = asked.keep_alive && length != Length::UntilClose;
        let connection = match (asked.version, keep_alive) {
            (_, false) => Some("close"),
            (Version::HTTP_10, true) => Some("keep-alive"),
            (_, true) => None,
        };
        let mut head = HEAD_BUFFER.take();
        head.extend_from_slice(before);
        write::response(&mut head, status, &headers, length, connection);
        let mut sending = Sending::message(head, length == Length::Chunked);
        if has_no_content {
            sending.end(None);
        }
        let trailers = headers.get(header::TRAILER).filter(|_| asked.reads_trailers && length == Length::Chunked).map(Value::to_header);
        let rate = body.min_rate().map(DataRate::new);
        Self { body, sending, trailers, until_close: length == Length::UntilClose, keep_alive, aborted: false, rate }
    }

    /// Adds what is available of the body.
    pub(super) fn fill(&mut self, cx: &mut Context<'_>) {
        while self.sending.has_room() && !self.aborted {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return,
                Poll::Ready(None) => self.sending.end(None),
                Poll::Ready(Some(Err(_))) => self.aborted = true,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        let last = self.body.is_end_stream();
                        self.sending.add(data, last);
                    }
                    Err(frame) => {
                        let trailers = frame.into_trailers().ok().and_then(|trailers| self.announced(trailers));
                        self.sending.end(trailers.as_ref());
                    }
                },
            }
        }
    }

    /// Returns the trailers that the header `Trailer` announces, since a client may read no others.
    fn announced(&self, trailers: HeaderMap) -> Option<HeaderMap> {
        let announced = self.trailers.as_ref()?.to_str().ok()?;
        let names: Vec<HeaderName> = announced.split(',').filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok()).collect();
        let mut kept = HeaderMap::new();
        for (name, value) in trailers.iter().filter(|(name, _)| names.contains(name)) {
            kept.append(name.clone(), value.clone());
        }
        Some(kept)
    }

    /// Returns true if everything is written.
    pub(super) fn is_complete(&self) -> bool {
        self.sending.is_complete()
    }

    /// Returns true if the body was cut off, and everything before is written.
    pub(super) fn is_aborted(&self) -> bool {
        self.aborted && self.sending.is_written()
    }

    /// Returns true if only a reset shows that a response that was cut off is incomplete.
    pub(super) const fn needs_reset(&self) -> bool {
        self.until_close
    }

    /// Returns true if the connection may serve another request.
    pub(super) const fn keeps_alive(&self) -> bool {
        self.keep_alive
    }
}

impl Drop for OutgoingResponse {
    fn drop(&mut self) {
        // The buffer is the core's again.
        if let Some(buffer) = self.sending.take_buffer() {
            HEAD_BUFFER.set(buffer);
        }
    }
}
