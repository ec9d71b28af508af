//! The request body on its way upstream: enforces the size limit, the timeout and the minimum rate of the client, and reports progress.
//!
//! A body that fails ends the exchange with its own [`Failure`], which `classify` finds in hyper's error. A body that was read beforehand
//! is sent from memory and can be sent again. Knows nothing of the upstream.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::body::{Hold, UploadProgress, UploadStage};
use crate::data_rate::{DataRate, MinRate};
use crate::failure::{Failure, Kind, classify};

/// The body of an upstream request; `None` is an empty body.
#[derive(Debug)]
pub struct Upload(Option<Box<Stream>>);

#[derive(Debug)]
struct Stream {
    /// Held until the body was read completely. Declared before `body` so that it is dropped first: an observer of the body's end then
    /// finds it gone.
    hold: Hold,
    /// The part that was read beforehand.
    before: Option<Bytes>,
    /// The part that still arrives from the client.
    body: Option<Incoming>,
    remaining: Option<u64>,
    idle: Option<Duration>,
    rate: Option<DataRate>,
    clock: Option<(Pin<Box<Sleep>>, &'static str)>,
    progress: Arc<UploadProgress>,
}

/// The limits of a streamed body.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Maximum bytes.
    pub limit: Option<u64>,
    /// The longest time between two chunks from the client.
    pub idle: Option<Duration>,
    /// The minimum rate of the client.
    pub min_rate: MinRate,
}

impl Upload {
    /// Creates an empty body.
    pub const fn empty() -> Self {
        Self(None)
    }

    /// Creates a body that streams within `bounds`. `before` is the part that was read already; it is within the limit.
    pub fn stream(before: Bytes, body: Incoming, hold: Hold, bounds: Bounds) -> (Self, Arc<UploadProgress>) {
        let progress = UploadProgress::new(Instant::now());
        let remaining = bounds.limit.map(|limit| limit.saturating_sub(before.len() as u64));
        let before = (!before.is_empty()).then_some(before);
        let (idle, rate) = (bounds.idle, bounds.min_rate.map(DataRate::new));
        let stream = Stream { before, body: Some(body), remaining, idle, rate, clock: None, progress: Arc::clone(&progress), hold };
        (Self(Some(Box::new(stream))), progress)
    }

    /// Creates a body from memory.
    pub fn whole(bytes: Bytes) -> (Self, Arc<UploadProgress>) {
        let progress = UploadProgress::new(Instant::now());
        if bytes.is_empty() {
            progress.note(UploadStage::Done, 0);
            return (Self(None), progress);
        }
        let hold = Hold::nothing();
        let stream = Stream {
            before: Some(bytes),
            body: None,
            remaining: None,
            idle: None,
            rate: None,
            clock: None,
            progress: Arc::clone(&progress),
            hold,
        };
        (Self(Some(Box::new(stream))), progress)
    }
}

impl Stream {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if let Some(before) = self.before.take() {
            self.record_progress(before.len() as u64);
            return Poll::Ready(Some(Ok(Frame::data(before))));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
            self.progress.note(UploadStage::WaitsForClient, 0);
            return self.poll_clock(cx);
        };
        if self.clock.take().is_some()
            && let Some(rate) = &mut self.rate
        {
            let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref).map_or(0, Bytes::len);
            rate.moved(bytes as u64, Instant::now());
        }
        match frame {
            None => {
                self.record_end(0);
                Poll::Ready(None)
            }
            Some(Err(error)) => Poll::Ready(Some(Err(classify::request_body(&error)))),
            Some(Ok(frame)) => Poll::Ready(self.check_frame(frame)),
        }
    }

    /// Checks a frame against the size limit. Trailers are dropped: few origins read them, and they would bypass every rule on headers.
    fn check_frame(&mut self, frame: Frame<Bytes>) -> Option<Result<Frame<Bytes>, Failure>> {
        let Some(data) = frame.data_ref() else {
            self.record_end(0);
            return None;
        };
        let size = data.len() as u64;
        if let Some(remaining) = &mut self.remaining {
            match remaining.checked_sub(size) {
                Some(rest) => *remaining = rest,
                None => return Some(Err(Failure::because(Kind::PayloadTooLarge, "the request body passed request_body_limit"))),
            }
        }
        self.record_progress(size);
        Some(Ok(frame))
    }

    /// Records that `size` bytes were handed on.
    fn record_progress(&mut self, size: u64) {
        if self.is_at_end() {
            self.record_end(size);
        } else {
            self.progress.note(UploadStage::WaitsForUpstream, size);
        }
    }

    fn is_at_end(&self) -> bool {
        self.before.is_none() && self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    /// Records that the whole body was read.
    fn record_end(&mut self, size: u64) {
        self.progress.note(UploadStage::Done, size);
        self.hold = Hold::nothing();
    }

    /// Fails the body if the client is silent for too long or too slow.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if self.clock.is_none() {
            let now = Instant::now();
            let silent = self.idle.map(|idle| (now + idle, "no byte of the request body within body_timeout"));
            let slow = self.rate.as_mut().map(|rate| (rate.waits(now), "the request body is slower than min_rate"));
            let due = [silent, slow].into_iter().flatten().min();
            self.clock = due.map(|(due, why)| (Box::pin(tokio::time::sleep_until(due)), why));
        }
        let Some((clock, why)) = &mut self.clock else { return Poll::Pending };
        ready!(clock.as_mut().poll(cx));
        Poll::Ready(Some(Err(Failure::because(Kind::RequestTimeout, *why))))
    }

    fn size(&self) -> SizeHint {
        let (before, rest) = (self.before.as_ref().map_or(0, |before| before.len() as u64), self.body.as_ref().map(Body::size_hint));
        let Some(rest) = rest else { return SizeHint::with_exact(before) };
        let mut size = SizeHint::new();
        size.set_lower(before + rest.lower());
        if let Some(upper) = rest.upper() {
            size.set_upper(before + upper);
        }
        size
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match &mut self.get_mut().0 {
            None => Poll::Ready(None),
            Some(stream) => stream.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|stream| stream.is_at_end())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |stream| stream.size())
    }
}
