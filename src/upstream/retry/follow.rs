//! Decides what follows an attempt: the same endpoint on a new connection, another endpoint, a retry after a pause, or nothing.
//!
//! A request that the upstream may have processed is sent again only if the route allows it and its budget pays for it. Two cases need no
//! permission, because nothing can happen twice: a request that was never written or that the upstream refused goes to another endpoint, and an idempotent one on an
//! idle connection that the upstream had closed goes over a new connection (RFC 9110 9.2.2).

use std::sync::Arc;
use std::time::Duration;

use http::header;
use tokio::time::Instant;

use super::policy;
use crate::body::Incoming as _;
use crate::context::Trail;
use crate::failure::{Failure, Kind};
use crate::header::retry_after_of;
use crate::policy::{Retry, RetryOn};
use crate::upstream::attempt::outgoing::OutgoingRequest;
use crate::upstream::attempt::response::UpstreamResponse;
use crate::upstream::attempt::{AttemptError, AttemptOptions, DispatchContext, SendProgress, attempt};
use crate::upstream::choose::backend::Backend;
use crate::upstream::choose::counts::{RetryOutcome, RetryReason};
use crate::upstream::choose::endpoint::Endpoint;

/// Maximum attempts in which nothing was processed.
const MAX_UNSENT: u32 = 3;
/// Timeout for reading the rest of a response that is not used; then its connection is closed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum bytes of that rest.
const MAX_DRAIN: usize = 64 * 1024;

/// The attempts so far.
#[derive(Debug, Default)]
struct History {
    tried: Vec<Arc<Endpoint>>,
    /// Attempts in which nothing was processed.
    unsent: u32,
    /// Attempts that count against the route's maximum.
    attempts: u32,
    /// An attempt met an idle connection that the upstream had closed.
    stale: bool,
}

/// The next step.
#[derive(Debug)]
enum NextStep {
    /// Another endpoint, at once.
    OtherEndpoint,
    /// The same endpoint on a new connection, at once.
    Reconnect(Arc<Endpoint>),
    /// Another endpoint if there is one, after a pause.
    AfterPause(Duration),
    /// None.
    Stop,
}

/// Continues after a first attempt until a response is final or nothing more may be done.
pub(in crate::upstream) async fn follow(
    first: Result<UpstreamResponse, AttemptError>,
    backend: &Backend,
    outgoing: &mut OutgoingRequest,
    context: DispatchContext<'_>,
    trail: &mut Trail,
) -> Result<UpstreamResponse, Failure> {
    let (mut history, mut outcome) = (History::default(), first);
    let mut earlier = None;
    loop {
        let next = history.next_step(&outcome, backend, outgoing, context);
        if matches!(next, NextStep::Stop) || !outgoing.restore_body() {
            // "No endpoint left" explains less than the earlier failure.
            let explains_less = |progress| matches!(progress, SendProgress::NotChosen | SendProgress::NoRoom);
            return outcome.map_err(|error| earlier.filter(|_| explains_less(error.progress)).unwrap_or(error.failure));
        }
        let reason = reason(&outcome, &next);
        match outcome {
            Ok(response) => drop(tokio::spawn(drain(response))),
            Err(error) => earlier = Some(error.failure),
        }
        if let NextStep::AfterPause(pause) = next {
            tokio::time::sleep(pause).await;
        }
        let open = backend.counts.retry(reason);
        let reconnect_to = if let NextStep::Reconnect(endpoint) = &next { Some(endpoint) } else { None };
        let options = AttemptOptions { tried: &history.tried, reconnect_to, is_retry: true, ..AttemptOptions::default() };
        outcome = attempt(backend, outgoing, context, trail, options).await;
        let is_success = matches!(&outcome, Ok(response) if is_final(response, context));
        open.ended(if is_success { RetryOutcome::Success } else { RetryOutcome::Failure });
    }
}

impl History {
    /// Records an outcome and returns the next step.
    fn next_step(
        &mut self,
        outcome: &Result<UpstreamResponse, AttemptError>,
        backend: &Backend,
        outgoing: &OutgoingRequest,
        context: DispatchContext<'_>,
    ) -> NextStep {
        match outcome {
            Ok(response) => {
                self.tried.extend(response.body.endpoint().cloned());
                let status = response.status.as_u16();
                let policy_wants = context.retry.filter(|retry| policy::wants_status(retry, status));
                policy_wants.map_or(NextStep::Stop, |retry| {
                    let retry_after = response.headers.get(header::RETRY_AFTER).and_then(retry_after_of);
                    self.retry(retry, retry_after, backend, outgoing, context)
                })
            }
            Err(error) => self.after_error(error, backend, outgoing, context),
        }
    }

