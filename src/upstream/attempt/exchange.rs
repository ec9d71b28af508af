//! One exchange on one connection: sends the request and waits for the response head, each wait with its own clock.
//!
//! Knows nothing of endpoints or of further attempts.

use std::task::Poll;

use super::clocks::Clocks;
use super::exchange_http2;
use super::outgoing::OutgoingRequest;
use crate::failure::classify::{Http2Failure, Processing};
use crate::failure::{Failure, Kind};
use crate::http1::framing::Framing;
use crate::http1::response::ResponseHead;
use crate::upstream::connect::http::Http;
use crate::upstream::connect::http1::Http1Connection;
use crate::upstream::connect::http2::{Http2Head, Http2Stream};
use crate::upstream::upload::Upload;

/// Why an exchange ended without a response.
#[derive(Debug)]
pub enum ExchangeError {
    /// Nothing was written and the body was put back, so the request can be sent elsewhere whatever its method.
    NeverSent,
    /// The upstream has refused the request and not processed it (HTTP/2). The body was put back.
    Refused(Failure),
    /// The upstream wants the request over HTTP/1.1 and has not processed it. The body was put back.
    WantsHttp1(Failure),
    /// The connection was lost without a word on the request.
    Lost(Failure),
    /// The upstream may have processed the request.
    Failed(Failure),
}

/// Sends the request and waits for the response head. Returns what is left of the request's body: an upstream may respond before it has read
/// all of it.
///
/// # Errors
/// Returns [`ExchangeError`], which says when the body is put back.
pub async fn exchange(
    http: &mut Http,
    outgoing: &mut OutgoingRequest,
    clocks: Clocks<'_>,
) -> Result<(ResponseHead, Upload), ExchangeError> {
    let Some(upload) = outgoing.upload.take() else { return Err(ExchangeError::Failed(Kind::Internal.into())) };
    match http {
        Http::Http1(connection) => exchange_http1(connection, outgoing, upload, clocks).await,
        // Boxed, so that the future of an HTTP/1 exchange is no larger for it.
        Http::Http2(stream) => Box::pin(exchange_http2(stream, outgoing, upload, clocks)).await,
    }
}

async fn exchange_http2(
    stream: &mut Http2Stream,
    outgoing: &mut OutgoingRequest,
    mut upload: Upload,
    clocks: Clocks<'_>,
) -> Result<(ResponseHead, Upload), ExchangeError> {
    match exchange_http2::exchange(stream, outgoing, &mut upload, clocks).await {
        // The stream knows its framing, and its connection is not returned.
        Ok(Http2Head { status, headers }) => Ok((ResponseHead { status, headers, framing: Framing::EMPTY, keep_alive: false }, upload)),
        Err(Http2Failure { failure, processing }) => Err(match processing {
            Processing::Possible => ExchangeError::Failed(failure),
            Processing::Unknown => ExchangeError::Lost(failure),
            Processing::None if failure.kind == Kind::ConnectionLost => {
                not_processed(stream, outgoing, upload, failure, |_| ExchangeError::NeverSent)
            }
            Processing::None => not_processed(stream, outgoing, upload, failure, ExchangeError::Refused),
            Processing::WantsHttp1 => not_processed(stream, outgoing, upload, failure, ExchangeError::WantsHttp1),
        }),
    }
}

/// Puts the body back for another attempt.
fn not_processed(
    stream: &mut Http2Stream,
    outgoing: &mut OutgoingRequest,
    mut upload: Upload,
    failure: Failure,
    error: impl FnOnce(Failure) -> ExchangeError,
) -> ExchangeError {
    if !stream.put_back(&mut upload) {
        return ExchangeError::Failed(failure);
    }
    outgoing.upload = Some(upload);
    error(failure)
}

async fn exchange_http1(
    connection: &mut Http1Connection,
    outgoing: &mut OutgoingRequest,
    mut upload: Upload,
    clocks: Clocks<'_>,
) -> Result<(ResponseHead, Upload), ExchangeError> {
    match exchange_head(connection, outgoing, &mut upload, clocks).await {
        Ok(head) => Ok((head, upload)),
        Err(failure) if failure.kind == Kind::ConnectionLost && connection.has_sent() => Err(ExchangeError::Lost(failure)),
        Err(failure) if connection.has_sent() || failure.kind != Kind::ConnectionLost => Err(ExchangeError::Failed(failure)),
        Err(_) => {
            if let Some(data) = connection.take_unsent() {
                upload.put_back(data);
            }
            outgoing.upload = Some(upload);
            Err(ExchangeError::NeverSent)
        }
    }
}

async fn exchange_head(
    connection: &mut Http1Connection,
    outgoing: &OutgoingRequest,
    upload: &mut Upload,
    clocks: Clocks<'_>,
) -> Result<ResponseHead, Failure> {
    let (mut started, mut since) = (false, clocks.begin);
    std::future::poll_fn(|cx| {
        if !started {
            started = true;
            connection.start(cx, outgoing.head(), upload)?;
        } else if !connection.is_sent()
            && let Poll::Ready(Err(failure)) = connection.poll_send(cx, upload)
        {
            return Poll::Ready(Err(failure));
        }
        if let Poll::Ready(head) = connection.poll_head(cx, &outgoing.method, clocks.interim) {
            return Poll::Ready(head);
        }
        clocks.poll(&mut since, |due| connection.is_due(due, cx)).map(|kind| Err(kind.into()))
    })
    .await
}
