//! Reads a request's body before the backend is asked, where the route wants that: a slow client then holds no permit and no connection
//! of the backend, the body is sent with its length, and it can be sent again.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio::time::Instant;

use super::payload::Payload;
use super::request::{Inbound, Request};
use super::state::Gateway;
use crate::body::{Incoming as _, RequestBody};
use crate::data_rate::DataRate;
use crate::failure::{Failure, Kind};
use crate::header::{HeaderList, names};
use crate::limit::reserve::MemoryPermit;
use crate::plan::Route;
use crate::upstream::choose::backend::Backend;
use crate::upstream::connect::http2::MAX_KEPT;
use crate::upstream::retry::policy::is_idempotent;

/// The longest pause in a body of unknown length. After it the rest streams, because the client may wait for a response first.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest time that a body of unknown length is waited for: the upstream may need its first pieces.
const PATIENCE: Duration = Duration::from_millis(250);

/// True when the request may be sent more than once, by its method or by its idempotency key.
pub(super) fn is_repeatable(route: &Route, request: Request<'_>, headers: &HeaderList) -> bool {
    let by_key = || route.policy.retry.as_ref().is_some_and(|retry| retry.idempotency_key) && headers.contains(names::IDEMPOTENCY_KEY);
    is_idempotent(&request.context.method) || by_key()
}

/// Takes the memory for what an exchange over HTTP/2 keeps of a body that streams. `None` if it keeps nothing, or there is none.
pub(super) fn keep(gateway: &Gateway, backend: &Backend, payload: &Payload) -> Option<MemoryPermit> {
    match payload {
        Payload::Streaming { .. } if backend.may_speak_http2() => gateway.plan.buffers.take(MAX_KEPT),
        Payload::Streaming { .. } | Payload::Empty | Payload::Held(_) => None,
    }
}

/// How much of the body is read before the backend is asked, in bytes; `None` for nothing. A body that the client sends only on request
/// (`Expect`) and the messages of a gRPC call are not waited for.
pub(super) fn wanted(route: &Route, request: Request<'_>, inbound: &Inbound) -> Option<usize> {
    let policy = &route.policy;
    if (policy.buffer_request.is_none() && policy.retry.is_none()) || route.forward().is_none() {
        return None;
    }
    match &inbound.payload {
        Payload::Streaming { .. } => {}
        Payload::Empty | Payload::Held(_) => return None,
    }
    let for_retry = policy.retry.as_ref().map(|retry| retry.max_body).filter(|max| {
        // A body that cannot be kept whole is of no use for a retry.
        is_repeatable(route, request, &inbound.headers) && request.seen.content_length.is_some_and(|length| length <= *max as u64)
    });
    let converses = request.seen.rare().expect.is_some() || request.converses();
    [policy.buffer_request.filter(|_| !converses), for_retry].into_iter().flatten().max()
}

/// Reads up to `max` bytes, as long as there is memory for held bodies. The rest streams.
pub(super) async fn fill(
    max: usize,
    gateway: &Gateway,
    route: &Route,
    request: Request<'_>,
    payload: Payload,
    deadline: Option<Instant>,
) -> Result<Payload, Failure> {
    let mut body = match payload {
        Payload::Streaming { body, .. } => body,
        Payload::Empty | Payload::Held(_) => return Ok(payload),
    };
    let share = gateway.plan.buffers.share();
    let bounds = ReadBounds { max, limit: route.policy.request_body_limit };
    let clock = Clock {
        idle: route.policy.timeouts.request_body,
        deadline,
        patience: request.seen.content_length.is_none().then(|| Instant::now() + PATIENCE),
        rate: request.min_rate(&route.policy).map(DataRate::new),
    };
    let (bytes, whole) = read(&mut body, bounds, clock, share).await?;
    Ok(if whole { Payload::Held(bytes) } else { Payload::Streaming { before: bytes, body } })
}

struct ReadBounds {
    /// The most bytes that are held.
    max: usize,
    /// The most bytes that the body may have.
    limit: Option<u64>,
}

/// The timeouts of a wait for the next bytes.
struct Clock {
    idle: Option<Duration>,
    deadline: Option<Instant>,
    /// For a body of unknown length: after a pause, or at this time, the rest streams.
    patience: Option<Instant>,
    rate: Option<DataRate>,
}

/// Why a wait ended without bytes.
enum Elapsed {
    /// The client paused, which it may.
    Paused,
    /// The client was too slow.
    Slow(&'static str),
}

impl Clock {
    /// Waits for the next frame.
    async fn frame(&mut self, body: &mut RequestBody) -> Result<Option<Result<Frame<Bytes>, Failure>>, Elapsed> {
        let now = Instant::now();
        let slow = [
            (self.idle.map(|idle| now + idle), "no byte of the request body within body_timeout"),
            (self.rate.as_mut().map(|rate| rate.waits(now)), "the request body is slower than min_rate"),
            (self.deadline, "the request body was not sent before the deadline"),
        ];
        let slow = slow.into_iter().filter_map(|(due, why)| Some((due?, Elapsed::Slow(why))));
        let due = slow.chain(self.patience.map(|end| (end.min(now + PAUSE), Elapsed::Paused))).min_by_key(|(due, _)| *due);
        let next = std::future::poll_fn(|cx| body.poll_frame(cx));
        let frame = match due {
            None => next.await,
            Some((due, why)) => tokio::time::timeout_at(due, next).await.map_err(|_| why)?,
        };
        if let Some(rate) = &mut self.rate {
            let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref).map_or(0, Bytes::len);
            rate.moved(bytes as u64, Instant::now());
        }
        Ok(frame)
    }
}

/// Reads a body. Only received bytes take memory, never a declared length.
async fn read(body: &mut RequestBody, bounds: ReadBounds, mut clock: Clock, mut share: MemoryPermit) -> Result<(Bytes, bool), Failure> {
    let (mut first, mut more) = (Bytes::new(), BytesMut::new());
    let mut length = 0;
    let whole = loop {
        let frame = match clock.frame(body).await {
            Ok(Some(frame)) => frame,
            Ok(None) => break true,
            Err(Elapsed::Paused) => break false,
            Err(Elapsed::Slow(why)) => return Err(Failure::because(Kind::RequestTimeout, why)),
        };
        // Trailers end the body, and are dropped.
        let Ok(data) = frame?.into_data() else { break true };
        length += data.len();
        if bounds.limit.is_some_and(|limit| length as u64 > limit) {
            return Err(Failure::because(Kind::PayloadTooLarge, "the request body passed request_body_limit"));
        }
        let counted = share.grow(data.len());
        // Most bodies are one frame, which needs no copy.
        match (first.is_empty(), more.is_empty()) {
            (true, _) => first = data,
            (false, true) => {
                more.extend_from_slice(&first);
                more.extend_from_slice(&data);
            }
            (false, false) => more.extend_from_slice(&data),
        }
        if !counted {
            break false;
        }
        if body.is_end_stream() {
            break true;
        }
        if length >= bounds.max {
            break false;
        }
    };
    let bytes = if more.is_empty() { first } else { more.freeze() };
    Ok((if bytes.is_empty() { bytes } else { share.hold(bytes) }, whole))
}
