//! Streams an upstream's body to the client, chunk by chunk, with back-pressure. Its clocks end a body whose upstream is silent. A failure
//! after the head aborts the body visibly, because bytes that were sent cannot be taken back (contract section 6).
//!
//! Knows neither connections nor logs; an [`OnFinish`] acts on the outcome.

mod ahead;
mod guarded;
mod to_web;
mod web_trailers;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::body::{Aborted, Flow, Incoming, UpstreamBody};
use crate::failure::{Failure, Kind};

pub use ahead::Ahead;
pub use guarded::Guarded;
pub use to_web::ToWeb;
pub use web_trailers::WebTrailers;

/// Receives the outcome of a body. It is dropped without `finished` or `failed` when the client left first.
pub trait OnFinish: Send {
    /// Called when `bytes` were handed to the client's connection. Returns true once the client is known to read the body.
    fn sent(&mut self, bytes: u64) -> bool;
    /// Returns the trailers that may be forwarded.
    fn trailers(&self, trailers: HeaderMap) -> Option<HeaderMap>;
    /// Called when the upstream's body ended properly.
    fn finished(self);
    /// Called when the body failed. Returns the trailers that tell the client, if its protocol has such; otherwise the body is aborted.
    fn failed(self, failure: Failure) -> Option<HeaderMap>;
}

/// The clocks of a body.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyClocks {
    /// The longest time between two chunks from the upstream.
    pub idle: Option<Duration>,
    /// The time at which the body must be complete, and the failure if it is not.
    pub deadline: Option<(Instant, Kind)>,
}

impl BodyClocks {
    fn elapsed(&self, now: Instant) -> Option<Kind> {
        self.deadline.filter(|(deadline, _)| *deadline <= now).map(|(_, kind)| kind)
    }
}

/// The part of a body that was read before the decision to forward it: data or, in a body without data, trailers.
#[derive(Clone, Debug, Default)]
pub struct Prefix {
    /// Data.
    pub data: Bytes,
    /// The trailers, which end the body. Boxed because they are rare.
    pub trailers: Option<Box<HeaderMap>>,
}

impl From<Bytes> for Prefix {
    fn from(data: Bytes) -> Self {
        Self { data, trailers: None }
    }
}

/// A body that is being forwarded.
pub struct Relay<B: UpstreamBody, T: OnFinish> {
    prefix: Option<Bytes>,
    trailers: Option<Box<HeaderMap>>,
    body: B,
    on_finish: Option<T>,
    clocks: Clocks,
    /// A frame was returned, or `Pending`, on which the head is sent. From then on the clocks may abort the body.
    begun: bool,
    /// The failure that aborts the body at the next poll. What was returned before is sent first.
    failure: Option<Failure>,
}

impl<B: UpstreamBody, T: OnFinish> Relay<B, T> {
    /// Starts forwarding. A body that is complete already calls [`OnFinish::finished`] at once.
    pub fn new(prefix: Prefix, body: B, on_finish: T, clocks: BodyClocks) -> Self {
        let Prefix { data, trailers } = prefix;
        let mut relay = Self {
            prefix: (!data.is_empty()).then_some(data),
            trailers,
            body,
            on_finish: Some(on_finish),
            clocks: Clocks::new(clocks),
            begun: false,
            failure: None,
        };
        relay.finish_at_end();
        relay
    }

    fn finish_at_end(&mut self) {
        if self.is_end_stream()
            && let Some(on_finish) = self.on_finish.take()
        {
            on_finish.finished();
        }
    }

