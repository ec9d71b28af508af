//! Streams a good body to the client, chunk by chunk, with back-pressure. Its clocks end a silent upstream; a late failure
//! aborts visibly, because what has begun cannot be taken back (contract section 6).
//!
//! Knows neither connections nor logs: its [`OnFinish`] does.

mod ahead;
mod guarded;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::body::{Aborted, Flow};
use crate::failure::{Failure, Kind, classify};

pub use ahead::Ahead;
pub use guarded::Guarded;

/// Who learns what becomes of a body. Dropped without an end: the client left.
pub trait OnFinish: Send {
    /// So many bytes were handed to the client's connection.
    fn sent(&mut self, bytes: u64);
    /// What may pass of the trailers.
    fn trailers(&self, trailers: HeaderMap) -> Option<HeaderMap>;
    /// The upstream's body came to its end.
    fn finished(self);
    /// It did not.
    fn failed(self, failure: Failure);
}

/// Clocks of a body.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyClocks {
    /// Longest silence of the upstream.
    pub idle: Option<Duration>,
    /// End of everything, and which clock that is.
    pub deadline: Option<(Instant, Kind)>,
}

impl BodyClocks {
    fn elapsed(&self, now: Instant) -> Option<Kind> {
        self.deadline.filter(|(deadline, _)| *deadline <= now).map(|(_, kind)| kind)
    }
}

/// What was read of a body before it was clear that it passes: bytes, or trailers where there are none.
#[derive(Clone, Debug, Default)]
pub struct Prefix {
    /// Data.
    pub data: Bytes,
    /// They end the body; rare, so they do not weigh on every body.
    pub trailers: Option<Box<HeaderMap>>,
}

impl From<Bytes> for Prefix {
    fn from(data: Bytes) -> Self {
        Self { data, trailers: None }
    }
}

/// A body on its way through.
pub struct Relay<T: OnFinish> {
    prefix: Option<Bytes>,
    trailers: Option<Box<HeaderMap>>,
    body: Incoming,
    on_finish: Option<T>,
    watch: Watch,
    /// A frame was given out, or hyper was told to wait, on which it sends the head: from then on the clocks may abort the body.
    begun: bool,
}

impl<T: OnFinish> Relay<T> {
    /// Begins. A body that is already over finishes its tail at once.
    pub fn new(prefix: Prefix, body: Incoming, on_finish: T, clocks: BodyClocks) -> Self {
        let Prefix { data, trailers } = prefix;
        let mut relay = Self {
            prefix: (!data.is_empty()).then_some(data),
            trailers,
            body,
            on_finish: Some(on_finish),
            watch: Watch::new(clocks),
            begun: false,
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

    /// Trailers come last: without one that may pass, the body just ends.
    fn end_with(&mut self, trailers: HeaderMap) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let kept = self.on_finish.as_ref().and_then(|on_finish| on_finish.trailers(trailers));
        if let Some(on_finish) = self.on_finish.take() {
            on_finish.finished();
        }
        Poll::Ready(kept.map(|kept| Ok(Frame::trailers(kept))))
    }

    fn fail(&mut self, failure: Failure) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        if let Some(on_finish) = self.on_finish.take() {
            on_finish.failed(failure);
        }
        Poll::Ready(Some(Err(Aborted)))
    }
}

impl<T: OnFinish> Flow for Relay<T> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        if let (Some(prefix), Some(on_finish)) = (self.prefix.take(), &mut self.on_finish) {
            on_finish.sent(prefix.len() as u64);
            return Poll::Ready(Some(Ok(Frame::data(prefix))));
        }
        if let Some(trailers) = self.trailers.take() {
            return self.end_with(*trailers);
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            self.begun = true;
            return match self.watch.poll(cx) {
                Poll::Ready(kind) => self.fail(kind.into()),
                Poll::Pending => Poll::Pending,
            };
        };
        // The first bytes pass at any time: without them the head would not be sent either, and the client be told nothing.
        if let Some(kind) = self.watch.moved().filter(|_| self.begun) {
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
            Some(Err(error)) => self.fail(classify::response_body(&error)),
            Some(Ok(frame)) => {
                if let (Some(data), Some(on_finish)) = (frame.data_ref(), &mut self.on_finish) {
                    on_finish.sent(data.len() as u64);
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
        self.prefix.is_none() && self.trailers.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.prefix {
            None => self.body.size_hint(),
            // Only a body of unknown length is begun before it passes.
            Some(_) => SizeHint::default(),
        }
    }
}

/// The bytes of a body that are there already. A body that is broken from its first byte on is still a clean failure here;
/// once the head was sent it could only be an abort.
///
/// # Errors
/// Why the body cannot be read.
pub async fn begin(body: &mut Incoming) -> Result<Prefix, Failure> {
    let first = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx)));
    match first.await {
        Poll::Ready(Some(Err(error))) => Err(classify::response_body(&error)),
        Poll::Ready(Some(Ok(frame))) => Ok(match frame.into_data() {
            Ok(data) => data.into(),
            Err(frame) => Prefix { data: Bytes::new(), trailers: frame.into_trailers().ok().map(Box::new) },
        }),
        Poll::Ready(None) | Poll::Pending => Ok(Prefix::default()),
    }
}

/// The idle clock and the deadline of a body. Armed when the upstream first makes us wait, never re-armed per chunk.
struct Watch {
    clocks: BodyClocks,
    timer: Option<Pin<Box<Sleep>>>,
    last: Option<Instant>,
}

impl Watch {
    const fn new(clocks: BodyClocks) -> Self {
        Self { clocks, timer: None, last: None }
    }

    /// Something arrived. An upstream that always has more meets the deadline here.
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
    /// At most the bound.
    pub bytes: Vec<u8>,
    /// More was there, or it broke off.
    pub truncated: bool,
    /// The upstream's body came to its end: its connection may serve again.
    pub ended: bool,
    /// What ended it, if not its end.
    pub failure: Option<Failure>,
}

/// How much of a body beyond the bound is read and thrown away, so that the connection stays usable.
const DRAIN: usize = 64 * 1024;

/// What becomes of the bytes beyond the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// At most 64 KiB are read and thrown away to reach the end.
    Drain,
    /// Reading stops, and what was read is kept whole: the body will pass after all.
    Keep,
}

/// Reads at most `max` bytes within the clocks.
pub async fn collect(body: &mut Incoming, max: usize, clocks: BodyClocks, beyond_bound: Beyond) -> Collected {
    let mut collected = Collected { bytes: Vec::new(), truncated: false, ended: false, failure: None };
    let mut watch = Watch::new(clocks);
    let mut beyond = 0;
    loop {
        let next = std::future::poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => watch.poll(cx).map(Err),
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
            Ok(Some(Err(error))) => {
                collected.truncated = true;
                collected.failure = Some(classify::response_body(&error));
                return collected;
            }
            Ok(Some(Ok(frame))) => {
                if let Some(kind) = watch.moved() {
                    collected.truncated = true;
                    collected.failure = Some(kind.into());
                    return collected;
                }
                let Some(data) = frame.data_ref() else { continue };
                let room = max - collected.bytes.len();
                if collected.bytes.is_empty() {
                    // A body of a known length is held in as many bytes, not in up to twice as many.
                    let rest = body.size_hint().exact().map_or(0, |rest| usize::try_from(rest).unwrap_or(usize::MAX));
                    collected.bytes.reserve_exact(rest.saturating_add(data.len()).min(max));
                }
                if data.len() > room && beyond_bound == Beyond::Keep {
                    collected.bytes.extend_from_slice(data);
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
