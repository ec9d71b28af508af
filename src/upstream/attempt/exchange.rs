//! One exchange on one connection: sends the request and waits for the response head, each wait with its own clock.
//!
//! Knows nothing of endpoints or of further attempts.

use std::sync::Arc;

use std::task::Poll;

use tokio::time::Instant;

use super::exchange_http2;
use super::outgoing::OutgoingRequest;
use crate::body::{InterimResponses, UploadProgress, UploadStage};
use crate::failure::{Failure, Kind};
use crate::http1::response::ResponseHead;
use crate::policy::Timeouts;
use crate::upstream::connect::http::Http;
use crate::upstream::connect::http1::Http1Connection;
use crate::upstream::upload::Upload;

/// Why an exchange ended without a response.
#[derive(Debug)]
pub enum ExchangeError {
    /// Nothing was written and the body was put back, so the request can be sent elsewhere whatever its method.
    NeverSent,
    /// The upstream has refused the request and not processed it (HTTP/2). The body was put back.
    Refused(Failure),
    /// The connection was lost without a word on the request.
    Lost(Failure),
    /// The upstream may have processed the request.
    Failed(Failure),
}

/// The clocks of one exchange, and where its interim responses go.
#[derive(Clone, Debug)]
pub struct Clocks<'a> {
    /// The route's timeouts.
    pub timeouts: &'a Timeouts,
    /// The deadline of the request, if it has one.
    pub deadline: Option<Instant>,
    /// When the exchange begins.
    pub begin: Instant,
    /// The upload's progress, if there is a body.
    pub progress: Option<Arc<UploadProgress>>,
    /// Takes the interim responses.
    pub interim: Option<&'a InterimResponses>,
}

/// Sends the request and waits for the response head. Returns what is left of the request's body: an upstream may respond before it has read
/// all of it.
///
/// # Errors
/// Returns [`ExchangeError`]. With [`ExchangeError::NeverSent`] and [`ExchangeError::Refused`], the body is put back.
pub async fn exchange(
    http: &mut Http,
    outgoing: &mut OutgoingRequest,
    clocks: Clocks<'_>,
) -> Result<(ResponseHead, Upload), ExchangeError> {
    let Some(upload) = outgoing.upload.take() else { return Err(ExchangeError::Failed(Kind::Internal.into())) };
    match http {
        Http::Http1(connection) => exchange_http1(connection, outgoing, upload, clocks).await,
        // Boxed, so that the future of an HTTP/1 exchange is no larger for it.
        Http::Http2(stream) => Box::pin(exchange_http2::exchange(stream, outgoing, upload, clocks)).await,
    }
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

impl Clocks<'_> {
    /// Ready with the kind of failure when a clock has elapsed. `is_due` tells whether a moment has come, and else wakes the task then. `since`
    /// is when the wait for the upstream began.
    pub(super) fn poll(&self, since: &mut Instant, mut is_due: impl FnMut(Instant) -> bool) -> Poll<Kind> {
        while let Some(due) = self.due(*since).filter(|due| is_due(*due)) {
            match self.interpret(*since, due) {
                TimerEvent::Timeout(kind) => return Poll::Ready(kind),
                TimerEvent::Progressed => {}
                TimerEvent::ClientIdle => *since = Instant::now(),
            }
        }
        Poll::Pending
    }

    /// Returns when the response timeout elapses. It starts at the last progress of the upload, so that a long upload does not count as a
    /// slow response.
    fn response_due(&self, since: Instant) -> Option<Instant> {
        let begin = self.progress.as_ref().map_or(since, |progress| progress.moved().max(since));
        self.timeouts.response.map(|response| begin + response)
    }

    fn due(&self, since: Instant) -> Option<Instant> {
        [self.response_due(since), self.deadline].into_iter().flatten().min()
    }

    /// Interprets the elapsed `due`.
    fn interpret(&self, since: Instant, due: Instant) -> TimerEvent {
        let stage = self.progress.as_ref().map_or(UploadStage::Done, |progress| progress.stage());
        if self.deadline.is_some_and(|deadline| deadline <= due) {
            // The client did not send its body in time.
            return TimerEvent::Timeout(if stage == UploadStage::WaitsForClient { Kind::RequestTimeout } else { Kind::TotalTimeout });
        }
        if self.response_due(since).is_some_and(|now_due| now_due > due) {
            return TimerEvent::Progressed;
        }
        match stage {
            UploadStage::Done => TimerEvent::Timeout(Kind::ResponseTimeout),
            UploadStage::WaitsForUpstream => TimerEvent::Timeout(Kind::UploadTimeout),
            UploadStage::WaitsForClient => TimerEvent::ClientIdle,
        }
    }
}

/// The meaning of an elapsed timer.
enum TimerEvent {
    /// A clock has elapsed.
    Timeout(Kind),
    /// The upload has progressed meanwhile, so the clock restarts from there.
    Progressed,
    /// The upload waits for the client, which has a clock of its own (`body_timeout`).
    ClientIdle,
}
