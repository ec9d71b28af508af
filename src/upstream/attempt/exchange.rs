//! One exchange on one connection: sends the request and waits for the response head, each wait with its own clock.
//!
//! Knows nothing of endpoints or of further attempts.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::body::{UploadProgress, UploadStage};
use crate::failure::{Failure, Kind, classify};
use crate::policy::Timeouts;
use crate::upstream::connect::pool::Connection;
use crate::upstream::connect::wire::SocketState;
use crate::upstream::upload::Upload;

/// Why an exchange ended without a response.
#[derive(Debug)]
pub enum ExchangeError {
    /// Nothing was written and the request was put back, so it can be sent elsewhere whatever its method.
    NeverSent,
    /// The upstream may have received the request.
    Failed(Failure),
}

/// The clocks of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Clocks<'a> {
    /// The route's timeouts.
    pub timeouts: &'a Timeouts,
    /// The deadline of the request, if it has one.
    pub deadline: Option<Instant>,
    /// When the exchange begins.
    pub begin: Instant,
    /// The upload's progress, if there is a body.
    pub progress: Option<&'a Arc<UploadProgress>>,
    /// Whether the request head is recorded as it is written, for another attempt.
    pub replays: bool,
}

/// Sends the request and waits for the response head.
///
/// # Errors
/// Returns [`ExchangeError`]. With [`ExchangeError::NeverSent`], the request is put back.
pub async fn exchange(
    connection: &mut Connection,
    request: &mut Option<Request<Upload>>,
    clocks: Clocks<'_>,
) -> Result<Response<Incoming>, ExchangeError> {
    let Some(sending) = request.take() else { return Err(ExchangeError::Failed(Kind::Internal.into())) };
    connection.socket.start_request(clocks.replays);
    let Connection { sender, socket, .. } = connection;
    let mut response = std::pin::pin!(sender.try_send_request(sending));
    let mut since = clocks.begin;
    loop {
        let outcome = match clocks.due(since) {
            None => response.as_mut().await,
            Some(due) => match tokio::time::timeout_at(due, response.as_mut()).await {
                Ok(outcome) => outcome,
                Err(_) => match clocks.interpret(since, due) {
                    TimerEvent::Timeout(kind) => return Err(ExchangeError::Failed(kind.into())),
                    TimerEvent::Progressed => continue,
                    TimerEvent::ClientIdle => {
                        since = Instant::now();
                        continue;
                    }
                },
            },
        };
        return outcome.map_err(|mut error| match error.take_message() {
            Some(back) => {
                *request = Some(back);
                ExchangeError::NeverSent
            }
            None => ExchangeError::Failed(lost(classify::exchange(error.error()), error.error().is_incomplete_message(), socket)),
        });
    }
}

/// Distinguishes a connection lost before the response from one lost within it.
fn lost(failure: Failure, ended: bool, socket: &SocketState) -> Failure {
    match (failure.kind, socket.has_received(ended)) {
        (Kind::ConnectionLost, true) => Failure { kind: Kind::ResponseIncomplete, ..failure },
        // TLS that ended without close_notify, before the first byte of a response.
        (Kind::ResponseIncomplete, false) => Failure { kind: Kind::ConnectionLost, ..failure },
        _ => failure,
    }
}

impl Clocks<'_> {
    /// Returns when the response timeout elapses. It starts at the last progress of the upload, so that a long upload does not count as a
    /// slow response.
    fn response_due(&self, since: Instant) -> Option<Instant> {
        let begin = self.progress.map_or(since, |progress| progress.moved().max(since));
        self.timeouts.response.map(|response| begin + response)
    }

    fn due(&self, since: Instant) -> Option<Instant> {
        [self.response_due(since), self.deadline].into_iter().flatten().min()
    }

    /// Interprets the elapsed `due`.
    fn interpret(&self, since: Instant, due: Instant) -> TimerEvent {
        let stage = self.progress.map_or(UploadStage::Done, |progress| progress.stage());
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