    /// Ends the body with the trailers that may be forwarded, if any.
    fn end_with(&mut self, trailers: HeaderMap) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let kept = self.on_finish.as_ref().and_then(|on_finish| on_finish.trailers(trailers));
        if let Some(on_finish) = self.on_finish.take() {
            on_finish.finished();
        }
        Poll::Ready(kept.map(|kept| Ok(Frame::trailers(kept))))
    }

    /// Records that the client takes these bytes.
    fn record_sent(&mut self, bytes: usize) {
        if self.on_finish.as_mut().is_some_and(|on_finish| on_finish.sent(bytes as u64)) {
            self.body.lift_read_bound();
        }
    }

    fn fail(&mut self, failure: Failure) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        self.body.cut_off(failure.kind);
        let trailers = self.on_finish.take().and_then(|on_finish| on_finish.failed(failure));
        Poll::Ready(Some(trailers.map(Frame::trailers).ok_or(Aborted)))
    }
}

impl<B: UpstreamBody, T: OnFinish> Flow for Relay<B, T> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        if let Some(prefix) = self.prefix.take() {
            self.record_sent(prefix.len());
            return Poll::Ready(Some(Ok(Frame::data(prefix))));
        }
        if let Some(trailers) = self.trailers.take() {
            return self.end_with(*trailers);
        }
        if let Some(failure) = self.failure.take() {
            return self.fail(failure);
        }
        let Poll::Ready(frame) = self.body.poll_frame(cx) else {
            self.begun = true;
            return match self.clocks.poll(cx) {
                Poll::Ready(kind) => self.fail(kind.into()),
                Poll::Pending => Poll::Pending,
            };
        };
        // The first frame is forwarded even after the deadline: an abort before the head would leave the client without any response.
        if let Some(kind) = self.clocks.moved().filter(|_| self.begun) {
            return self.fail(kind.into());
        }
        self.begun = true;
        match frame {
            None => {
                if let Some(on_finish) = self.on_finish.take() {
                    on_finish.finished();
                }
                Poll::Ready(None)
            }
            Some(Err(failure)) => {
                self.failure = Some(failure);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.record_sent(data.len());
                }
                match frame.into_trailers() {
                    Err(frame) => {
                        self.finish_at_end();
                        Poll::Ready(Some(Ok(frame)))
                    }
                    Ok(trailers) => self.end_with(trailers),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // A body that failed has no end.
        self.failure.is_none() && self.prefix.is_none() && self.trailers.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.prefix {
            None => self.body.size_hint(),
            // A prefix is read only from a body of unknown length.
            Some(_) => SizeHint::default(),
        }
    }
}

/// Reads what is already available of a body. A body that fails with its first frame can still be answered with an error here; once the
/// head is sent, it could only be aborted.
///
/// # Errors
/// Returns the failure if the first frame cannot be read.
pub async fn begin(body: &mut impl Incoming) -> Result<Prefix, Failure> {
    let first = std::future::poll_fn(|cx| Poll::Ready(body.poll_frame(cx)));
    match first.await {
        Poll::Ready(Some(Err(failure))) => Err(failure),
        Poll::Ready(Some(Ok(frame))) => Ok(match frame.into_data() {
            Ok(data) => data.into(),
            Err(frame) => Prefix { data: Bytes::new(), trailers: frame.into_trailers().ok().map(Box::new) },
        }),
        Poll::Ready(None) | Poll::Pending => Ok(Prefix::default()),
    }
}

/// The idle clock and the deadline of a body. The timer is created when the upstream first makes the relay wait, and is not reset per
/// chunk.
struct Clocks {
    clocks: BodyClocks,
    timer: Option<Pin<Box<Sleep>>>,
    last: Option<Instant>,
}

impl Clocks {
    const fn new(clocks: BodyClocks) -> Self {
        Self { clocks, timer: None, last: None }
    }

    /// Records that a frame arrived. Returns the failure if the deadline has passed, since the timer of an upstream that always has data
    /// ready is never polled.
    fn moved(&mut self) -> Option<Kind> {
        if self.timer.is_none() && self.clocks.deadline.is_none() {
            return None;
        }
        let now = Instant::now();
        self.last = Some(now);
        self.clocks.elapsed(now)
    }

