//! The response body: empty, bytes that are available, or a stream from an upstream. Also the progress of request bodies.
//!
//! A body reports to an [`OnSent`] how it was sent, so that every request is recorded exactly once. Knows nothing of relaying or of logs.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::data_rate::MinRate;
use crate::failure::{Failure, Kind};
use crate::header::{self, HeaderList};

/// The body was cut on purpose; the protocol must show the client that it is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("response aborted")]
pub struct Aborted;

impl From<Infallible> for Aborted {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A body that is sent while it arrives.
pub trait Flow: Send {
    /// Polls the next frame: data or trailers.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>>;
    /// Returns true if no more frames follow.
    fn is_end_stream(&self) -> bool;
    /// Returns the bounds of the remaining length.
    fn size_hint(&self) -> SizeHint;
}

/// A body that arrives from a peer.
pub trait Incoming: Send + Sync {
    /// Polls the next frame: data or trailers.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>>;
    /// Returns true if no more frames follow.
    fn is_end_stream(&self) -> bool;
    /// Returns the bounds of the remaining length.
    fn size_hint(&self) -> SizeHint;
    /// Returns true if the peer has sent nothing more. It is false while the connection has yet to read from the peer's socket.
    fn waits_for_peer(&self) -> bool {
        true
    }
}

/// The body of an upstream's response.
pub trait UpstreamBody: Incoming {
    /// Called once the client is known to read the body, so that more of it may be read at once.
    fn lift_read_bound(&mut self);
    /// Called when the body is cut off.
    fn cut_off(&mut self, kind: Kind);
}

/// The body of a client's request.
pub struct RequestBody(Option<Box<dyn Incoming>>);

impl RequestBody {
    /// Creates an empty body.
    pub const fn empty() -> Self {
        Self(None)
    }

    /// Creates a body that arrives from `incoming`.
    pub fn new(incoming: impl Incoming + 'static) -> Self {
        Self(Some(Box::new(incoming)))
    }

    /// Returns the same body, of which the beginning is copied as it passes.
    pub fn copied(self, excerpt: Arc<Excerpt>) -> Self {
        Self::new(Copied { body: self, excerpt })
    }
}

impl Incoming for RequestBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |incoming| incoming.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|incoming| incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |incoming| incoming.size_hint())
    }

    fn waits_for_peer(&self) -> bool {
        self.0.as_ref().is_none_or(|incoming| incoming.waits_for_peer())
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RequestBody({:?})", self.size_hint().exact())
    }
}

/// The interim responses (RFC 9110 15.2) of an upstream, on their way to the client of an HTTP/1 connection.
#[derive(Debug, Default)]
pub struct InterimResponses {
    has_some: AtomicBool,
    waiting: Mutex<Vec<(u16, HeaderList)>>,
}

/// Maximum interim responses that wait for their client.
const MAX_INTERIM: usize = 8;

