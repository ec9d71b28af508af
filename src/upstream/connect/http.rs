//! A connection for one request, in either version of HTTP: an HTTP/1 connection of its own, or a stream of an HTTP/2 connection.
//!
//! Knows nothing of pools, endpoints or timeouts.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::http1::Http1Connection;
use super::http2::Http2Stream;
use crate::failure::Failure;
use crate::http1::framing::Framing;
use crate::upstream::upload::Upload;

/// A connection for one request.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "the large one is the usual one, and is boxed with the connection")]
pub enum Http {
    /// A connection that serves one request at a time.
    Http1(Http1Connection),
    /// A stream of a connection that serves many.
    Http2(Box<Http2Stream>),
}

impl Http {
    /// Returns true if the connection may serve another request by itself. A stream never does: its connection has others.
    pub fn is_reusable(&mut self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_reusable(),
            Self::Http2(_) => false,
        }
    }

    /// Returns true for a stream, whose connection may have others.
    pub const fn is_shared(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(_) => true,
        }
    }

    /// Returns true if the whole request was sent.
    pub fn is_sent(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_sent(),
            Self::Http2(stream) => stream.is_sent(),
        }
    }

    /// Sends the rest of the request. Ready once all of it is sent, or the upstream reads no more of it.
    ///
    /// # Errors
    /// Returns the failure of the request's body.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, upload: &mut Upload) -> Poll<Result<(), Failure>> {
        match self {
            Self::Http1(connection) => connection.poll_send(cx, upload),
            Self::Http2(stream) => stream.poll_send(cx, upload),
        }
    }

    /// Receives the next data of the response's body, or its trailers. `None` at its end. `framing` is that of an HTTP/1 response.
    ///
    /// # Errors
    /// The response ended or broke within the body.
    pub fn poll_body(&mut self, cx: &mut Context<'_>, framing: &mut Framing) -> Poll<Result<Option<Frame<Bytes>>, Failure>> {
        match self {
            Self::Http1(connection) => connection.poll_body(cx, framing),
            Self::Http2(stream) => stream.poll_body(cx),
        }
    }

    /// Returns true if no more of the response follows.
    pub fn is_end_stream(&self, framing: &Framing) -> bool {
        match self {
            Self::Http1(_) => framing.is_end(),
            Self::Http2(stream) => stream.is_end_stream(),
        }
    }

    /// Returns the bounds of the rest of the response's body.
    pub fn size_hint(&self, framing: &Framing) -> SizeHint {
        match self {
            Self::Http1(_) => framing.remaining().map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Http2(stream) => stream.size_hint(),
        }
    }

    /// Lifts the bound on reads, since the client reads the response. A stream's window bounds it in any case.
    pub const fn lift_read_bound(&mut self) {
        match self {
            Self::Http1(connection) => connection.lift_read_bound(),
            Self::Http2(_) => {}
        }
    }

    /// Returns true for a stream whose connection takes no more requests.
    pub fn is_retired(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(stream) => stream.is_retired(),
        }
    }

    /// Lets no other client use the connection of a stream.
    pub fn retire_shared(&self) {
        match self {
            Self::Http1(_) => {}
            Self::Http2(stream) => stream.retire_connection(),
        }
    }
}
