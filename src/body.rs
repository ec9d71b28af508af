//! The response body type: nothing, bytes that are there, or a stream from an upstream. And the progress of request bodies.
//!
//! A body reports to an [`OnSent`] how the sending ended, so that every request is recorded exactly once. Knows nothing of relaying or
//! of logs.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::data_rate::MinRate;
use crate::header;

/// The answer was cut on purpose: the protocol must show the client that it is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("response aborted")]
pub struct Aborted;

impl From<Infallible> for Aborted {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A body that arrives while it is sent. Implemented by the relay.
pub trait Flow: Send {
    /// The next chunk or the trailers.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>>;
    /// True when nothing more will come.
    fn is_end_stream(&self) -> bool;
    /// What is known of the length.
    fn size_hint(&self) -> SizeHint;
}

/// Learns how a ready answer was sent; dropped without `sent` when the client left first.
pub trait OnSent: Send {
    /// All bytes were handed to the connection.
    fn sent(&mut self, bytes: u64);
}

/// Lives as long as a request's body is on its way, whoever has it: the connection may not be taken for idle meanwhile.
pub struct Hold(Option<Box<dyn Send + Sync>>);

impl Hold {
    /// Holds something until it is dropped.
    pub fn new(what: impl Send + Sync + 'static) -> Self {
        Self(Some(Box::new(what)))
    }

    /// Holds nothing.
    pub const fn nothing() -> Self {
        Self(None)
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Hold").field(&self.0.is_some()).finish()
    }
}

/// Where an upload stands, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadStage {
    /// The upstream has not asked for more: it is slow, or nothing was asked yet.
    WaitsForUpstream,
    /// The client has not sent more.
    WaitsForClient,
    /// All of it is on its way.
    Done,
}

/// Progress of an upload, shared between the body and the clocks of the attempt.
#[derive(Debug)]
pub struct UploadProgress {
    stage: AtomicU8,
    bytes: AtomicU64,
    /// Milliseconds since `start` of the last step.
    moved: AtomicU64,
    start: Instant,
}

impl UploadProgress {
    /// An upload that begins at `start`.
    pub fn new(start: Instant) -> Arc<Self> {
        Arc::new(Self { stage: AtomicU8::new(0), bytes: AtomicU64::new(0), moved: AtomicU64::new(0), start })
    }

    /// Where it stands.
    pub fn stage(&self) -> UploadStage {
        match self.stage.load(Ordering::Relaxed) {
            0 => UploadStage::WaitsForUpstream,
            1 => UploadStage::WaitsForClient,
            _ => UploadStage::Done,
        }
    }

    /// Bytes handed on so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// When it last moved.
    pub fn moved(&self) -> Instant {
        self.start + Duration::from_millis(self.moved.load(Ordering::Relaxed))
    }

    /// Records where it stands, and so many bytes that were handed on.
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
    /// Bytes that are there (or none), with their witness.
    Ready {
        /// What is left to send.
        bytes: Option<Bytes>,
        /// Who learns of the end.
        witness: Option<Box<dyn OnSent>>,
    },
    /// Bytes that arrive.
    Stream {
        /// Where they come from.
        flow: Box<dyn Flow>,
        /// The least rate at which the client must take them.
        min_rate: MinRate,
    },
}

impl Body {
    /// The least rate at which the client must take it.
    pub const fn min_rate(&self) -> MinRate {
        match self {
            Self::Ready { .. } => None,
            Self::Stream { min_rate, .. } => *min_rate,
        }
    }

    /// A body of these bytes.
    pub fn ready(bytes: impl Into<Bytes>, witness: Option<Box<dyn OnSent>>) -> Self {
        let bytes = bytes.into();
        Self::Ready { bytes: (!bytes.is_empty()).then_some(bytes), witness }.settled()
    }

    /// A body without bytes is never polled by hyper: its witness hears of the end now.
    fn settled(mut self) -> Self {
        if let Self::Ready { bytes: None, witness } = &mut self
            && let Some(mut witness) = witness.take()
        {
            witness.sent(0);
        }
        self
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match self.get_mut() {
            Self::Ready { bytes, witness } => Poll::Ready(bytes.take().map(|bytes| {
                if let Some(mut witness) = witness.take() {
                    witness.sent(bytes.len() as u64);
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

/// Drops what may not pass, by name or because `leaks` says so of the value; `None` when nothing is left.
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
