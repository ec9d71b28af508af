//! The record of a request: filled in while the request is served, and written exactly once, when it is dropped.
//!
//! If a record is dropped before the response is complete, the client closed the connection: the record has the kind `CLIENT_CLOSED`, and
//! the status 499 if no status was sent. Must not know how records are written; `recorder` does.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::metrics::RouteMetrics;
use super::trace::tracer::Tracer;
use crate::body::{Excerpt, UploadProgress};
use crate::context::{RequestContext, TraceId, Trail};
use crate::failure::Kind;
use crate::failure::catalog::code_of_status;
use crate::header::HeaderList;
use crate::report::Report;

/// The excerpt of an upstream error that the log keeps.
#[derive(Clone, Debug, Default)]
pub struct Original {
    /// The most informative part of the body, with masked credentials and of bounded length.
    pub text: String,
    /// Whether the excerpt is not the whole body.
    pub truncated: bool,
}

/// What the journal keeps of an error beside the facts: owned values as they were, not masked.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The headers that were sent to the upstream; as they arrived, if the request was rejected before.
    pub sent: HeaderList,
    /// The beginning of the request's body, if that is kept.
    pub body: Option<Arc<Excerpt>>,
    /// What the upstream said.
    pub said: Option<UpstreamSaid>,
    /// The headers and the body that the client got.
    pub told: Option<(HeaderList, Bytes)>,
}

/// What the upstream said.
#[derive(Debug)]
pub struct UpstreamSaid {
    /// The headers of its response.
    pub headers: HeaderList,
    /// The decoded body.
    pub body: String,
    /// The body is not complete.
    pub truncated: bool,
    /// What was read of the body; `None` if it was not read.
    pub report: Option<Report>,
}

/// What the client would have been told of an error that passed as it was.
#[derive(Clone, Debug)]
pub struct WouldBe {
    /// The status.
    pub status: u16,
    /// The code; `None` if the page of the upstream would have passed.
    pub code: Option<Cow<'static, str>>,
    /// The message; `None` as above.
    pub message: Option<String>,
    /// The internals in the body, which the client got: names of their families, and the number of each.
    pub redactions: Vec<(&'static str, usize)>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// The request has not ended. A record that is dropped in this state belongs to a client that closed the connection.
    #[default]
    Open,
    /// The whole response was written to the connection.
    Complete,
    /// The response was aborted because the upstream failed.
    Aborted,
}

/// Who ended a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelEnd {
    /// The client.
    Client,
    /// The upstream.
    Upstream,
    /// `websocket_idle_timeout` elapsed.
    Idle,
    /// The gateway stopped.
    Drain,
}

impl TunnelEnd {
    /// Returns the word for the access line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Idle => "idle",
            Self::Drain => "drain",
        }
    }
}

/// The facts that the log and the metrics report of a request.
#[derive(Debug, Default)]
pub struct Facts {
    /// The trace to which the upstream's request belongs.
    pub trace: Option<TraceId>,
    /// The metrics of the route.
    pub route: Option<Arc<RouteMetrics>>,
    /// Whether the request was dispatched to its backend.
    pub dispatched: bool,
    /// The endpoint and the number of attempts, and the spans if the request is traced.
    pub trail: Trail,
    /// Takes the spans.
    pub tracer: Option<Tracer>,
    /// The status of the response, 0 while there is none.
    pub status: u16,
    /// The status that the upstream sent.
    pub received: Option<u16>,
    /// The kind of the failure.
    pub kind: Option<Kind>,
    /// The code that the client received, if it is not that of the kind.
    pub code: Option<Cow<'static, str>>,
    /// The cause of the failure as text.
    pub cause: Option<Box<str>>,
    /// The excerpt of the upstream error.
    pub original: Option<Box<Original>>,
    /// What the journal keeps, if there is one.
    pub evidence: Option<Box<Evidence>>,
    /// What the client would have been told, on a route with `dry_run`.
    pub dry_run: Option<Box<WouldBe>>,
    /// The time from arrival to the response head of the upstream.
    pub upstream_time: Option<Duration>,
    /// How much of that passed after the request had been given to the endpoint that answered.
    pub upstream_took: Duration,
    /// The progress of the request body.
    pub upload: Option<Arc<UploadProgress>>,
    /// The number of bytes of the response body.
    pub bytes_out: u64,
    /// The time of the end, if the clock was read at the end.
    pub ended: Option<Instant>,
    /// How the request ended.
    pub end: End,
    /// Who ended the tunnel, if the request became one.
    pub tunnel_end: Option<TunnelEnd>,
}

impl Facts {
    /// Returns the status for the log: 499 if the client closed the connection before the response began.
    pub const fn logged_status(&self) -> u16 {
        match (self.end, self.status) {
            (End::Open, 0) => 499,
            (_, status) => status,
        }
    }

    /// Returns the code for the log: the one that the client received, or that of the failure. An error that passed as the upstream sent it
    /// has the code of its status. It is empty for a request without an error.
    pub fn logged_code(&self) -> &str {
        if let Some(code) = &self.code {
            return code;
        }
        match self.kind.map(|kind| kind.row().code).unwrap_or_default() {
            "" if self.status >= 500 => Kind::of_upstream_status(self.status).map_or("", |kind| kind.row().code),
            "" if self.status >= 400 => code_of_status(self.status),
            code => code,
        }
    }

    /// Returns true unless the request succeeded: if it failed, was answered with an error, was not answered to its end, or would have been
    /// answered with another error on a route with `dry_run`.
    pub fn is_error(&self) -> bool {
        self.kind.is_some() || self.end != End::Complete || self.status >= 400 || self.dry_run.is_some()
    }

    /// Returns the number of bytes of the request body that were forwarded.
    pub fn bytes_in(&self) -> u64 {
        self.upload.as_ref().map_or(0, |upload| upload.bytes())
    }
}

/// Receives finished records.
pub trait Record: Send + Sync {
    /// Counts a request and writes its log line. May take parts of the facts.
    fn record(&self, context: &RequestContext, facts: &mut Facts);
}

/// The record of a request, from its arrival to the last byte of the response.
pub struct AccessRecord {
    recorder: Arc<dyn Record>,
    /// The request as it arrived.
    pub context: RequestContext,
    /// The facts collected so far.
    pub facts: Facts,
}

impl AccessRecord {
    /// Creates the record of a request that has just arrived.
    pub fn new(recorder: Arc<dyn Record>, context: RequestContext) -> Self {
        Self { recorder, context, facts: Facts::default() }
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        if matches!(self.facts.end, End::Open) {
            self.facts.kind = Some(Kind::ClientClosed);
            self.facts.code = None;
        }
        self.recorder.record(&self.context, &mut self.facts);
    }
}

impl std::fmt::Debug for AccessRecord {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "AccessRecord({})", self.context.id.as_str())
    }
}