impl InterimResponses {
    /// Adds a response. It is dropped if too many wait.
    pub fn push(&self, status: u16, headers: HeaderList) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MAX_INTERIM {
            waiting.push((status, headers));
            self.has_some.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the responses that wait.
    pub fn take(&self) -> Vec<(u16, HeaderList)> {
        if !self.has_some.load(Ordering::Relaxed) {
            return Vec::new();
        }
        self.has_some.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Receives the outcome of an available body. It is dropped without `sent` when the client left first.
pub trait OnSent: Send {
    /// Called when all `bytes` were handed to the connection.
    fn sent(&mut self, bytes: u64);
}

/// The beginning of a request's body, copied as it passes.
pub struct Excerpt {
    max: usize,
    /// What the client says of it.
    content_type: Option<Box<[u8]>>,
    content_encoding: Option<Box<[u8]>>,
    passed: Mutex<Passed>,
    /// Is released with the excerpt.
    _share: Box<dyn Send + Sync>,
}

/// What has passed of a body.
#[derive(Clone, Debug, Default)]
pub struct Passed {
    /// The first bytes.
    pub bytes: Vec<u8>,
    /// The number of all bytes.
    pub total: u64,
    /// The body has ended.
    pub ended: bool,
}

impl Excerpt {
    /// Creates the excerpt of a body of which at most `max` bytes are copied. It holds `share`, its part of the memory for bodies.
    pub fn new(max: usize, headers: &HeaderList, share: impl Send + Sync + 'static) -> Self {
        let value = |name: &'static str| headers.get(name).map(|value| value.as_bytes().into());
        let (content_type, content_encoding) = (value("content-type"), value("content-encoding"));
        Self { max, content_type, content_encoding, passed: Mutex::default(), _share: Box::new(share) }
    }

    /// Returns the most bytes that are copied.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Returns the content type that the client named.
    pub fn content_type(&self) -> Option<&[u8]> {
        self.content_type.as_deref()
    }

    /// Returns the content coding that the client named.
    pub fn content_encoding(&self) -> Option<&[u8]> {
        self.content_encoding.as_deref()
    }

    /// Returns what has passed.
    pub fn passed(&self) -> Passed {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Passed> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, frame: Option<&Frame<Bytes>>, ended: bool) {
        let mut passed = self.lock();
        if let Some(data) = frame.and_then(Frame::data_ref) {
            let room = self.max.saturating_sub(passed.bytes.len());
            passed.bytes.extend_from_slice(&data[..data.len().min(room)]);
            passed.total += data.len() as u64;
        }
        passed.ended |= ended;
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A body may have credentials.
        write!(out, "Excerpt({})", self.max)
    }
}

/// A body of which the beginning is copied.
struct Copied {
    body: RequestBody,
    excerpt: Arc<Excerpt>,
}

impl Incoming for Copied {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let polled = self.body.poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.excerpt.note(Some(frame), self.body.is_end_stream()),
            Poll::Ready(None) => self.excerpt.note(None, true),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn waits_for_peer(&self) -> bool {
        self.body.waits_for_peer()
    }
}

/// The stage of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadStage {
    /// The upstream has not polled for more: it is slow, or has not been sent anything yet.
    WaitsForUpstream,
    /// The upstream has polled for more, and the client has not sent it.
    WaitsForClient,
    /// The whole body was handed on.
    Done,
}

/// The progress of an upload, shared between the body and the clocks of the attempt.
#[derive(Debug)]
pub struct UploadProgress {
    stage: AtomicU8,
    bytes: AtomicU64,
    /// Milliseconds from `start` to the last progress.
    moved: AtomicU64,
    start: Instant,
}

impl UploadProgress {
    /// Creates the progress of an upload that begins at `start`.
    pub fn new(start: Instant) -> Arc<Self> {
        Arc::new(Self { stage: AtomicU8::new(0), bytes: AtomicU64::new(0), moved: AtomicU64::new(0), start })
    }

    /// Returns the current stage.
    pub fn stage(&self) -> UploadStage {
        match self.stage.load(Ordering::Relaxed) {
            0 => UploadStage::WaitsForUpstream,
            1 => UploadStage::WaitsForClient,
            _ => UploadStage::Done,
        }
    }

    /// Returns the number of bytes handed on so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns the time of the last progress.
    pub fn moved(&self) -> Instant {
        self.start + Duration::from_millis(self.moved.load(Ordering::Relaxed))
    }

    /// Records the stage, and that `bytes` more were handed on.
    pub fn note(&self, stage: UploadStage, bytes: u64) {
        let stage = match stage {
            UploadStage::WaitsForUpstream => 0,
            UploadStage::WaitsForClient => 1,
            UploadStage::Done => 2,
        };
        self.stage.store(stage, Ordering::Relaxed);
        if bytes > 0 || stage == 2 {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.moved.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
    }
}

/// The response body.
pub enum Body {
    /// Bytes that are available, or none.
    Ready {
        /// The bytes left to send.
        bytes: Option<Bytes>,
        /// Receives the outcome.
        on_sent: Option<Box<dyn OnSent>>,
    },
    /// Bytes that are sent while they arrive.
    Stream {
        /// The source of the bytes.
        flow: Box<dyn Flow>,
        /// The minimum rate at which the client must read.
        min_rate: MinRate,
    },
}

impl Body {
    /// Returns the minimum rate at which the client must read the body.
    pub const fn min_rate(&self) -> MinRate {
        match self {
            Self::Ready { .. } => None,
            Self::Stream { min_rate, .. } => *min_rate,
        }
    }

    /// Creates a body of these bytes.
    pub fn ready(bytes: impl Into<Bytes>, on_sent: Option<Box<dyn OnSent>>) -> Self {
        let bytes = bytes.into();
        Self::Ready { bytes: (!bytes.is_empty()).then_some(bytes), on_sent }.report_if_empty()
    }

    /// Reports an empty body as sent now, because it is never polled.
    fn report_if_empty(mut self) -> Self {
        if let Self::Ready { bytes: None, on_sent } = &mut self
            && let Some(mut on_sent) = on_sent.take()
        {
            on_sent.sent(0);
        }
        self
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match self.get_mut() {
            Self::Ready { bytes, on_sent } => Poll::Ready(bytes.take().map(|bytes| {
                if let Some(mut on_sent) = on_sent.take() {
                    on_sent.sent(bytes.len() as u64);
                }
                Ok(Frame::data(bytes))
            })),
            Self::Stream { flow, .. } => flow.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ready { bytes, .. } => bytes.is_none(),
            Self::Stream { flow, .. } => flow.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ready { bytes, .. } => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Stream { flow, .. } => flow.size_hint(),
        }
    }
}

/// Removes the trailers whose name may not be forwarded or for whose value `leaks` returns true. Returns `None` if none are left.
pub fn filter_trailers(mut trailers: HeaderMap, leaks: impl Fn(&str) -> bool) -> Option<HeaderMap> {
    let bad = |name: &http::HeaderName, value: &http::HeaderValue| {
        !header::keep_trailer(name) || leaks(&String::from_utf8_lossy(value.as_bytes()))
    };
    let dropped: Vec<_> = trailers.iter().filter(|(name, value)| bad(name, value)).map(|(name, _)| name.clone()).collect();
    for name in dropped {
        trailers.remove(name);
    }
    (!trailers.is_empty()).then_some(trailers)
}
