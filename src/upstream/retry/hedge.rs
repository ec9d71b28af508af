//! Hedging: a second attempt while a slow first one is still running.
//!
//! Knows nothing of connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::follow::{follow, is_final};
use crate::context::Trail;
use crate::context::spans::Spans;
use crate::failure::{Failure, Kind};
use crate::policy::Retry;
use crate::upstream::attempt::outgoing::OutgoingRequest;
use crate::upstream::attempt::response::UpstreamResponse;
use crate::upstream::attempt::{AttemptError, AttemptOptions, DispatchContext, attempt, within};
use crate::upstream::choose::backend::{Backend, EndpointQuery};
use crate::upstream::choose::counts::HedgeOutcome;
use crate::upstream::choose::endpoint::Endpoint;

/// Returns how long the first attempt may take before a second one starts; `None` if the request is not hedged.
pub(in crate::upstream) fn delay(backend: &Backend, outgoing: &OutgoingRequest, private: bool, retry: &Retry) -> Option<Duration> {
    // Two concurrent attempts are not a repetition, so only safe methods are hedged (RFC 9110 9.2.1).
    let safe = outgoing.method.is_safe();
    let may = safe && outgoing.replay.is_possible() && outgoing.upgrade.is_none() && !private && backend.serving() > 1;
    retry.hedge.filter(|_| may).and_then(|percentile| backend.latencies.percentile(percentile))
}

/// Makes up to two concurrent attempts: the second one, at another endpoint, starts when the first has taken longer than most do. The first
/// response wins, and the other attempt is dropped with its connection.
pub(in crate::upstream) async fn hedged(
    backend: &Backend,
    outgoing: &mut OutgoingRequest,
    context: DispatchContext<'_>,
    trail: &mut Trail,
    delay: Duration,
) -> Result<UpstreamResponse, Failure> {
    let Some(duplicate) = outgoing.duplicate() else { return Err(Kind::Internal.into()) };
    let permit = backend.choose(EndpointQuery { now: context.begin, key: outgoing.key, tried: &[], only_good: false })?;
    let taken = [Arc::clone(&permit.endpoint)];
    let mut aside = trail.spans.as_ref().map(|spans| Box::new(spans.beside()));
    let (outcome, used) = {
        let options = AttemptOptions { permit: Some(permit), ..AttemptOptions::default() };
        let mut first = std::pin::pin!(attempt(backend, outgoing, context, trail, options));
        match within(Some(Instant::now() + delay), first.as_mut()).await {
            Some(outcome) => (outcome, None),
            // The retry budget is empty, so the first attempt is waited for.
            None if !backend.budget.withdraw() => {
                backend.counts.exhausted();
                (first.await, None)
            }
            None => beside(backend, duplicate, context, first, (&taken, &mut aside)).await,
        }
    };
    if let Some((other, seconds)) = used {
        trail.attempts += seconds.attempts;
        trail.failed.extend(seconds.failed);
        if outcome.is_ok() {
            trail.endpoint = seconds.endpoint;
        }
        *outgoing = *other;
    }
    if let (Some(spans), Some(beside)) = (&mut trail.spans, aside) {
        spans.join(*beside);
        spans.abandon(Instant::now());
    }
    match outcome {
        Ok(response) if is_final(&response, context) => Ok(response),
        other => follow(other, backend, outgoing, context, trail).await,
    }
}

/// The outcome, and the duplicate's request and trail if the second attempt decided it.
type Race = (Result<UpstreamResponse, AttemptError>, Option<(Box<OutgoingRequest>, Trail)>);

/// Races a second attempt against a slow first one. Its span is added to `aside`, whichever of them wins.
async fn beside<F>(
    backend: &Backend,
    mut duplicate: Box<OutgoingRequest>,
    context: DispatchContext<'_>,
    mut first: std::pin::Pin<&mut F>,
    (taken, aside): (&[Arc<Endpoint>], &mut Option<Box<Spans>>),
) -> Race
where
    F: Future<Output = Result<UpstreamResponse, AttemptError>>,
{
    let (mut trail, begin) = (Trail { spans: aside.take(), ..Trail::default() }, context.begin);
    let open = backend.counts.hedge();
    let outcome = {
        let options = AttemptOptions { tried: taken, is_retry: true, only_good: true, hedge: true, ..AttemptOptions::default() };
        let mut second = std::pin::pin!(attempt(backend, &mut duplicate, context, &mut trail, options));
        tokio::select! {
            outcome = first.as_mut() => match outcome {
                Ok(response) => Decided::First(Ok(response)),
                Err(_) => Decided::Second(second.await),
            },
            outcome = second.as_mut() => match outcome {
                Ok(response) => {
                    // The abandoned attempt took at least this long. Without this sample, slow responses would not be recorded at all.
                    let took = response.at.saturating_duration_since(begin);
                    backend.latencies.record(took);
                    taken.iter().for_each(|endpoint| endpoint.load.record(took, response.at));
                    Decided::Second(Ok(response))
                }
                Err(_) => Decided::First(first.await),
            },
        }
    };
    *aside = trail.spans.take();
    open.ended(match &outcome {
        Decided::First(Ok(_)) => HedgeOutcome::Lost,
        Decided::Second(Ok(_)) => HedgeOutcome::Won,
        Decided::First(Err(_)) | Decided::Second(Err(_)) => HedgeOutcome::Failure,
    });
    match outcome {
        Decided::First(outcome) => (outcome, None),
        Decided::Second(outcome) => (outcome, Some((duplicate, trail))),
    }
}

/// The attempt that decides a race.
enum Decided {
    First(Result<UpstreamResponse, AttemptError>),
    Second(Result<UpstreamResponse, AttemptError>),
}
