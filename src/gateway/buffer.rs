//! Reads a request's body before the backend is asked, where the route wants that: a slow client then holds no place of the
//! backend's, the body goes out with its length, and it can be sent again.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::Gateway;
use super::arrive::Trip;
use crate::failure::{Failure, Kind, classify};
use crate::header::names;
use crate::limit::reserve::Share;
use crate::plan::Route;
use crate::upstream::retry::is_idempotent;

/// What was read of a body.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) bytes: Bytes,
    /// That is all of it.
    pub(super) whole: bool,
    /// Of the memory that all held bodies share.
    _share: Share,
}

/// May the request be sent more than once, as its method or its key says?
pub(super) fn is_repeatable(route: &Route, trip: &Trip) -> bool {
    let by_key =
        || route.policy.retry.as_ref().is_some_and(|retry| retry.idempotency_key) && trip.headers.contains_key(names::IDEMPOTENCY_KEY);
    is_idempotent(&trip.context().method) || by_key()
}

/// How much of the body is read first, in bytes; `None` for nothing.
pub(super) fn wanted(route: &Route, trip: &Trip) -> Option<usize> {
    let (body, _) = trip.body.as_ref()?;
    let policy = &route.policy;
    if (policy.buffer_request.is_none() && policy.retry.is_none()) || http_body::Body::is_end_stream(body) {
        return None;
    }
    let for_retry = policy.retry.as_ref().map(|retry| retry.max_body).filter(|max| {
        // A body that cannot be kept whole is not kept for a retry at all.
        is_repeatable(route, trip) && trip.seen.content_length.is_some_and(|length| length <= *max as u64)
    });
    [policy.buffer_request, for_retry].into_iter().flatten().max()
}

/// Reads up to `max` bytes, as long as there is memory for held bodies: without it, the rest streams.
pub(super) async fn fill(max: usize, gateway: &Gateway, route: &Route, trip: &mut Trip) -> Result<(), Failure> {
    let Some((mut body, hold)) = trip.body.take() else { return Ok(()) };
    let mut share = gateway.plan.buffers.share();
    let limit = route.policy.request_body_limit;
    let clock = Clock { idle: route.policy.timeouts.request_body, deadline: trip.deadline };
    let (bytes, whole) = read(&mut body, Bounds { max, limit }, clock, &mut share).await?;
    if !whole {
        trip.body = Some((body, hold));
    }
    trip.read = Some(Box::new(Read { bytes, whole, _share: share }));
    Ok(())
}

#[derive(Clone, Copy)]
struct Bounds {
    /// Bytes that are held.
    max: usize,
    /// Bytes that a body may have.
    limit: Option<u64>,
}

#[derive(Clone, Copy)]
struct Clock {
    idle: Option<Duration>,
    deadline: Option<Instant>,
}

/// What a client says of a body's length takes no memory; what it sends does.
async fn read(body: &mut Incoming, bounds: Bounds, clock: Clock, share: &mut Share) -> Result<(Bytes, bool), Failure> {
    let (mut first, mut more) = (Bytes::new(), BytesMut::new());
    let mut length = 0;
    let whole = loop {
        let due = [clock.idle.map(|idle| Instant::now() + idle), clock.deadline].into_iter().flatten().min();
        let frame = match due {
            None => body.frame().await,
            Some(due) => match tokio::time::timeout_at(due, body.frame()).await {
                Ok(frame) => frame,
                Err(_) if clock.deadline == Some(due) => return Err(Kind::TotalTimeout.into()),
                Err(_) => return Err(Failure::because(Kind::RequestTimeout, "no byte of the request body within body_timeout")),
            },
        };
        let Some(frame) = frame else { break true };
        // Trailers end a body, and are dropped.
        let Ok(data) = frame.map_err(|error| classify::request_body(&error))?.into_data() else { break true };
        length += data.len();
        if bounds.limit.is_some_and(|limit| length as u64 > limit) {
            return Err(Failure::because(Kind::PayloadTooLarge, "the request body passed request_body_limit"));
        }
        let counted = share.grow(data.len());
        // Most bodies are one chunk, which needs no copy.
        match (first.is_empty(), more.is_empty()) {
            (true, _) => first = data,
            (false, true) => {
                more.extend_from_slice(&first);
                more.extend_from_slice(&data);
            }
            (false, false) => more.extend_from_slice(&data),
        }
        if http_body::Body::is_end_stream(body) {
            break true;
        }
        if length >= bounds.max || !counted {
            break false;
        }
    };
    Ok((if more.is_empty() { first } else { more.freeze() }, whole))
}
