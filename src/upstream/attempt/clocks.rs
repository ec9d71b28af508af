//! The clocks of one exchange: how long it waits for the upstream, and what an elapsed wait means.
//!
//! Knows nothing of connections.

use std::sync::Arc;
use std::task::Poll;

use tokio::time::Instant;

use crate::body::{InterimResponses, UploadProgress, UploadStage};
use crate::failure::Kind;
use crate::policy::Timeouts;

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
