//! One exchange on one stream of HTTP/2. It differs from one over HTTP/1 in what is known of a request without a response: the upstream may
//! have said that it did not process it.
//!
//! Knows nothing of endpoints or of further attempts.

use std::task::Poll;

use super::exchange::{Clocks, ExchangeError};
use super::outgoing::OutgoingRequest;
use crate::failure::classify::{Http2Failure, Processing};
use crate::failure::{Failure, Kind};
use crate::http1::framing::Framing;
use crate::http1::response::ResponseHead;
use crate::upstream::connect::http2::{Http2Head, Http2Stream};
use crate::upstream::upload::Upload;

/// Sends the request and waits for the response head. Returns what is left of the request's body.
///
/// # Errors
/// Returns [`ExchangeError`]. The body is put back if it is certain that the request was not processed.
pub(super) async fn exchange(
    stream: &mut Http2Stream,
    outgoing: &mut OutgoingRequest,
    mut upload: Upload,
    clocks: Clocks<'_>,
) -> Result<(ResponseHead, Upload), ExchangeError> {
    match exchange_head(stream, outgoing, &mut upload, clocks).await {
        // The stream knows its framing, and its connection is not returned.
        Ok(Http2Head { status, headers }) => Ok((ResponseHead { status, headers, framing: Framing::EMPTY, keep_alive: false }, upload)),
        Err(Http2Failure { failure, processing }) => Err(match processing {
            Processing::Possible => ExchangeError::Failed(failure),
            Processing::Unknown => ExchangeError::Lost(failure),
            Processing::None => not_processed(stream, outgoing, upload, failure),
        }),
    }
}

/// Puts the body back for another attempt.
fn not_processed(stream: &mut Http2Stream, outgoing: &mut OutgoingRequest, mut upload: Upload, failure: Failure) -> ExchangeError {
    if !stream.put_back(&mut upload) {
        return ExchangeError::Failed(failure);
    }
    outgoing.upload = Some(upload);
    match failure.kind {
        Kind::ConnectionLost => ExchangeError::NeverSent,
        _ => ExchangeError::Refused(failure),
    }
}

async fn exchange_head(
    stream: &mut Http2Stream,
    outgoing: &OutgoingRequest,
    upload: &mut Upload,
    clocks: Clocks<'_>,
) -> Result<Http2Head, Http2Failure> {
    let (mut started, mut since) = (false, clocks.begin);
    std::future::poll_fn(|cx| {
        if !started {
            started = true;
            stream.start(cx, outgoing.head(), upload)?;
        } else if let Poll::Ready(Err(failure)) = stream.poll_send(cx, upload) {
            return Poll::Ready(Err(failure.into()));
        }
        if let Poll::Ready(head) = stream.poll_head(cx, &outgoing.method, clocks.interim) {
            return Poll::Ready(head);
        }
        clocks.poll(&mut since, |due| stream.is_due(due, cx)).map(|kind| Err(Failure::from(kind).into()))
    })
    .await
}