    fn due(&self, last: Instant) -> Option<Instant> {
        [self.clocks.idle.map(|idle| last + idle), self.clocks.deadline.map(|(deadline, _)| deadline)].into_iter().flatten().min()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Kind> {
        loop {
            let timer = match &mut self.timer {
                Some(timer) => timer,
                None => {
                    let now = Instant::now();
                    self.last = Some(now);
                    let Some(due) = self.due(now) else { return Poll::Pending };
                    self.timer.insert(Box::pin(tokio::time::sleep_until(due)))
                }
            };
            std::task::ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if let Some(kind) = self.clocks.elapsed(now) {
                return Poll::Ready(kind);
            }
            match self.due(self.last.unwrap_or(now)) {
                Some(due) if due > now => {
                    if let Some(timer) = &mut self.timer {
                        timer.as_mut().reset(due);
                    }
                }
                _ => return Poll::Ready(Kind::ResponseTimeout),
            }
        }
    }
}

/// A body that was read into memory.
#[derive(Debug)]
pub struct Collected {
    /// At most `max` bytes. With [`Beyond::Keep`], also the rest of the frame that exceeded `max`.
    pub bytes: Vec<u8>,
    /// The body was longer, or failed before its end.
    pub truncated: bool,
    /// The body was read to its end, so its connection can be reused.
    pub ended: bool,
    /// The failure that ended the body early.
    pub failure: Option<Failure>,
}

/// Bytes of a body beyond `max` that are read and discarded to reach its end, so that the connection can be reused.
const DRAIN: usize = 64 * 1024;

/// The treatment of the bytes beyond `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// Up to 64 KiB are read and discarded to reach the end.
    Drain,
    /// Reading stops without discarding anything, because the body will be forwarded after all.
    Keep,
}

/// Returns the bytes of a body that came at once, without a copy where nobody else has them. They take no more memory than their length.
fn owned(data: Bytes) -> Vec<u8> {
    let mut bytes = Vec::from(data);
    bytes.shrink_to_fit();
    bytes
}

/// Reads at most `max` bytes of a body within the clocks.
pub async fn collect(body: &mut impl Incoming, max: usize, clocks: BodyClocks, beyond_bound: Beyond) -> Collected {
    let mut collected = Collected { bytes: Vec::new(), truncated: false, ended: false, failure: None };
    let mut clocks = Clocks::new(clocks);
    let mut beyond = 0;
    loop {
        let next = std::future::poll_fn(|cx| match body.poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => clocks.poll(cx).map(Err),
        });
        match next.await {
            Err(kind) => {
                collected.truncated = true;
                collected.failure = Some(kind.into());
                return collected;
            }
            Ok(None) => {
                collected.ended = true;
                return collected;
            }
            Ok(Some(Err(failure))) => {
                collected.truncated = true;
                collected.failure = Some(failure);
                return collected;
            }
            Ok(Some(Ok(frame))) => {
                if let Some(kind) = clocks.moved() {
                    collected.truncated = true;
                    collected.failure = Some(kind.into());
                    return collected;
                }
                let Ok(data) = frame.into_data() else { continue };
                if collected.bytes.is_empty() && data.len() <= max && body.size_hint().exact() == Some(0) {
                    collected.bytes = owned(data);
                    continue;
                }
                let room = max - collected.bytes.len();
                if collected.bytes.is_empty() {
                    // Reserves exactly the length of a body, where it is known; growing a `Vec` could take twice as much.
                    let rest = body.size_hint().exact().map_or(0, |rest| usize::try_from(rest).unwrap_or(usize::MAX));
                    collected.bytes.reserve_exact(rest.saturating_add(data.len()).min(max));
                }
                if data.len() > room && beyond_bound == Beyond::Keep {
                    collected.bytes.extend_from_slice(&data);
                    collected.truncated = true;
                    return collected;
                }
                collected.bytes.extend_from_slice(&data[..data.len().min(room)]);
                if data.len() > room {
                    collected.truncated = true;
                    beyond += data.len() - room;
                }
                if beyond > DRAIN {
                    return collected;
                }
            }
        }
    }
}
