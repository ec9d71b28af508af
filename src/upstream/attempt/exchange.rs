//! One exchange on one connection: send the request, wait for the head, each wait with its own clock.

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

/// How an attempt ended without a response.
#[derive(Debug)]
pub enum ExchangeError {
    /// Nothing was written and the request is back: it may go elsewhere, whatever its method.
    NeverSent,
    /// The upstream may have seen it.
    Failed(Failure),
}

/// Clocks of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Clocks<'a> {
    /// The route's.
    pub timeouts: &'a Timeouts,
    /// The end of everything, when the route has one.
    pub deadline: Option<Instant>,
    /// When the exchange begins.
    pub begin: Instant,
    /// The upload, when there is a body.
    pub progress: Option<&'a Arc<UploadProgress>>,
    /// What is written is kept for another try.
    pub replays: bool,
}

/// Sends and waits for the head.
///
/// # Errors
/// [`ExchangeError`] says whether the request may be sent again as it is; then it is put back.
pub async fn exchange(
    connection: &mut Connection,
    request: &mut Option<Request<Upload>>,
    clocks: Clocks<'_>,
) -> Result<Response<Incoming>, ExchangeError> {
    let Some(sending) = request.take() else { return Err(ExchangeError::Failed(Kind::Internal.into())) };
    connection.socket.begin(clocks.replays);
    let Connection { sender, socket, .. } = connection;
    let mut response = std::pin::pin!(sender.try_send_request(sending));
    let mut since = clocks.begin;
    loop {
        let outcome = match clocks.due(since) {
            None => response.as_mut().await,
            Some(due) => match tokio::time::timeout_at(due, response.as_mut()).await {
                Ok(outcome) => outcome,
                Err(_) => match clocks.verdict(since, due) {
                    Verdict::Elapsed(kind) => return Err(ExchangeError::Failed(kind.into())),
                    Verdict::Moved => continue,
                    Verdict::ClientsTurn => {
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

/// A lost connection is another row once bytes of the response were there.
fn lost(failure: Failure, ended: bool, socket: &SocketState) -> Failure {
    match (failure.kind, socket.any_bytes(ended)) {
        (Kind::ConnectionLost, true) => Failure { kind: Kind::ResponseIncomplete, ..failure },
        // TLS that ends without a word of farewell, before a byte of an answer.
        (Kind::ResponseIncomplete, false) => Failure { kind: Kind::ConnectionLost, ..failure },
        _ => failure,
    }
}

impl Clocks<'_> {
    /// The response clock begins when the upload last moved: a long upload is no slow response.
    fn response_due(&self, since: Instant) -> Option<Instant> {
        let begin = self.progress.map_or(since, |progress| progress.moved().max(since));
        self.timeouts.response.map(|response| begin + response)
    }

    fn due(&self, since: Instant) -> Option<Instant> {
        [self.response_due(since), self.deadline].into_iter().flatten().min()
    }

    /// What it means that `due` has come.
    fn verdict(&self, since: Instant, due: Instant) -> Verdict {
        let stage = self.progress.map_or(UploadStage::Done, |progress| progress.stage());
        if self.deadline.is_some_and(|deadline| deadline <= due) {
            // A client that has not sent its body by then has itself to blame.
            return Verdict::Elapsed(if stage == UploadStage::WaitsForClient { Kind::RequestTimeout } else { Kind::TotalTimeout });
        }
        if self.response_due(since).is_some_and(|now_due| now_due > due) {
            return Verdict::Moved;
        }
        match stage {
            UploadStage::Done => Verdict::Elapsed(Kind::ResponseTimeout),
            UploadStage::WaitsForUpstream => Verdict::Elapsed(Kind::UploadTimeout),
            UploadStage::WaitsForClient => Verdict::ClientsTurn,
        }
    }
}

/// The meaning of an alarm.
enum Verdict {
    /// A clock elapsed.
    Elapsed(Kind),
    /// The upload moved meanwhile: the clock begins again from there.
    Moved,
    /// The upload waits for the client, whose own clock (`body_timeout`) runs.
    ClientsTurn,
}
