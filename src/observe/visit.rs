//! The record of one request: filled in on the way, written exactly once when it is dropped, however the request ended.
//!
//! A visit that is dropped before an answer was complete is a client that left: `CLIENT_CLOSED`, and 499 where no status was
//! sent yet.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::metrics::{Class, RouteMetrics};
use super::recorder::Recorder;
use crate::context::{RequestContext, Trail};
use crate::failure::Kind;

/// What the upstream said, kept for the log.
#[derive(Clone, Debug, Default)]
pub struct Original {
    /// Begin of the body or the error chain, masked and bounded.
    pub text: String,
    /// More was there.
    pub truncated: bool,
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Not yet: if it stays so, the client left.
    Open,
    /// The whole answer was handed to the connection.
    Complete,
    /// The answer was cut because the upstream failed.
    Aborted,
}

/// One request, from arrival to the last byte.
pub struct Visit {
    recorder: Arc<Recorder>,
    /// Who asked what, and when.
    pub context: RequestContext,
    /// `traceparent` as it went upstream; the log takes the id out of it.
    pub trace: Option<HeaderValue>,
    /// Route handles.
    pub route: Option<Arc<RouteMetrics>>,
    /// Its backend was asked.
    pub dispatched: bool,
    /// Where it went.
    pub trail: Trail,
    /// Status of the answer, 0 while there is none.
    pub status: u16,
    /// Status the upstream sent.
    pub received: Option<u16>,
    /// What went wrong, and its code as told to the client.
    pub kind: Option<Kind>,
    /// The cause in words.
    pub cause: Option<Box<str>>,
    /// What the upstream said.
    pub original: Option<Box<Original>>,
    /// From arrival to the upstream's response head.
    pub upstream_time: Option<Duration>,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// When it ended, where that was looked up already.
    pub ended: Option<Instant>,
    /// How it ended.
    pub end: End,
}

impl Visit {
    /// Begins: the request is counted as received.
    pub fn begin(recorder: Arc<Recorder>, context: RequestContext) -> Self {
        recorder.arrived();
        Self {
            recorder,
            context,
            trace: None,
            route: None,
            dispatched: false,
            trail: Trail::default(),
            status: 0,
            received: None,
            kind: None,
            cause: None,
            original: None,
            upstream_time: None,
            bytes_in: 0,
            bytes_out: 0,
            ended: None,
            end: End::Open,
        }
    }

    /// The class of its end.
    pub const fn class(&self) -> Class {
        match self.end {
            End::Open => Class::ClientClosed,
            End::Aborted => Class::Aborted,
            End::Complete => Class::of(self.status),
        }
    }

    /// The status for the log: 499 for a client that left before the answer began.
    pub const fn logged_status(&self) -> u16 {
        match (self.end, self.status) {
            (End::Open, 0) => 499,
            (_, status) => status,
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if matches!(self.end, End::Open) {
            self.kind = Some(Kind::ClientClosed);
        }
        self.recorder.record(self);
    }
}

impl std::fmt::Debug for Visit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Visit({})", self.context.id.as_str())
    }
}
