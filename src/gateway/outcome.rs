//! How a request may end: a response that goes to the client, or an error that becomes an envelope.
//!
//! Plain data; `answer` turns both into bytes.

use bytes::Bytes;
use http::StatusCode;

use crate::failure::Failure;
use crate::header::{HeaderList, Value};
use crate::relay::{BodyClocks, Prefix};
use crate::report::Report;
use crate::text::Untrusted;
use crate::upstream::attempt::response::{ResponseBody, UpstreamTunnel};

/// A response that may go to the client.
pub(super) struct Passed {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderList,
    pub(super) content: Content,
}

impl Passed {
    /// The same response, with the error that it would have become without `dry_run`.
    pub(super) fn in_dry_run(self, outcome: ErrorOutcome) -> Self {
        Self { content: Content::DryRun(Box::new(DryRun { content: self.content, outcome })), ..self }
    }
}

/// Its body.
#[allow(clippy::large_enum_variant, reason = "the large one is the usual one: a box would cost every success an allocation")]
pub(super) enum Content {
    /// Streams from the upstream.
    Stream { prefix: Prefix, body: ResponseBody, clocks: BodyClocks, watch: Watch },
    /// Is none: the connection leaves HTTP.
    Tunnel { upstream: Box<UpstreamTunnel>, is_websocket: bool },
    /// Is complete, and holds its share of the memory for bodies.
    Ready(Bytes),
    /// Passes although it is an error.
    DryRun(Box<DryRun>),
}

/// An error that passes as it is.
pub(super) struct DryRun {
    /// What the client gets.
    pub(super) content: Content,
    /// What the client would have been told of.
    pub(super) outcome: ErrorOutcome,
}

/// The inspection of a body while it streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    Nothing,
    /// Leaks, in all of it.
    Leaks,
    /// The trailers at the end of a gRPC-Web body.
    WebTrailers,
}

/// A request that ends in an error.
#[derive(Debug)]
pub(super) struct ErrorOutcome {
    pub(super) failure: Failure,
    /// What the upstream sent, where it sent something.
    pub(super) upstream: Option<Box<UpstreamError>>,
}

/// An upstream's own error.
#[derive(Debug)]
pub(super) struct UpstreamError {
    /// Status of the response.
    pub(super) status: u16,
    /// Status of the error, where it is another than that of the response (errors inside 2xx).
    pub(super) effective_status: u16,
    pub(super) headers: HeaderList,
    /// The code that an operator's rule gives.
    pub(super) code: Option<String>,
    pub(super) report: Report,
    /// The further members of the body that the route keeps: names and JSON.
    pub(super) extra: Vec<(String, String)>,
    pub(super) body: Untrusted,
    pub(super) truncated: bool,
    /// The page, where a browser may see it as it is.
    pub(super) page: Option<Bytes>,
}

impl UpstreamError {
    /// True when the upstream declared JSON.
    pub(super) fn is_json(&self) -> bool {
        let content_type = self.headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], Value::as_bytes);
        content_type.to_ascii_lowercase().windows(4).any(|part| part == b"json")
    }
}

impl<F: Into<Failure>> From<F> for ErrorOutcome {
    fn from(failure: F) -> Self {
        Self { failure: failure.into(), upstream: None }
    }
}
