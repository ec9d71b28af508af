//! The record of one request: filled in while the request is served, written exactly once when it is dropped, however the request ended.
//!
//! A record that is dropped before the response was complete belongs to a client that left: `CLIENT_CLOSED`, and 499 where no status was
//! sent yet.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::metrics::{Class, RouteMetrics};
use crate::body::UploadProgress;
use crate::context::{RequestContext, Trail};
use crate::failure::Kind;

/// What the upstream sent, kept for the log.
#[derive(Clone, Debug, Default)]
pub struct Original {
    /// The most telling part of the body, masked and bounded.
    pub text: String,
    /// There was more.
    pub truncated: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// Not yet. If it stays so, the client left.
    #[default]
    Open,
    /// The whole response was handed to the connection.
    Complete,
    /// The response was cut because the upstream failed.
    Aborted,
}

/// What became of a request so far.
#[derive(Debug, Default)]
pub struct Facts {
    /// `traceparent` as it was sent upstream; the log takes the trace id from it.
    pub trace: Option<HeaderValue>,
    /// Metrics of its route.
    pub route: Option<Arc<RouteMetrics>>,
    /// Its backend was asked.
    pub dispatched: bool,
    /// The endpoint and the number of attempts.
    pub trail: Trail,
    /// Status of the response, 0 while there is none.
    pub status: u16,
    /// Status that the upstream sent.
    pub received: Option<u16>,
    /// What went wrong.
    pub kind: Option<Kind>,
    /// Why, in words.
    pub cause: Option<Box<str>>,
    /// What the upstream sent.
    pub original: Option<Box<Original>>,
    /// From arrival to the upstream's response head.
    pub upstream_time: Option<Duration>,
    /// Progress of the request body.
    pub upload: Option<Arc<UploadProgress>>,
    /// Bytes of the response body.
    pub bytes_out: u64,
    /// When it ended, where the time was read already.
    pub ended: Option<Instant>,
    /// How it ended.
    pub end: End,
}

impl Facts {
    /// The class of its end.
    pub const fn class(&self) -> Class {
        match self.end {
            End::Open => Class::ClientClosed,
            End::Aborted => Class::Aborted,
            End::Complete => Class::of(self.status),
        }
    }

    /// The status for the log: 499 for a client that left before the response began.
    pub const fn logged_status(&self) -> u16 {
        match (self.end, self.status) {
            (End::Open, 0) => 499,
            (_, status) => status,
        }
    }

    /// Bytes of the request body that were handed on.
    pub fn bytes_in(&self) -> u64 {
        self.upload.as_ref().map_or(0, |upload| upload.bytes())
    }
}

/// Takes finished records.
pub trait Record: Send + Sync {
    /// Counts a request and writes its line.
    fn record(&self, context: &RequestContext, facts: &Facts);
}

/// One request, from arrival to the last byte.
pub struct AccessRecord {
    recorder: Arc<dyn Record>,
    /// Who asked what, and when.
    pub context: RequestContext,
    /// What became of it.
    pub facts: Facts,
}

impl AccessRecord {
    /// The record of a request that has just arrived.
    pub fn new(recorder: Arc<dyn Record>, context: RequestContext) -> Self {
        Self { recorder, context, facts: Facts::default() }
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        if matches!(self.facts.end, End::Open) {
            self.facts.kind = Some(Kind::ClientClosed);
        }
        self.recorder.record(&self.context, &self.facts);
    }
}

impl std::fmt::Debug for AccessRecord {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "AccessRecord({})", self.context.id.as_str())
    }
}