    /// Records a failed attempt and returns the next step.
    fn after_error(
        &mut self,
        error: &AttemptError,
        backend: &Backend,
        outgoing: &OutgoingRequest,
        context: DispatchContext<'_>,
    ) -> NextStep {
        let Some(endpoint) = error.endpoint.as_ref().filter(|_| error.failure.kind != Kind::TotalTimeout) else {
            return NextStep::Stop;
        };
        if !matches!(error.progress, SendProgress::Stale | SendProgress::NotSent | SendProgress::WantsHttp1) {
            self.tried.push(Arc::clone(endpoint));
        }
        let policy_wants = context.retry.filter(|retry| policy::wants_failure(retry, &error.failure));
        match error.progress {
            SendProgress::NotChosen | SendProgress::NoRoom => NextStep::Stop,
            SendProgress::Unsuitable => {
                self.unsent += 1;
                if self.unsent < MAX_UNSENT && self.tried.len() < backend.serving() { NextStep::OtherEndpoint } else { NextStep::Stop }
            }
            SendProgress::NotSent | SendProgress::WantsHttp1 => {
                self.unsent += 1;
                if self.unsent < MAX_UNSENT { NextStep::Reconnect(Arc::clone(endpoint)) } else { NextStep::Stop }
            }
            SendProgress::NotConnected => {
                self.unsent += 1;
                // Nothing was sent, so trying another endpoint is safe.
                if self.unsent < MAX_UNSENT && self.tried.len() < backend.serving() {
                    return NextStep::OtherEndpoint;
                }
                policy_wants.map_or(NextStep::Stop, |retry| self.retry(retry, None, backend, outgoing, context))
            }
            SendProgress::Refused => {
                self.unsent += 1;
                // The request was not processed, so any method may be sent again.
                if self.unsent < MAX_UNSENT {
                    return NextStep::OtherEndpoint;
                }
                policy_wants.map_or(NextStep::Stop, |retry| self.retry(retry, None, backend, outgoing, context))
            }
            SendProgress::Stale if !self.stale && outgoing.replay.is_possible() => {
                self.stale = true;
                NextStep::Reconnect(Arc::clone(endpoint))
            }
            SendProgress::Stale | SendProgress::MaybeProcessed => {
                policy_wants.map_or(NextStep::Stop, |retry| self.retry(retry, None, backend, outgoing, context))
            }
        }
    }

    /// Returns a retry after a pause, if the route allows one, its deadline leaves time and its budget pays for it.
    fn retry(
        &mut self,
        retry: &Retry,
        retry_after: Option<Duration>,
        backend: &Backend,
        outgoing: &OutgoingRequest,
        context: DispatchContext<'_>,
    ) -> NextStep {
        self.attempts += 1;
        let unsent = outgoing.upload.is_some();
        if self.attempts >= retry.attempts || !(unsent || outgoing.replay.is_possible()) {
            return NextStep::Stop;
        }
        let Some(pause) = policy::backoff(retry.backoff, self.attempts, retry_after, fastrand::f64()) else { return NextStep::Stop };
        let is_in_time = context.deadline.is_none_or(|deadline| Instant::now() + pause < deadline);
        if !is_in_time {
            return NextStep::Stop;
        }
        if backend.budget.withdraw() {
            NextStep::AfterPause(pause)
        } else {
            backend.counts.exhausted();
            NextStep::Stop
        }
    }
}

/// Returns why the next step follows an outcome, for the metrics.
fn reason(outcome: &Result<UpstreamResponse, AttemptError>, next: &NextStep) -> RetryReason {
    match (outcome, next) {
        (Err(error), NextStep::Reconnect(_)) if error.progress == SendProgress::Stale => RetryReason::Stale,
        (Err(_), NextStep::OtherEndpoint | NextStep::Reconnect(_)) => RetryReason::Unsent,
        (Ok(_), _) => RetryReason::Status,
        (Err(error), NextStep::AfterPause(_) | NextStep::Stop) => match policy::condition(&error.failure) {
            Some(RetryOn::Lost) => RetryReason::Lost,
            Some(RetryOn::Timeout) => RetryReason::Timeout,
            Some(RetryOn::Connect | RetryOn::Status(_)) | None => RetryReason::Connect,
        },
    }
}

/// Returns true if the route does not retry on the response's status.
pub(in crate::upstream) fn is_final(response: &UpstreamResponse, context: DispatchContext<'_>) -> bool {
    context.retry.is_none_or(|retry| !policy::wants_status(retry, response.status.as_u16()))
}

/// Reads the rest of a response that is not used, so that its connection can be reused.
async fn drain(response: UpstreamResponse) {
    let (mut body, mut left) = (response.body, MAX_DRAIN);
    // The connection is returned at the end of the body, and closed if the body is dropped before.
    let read = async {
        while let Some(Ok(frame)) = std::future::poll_fn(|cx| body.poll_frame(cx)).await {
            left = left.saturating_sub(frame.data_ref().map_or(0, bytes::Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, read).await;
}
