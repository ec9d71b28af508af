//! One exchange on one stream of HTTP/2. It differs from one over HTTP/1 in what is known of a request without a response: the upstream may
//! have said that it did not process it.
//!
//! Knows nothing of endpoints or of further attempts.

use std::task::Poll;

use super::clocks::Clocks;
use super::outgoing::OutgoingRequest;
use crate::failure::Failure;
use crate::failure::classify::Http2Failure;
use crate::upstream::connect::http2::{Http2Head, Http2Stream};
use crate::upstream::upload::Upload;

/// Sends the request and waits for the response head. What is left of the body stays in `upload`.
///
/// # Errors
/// Returns the failure, and whether the request was processed.
pub(super) async fn exchange(
    stream: &mut Http2Stream,
    outgoing: &OutgoingRequest,
    upload: &mut Upload,
    clocks: Clocks<'_>,
) -> Result<Http2Head, Http2Failure> {
    let (mut started, mut since) = (false, clocks.begin);
    std::future::poll_fn(|cx| {
        if !started {
            started = true;
            stream.start(cx, outgoing.head(), upload, outgoing.keeps_upload)?;
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
