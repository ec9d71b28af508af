//! The request body on its way upstream: enforces the size limit, the timeout and the minimum rate of the client, and reports progress.
//!
//! A body that fails ends the exchange with its own [`Failure`]. A body that was read beforehand is sent from memory and can be sent again.
//! Knows nothing of the upstream.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::body::{Incoming as _, RequestBody, UploadProgress, UploadStage};
use crate::data_rate::{DataRate, MinRate};
use crate::failure::{Failure, Kind};

/// The body of an upstream request; `None` is an empty body.
#[derive(Debug)]
pub struct Upload(Option<Box<Stream>>);

#[derive(Debug)]
struct Stream {
    /// The part that was read beforehand.
    before: Option<Bytes>,
    /// The part that still arrives from the client.
    body: Option<RequestBody>,
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
    pub fn stream(before: Bytes, body: RequestBody, bounds: Bounds) -> (Self, Arc<UploadProgress>) {
        let progress = UploadProgress::new(Instant::now());
        let remaining = bounds.limit.map(|limit| limit.saturating_sub(before.len() as u64));
        let before = (!before.is_empty()).then_some(before);
        let (idle, rate) = (bounds.idle, bounds.min_rate.map(DataRate::new));
        let stream = Stream { before, body: Some(body), remaining, idle, rate, clock: None, progress: Arc::clone(&progress) };
        (Self(Some(Box::new(stream))), progress)
    }

    /// Creates a body from memory.
    pub fn whole(bytes: Bytes) -> (Self, Arc<UploadProgress>) {
        let progress = UploadProgress::new(Instant::now());
        if bytes.is_empty() {
            progress.note(UploadStage::Done, 0);
            return (Self(None), progress);
        }
        let stream = Stream {
            before: Some(bytes),
            body: None,
            remaining: None,
            idle: None,
            rate: None,
            clock: None,
            progress: Arc::clone(&progress),
        };
        (Self(Some(Box::new(stream))), progress)
    }
}

impl Stream {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        if let Some(before) = self.before.take() {
            self.record_progress(before.len() as u64);
            return Poll::Ready(Some(Ok(before)));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let Poll::Ready(frame) = body.poll_frame(cx) else {
            if !body.waits_for_peer() {
                return Poll::Pending;
            }
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
            Some(Err(failure)) => Poll::Ready(Some(Err(failure))),
            Some(Ok(frame)) => Poll::Ready(self.check_frame(frame)),
        }
    }

    /// Checks a frame against the size limit. Trailers are dropped: few origins read them, and they would bypass every rule on headers.
    fn check_frame(&mut self, frame: Frame<Bytes>) -> Option<Result<Bytes, Failure>> {
        let Ok(data) = frame.into_data() else {
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
        Some(Ok(data))
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
        self.before.is_none() && self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    /// Records that the whole body was read.
    fn record_end(&mut self, size: u64) {
        self.progress.note(UploadStage::Done, size);
    }

    /// Fails the body if the client is silent for too long or too slow.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
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
        let (before, rest) =
            (self.before.as_ref().map_or(0, |before| before.len() as u64), self.body.as_ref().map(|body| body.size_hint()));
        let Some(rest) = rest else { return SizeHint::with_exact(before) };
        let mut size = SizeHint::new();
        size.set_lower(before + rest.lower());
        if let Some(upper) = rest.upper() {
            size.set_upper(before + upper);
        }
        size
    }
}

impl Upload {
    /// Polls the next data. Returns `None` at the end of the body, and after it.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |stream| stream.poll(cx))
    }

    /// Puts data back that was taken and not sent.
    pub fn put_back(&mut self, data: Bytes) {
        if let Some(stream) = &mut self.0 {
            stream.before = Some(data);
        }
    }

    /// Returns true if no more data follows.
    pub fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|stream| stream.is_at_end())
    }

    /// Returns the bounds of the remaining length.
    pub fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |stream| stream.size())
    }
}
