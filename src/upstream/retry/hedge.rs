//! Hedging: a second attempt beside a slow first one.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::follow::{follow, is_final};
use crate::context::Trail;
use crate::failure::{Failure, Kind};
use crate::policy::Retry;
use crate::upstream::attempt::outgoing::OutgoingRequest;
use crate::upstream::attempt::response::UpstreamResponse;
use crate::upstream::attempt::{AttemptError, AttemptOptions, DispatchContext, attempt, within};
use crate::upstream::choose::backend::{Backend, EndpointQuery};
use crate::upstream::choose::endpoint::Endpoint;

/// How long a first try may take before a second begins beside it; `None` when none shall.
pub(in crate::upstream) fn delay(backend: &Backend, outgoing: &OutgoingRequest, private: bool, retry: &Retry) -> Option<Duration> {
    // Two at the same time are no repetition: of a method that changes nothing, nobody can tell (RFC 9110 9.2.1).
    let safe = outgoing.request.as_ref().is_some_and(|request| request.method().is_safe());
    let may = safe && outgoing.replay.is_possible() && !private && backend.serving() > 1;
    retry.hedge.filter(|_| may).and_then(|percentile| backend.latencies.percentile(percentile))
}

/// Two tries at most at the same time: the second, at another endpoint, begins when the first took longer than most do. The first
/// answer wins, and the other try is dropped with its connection.
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
    let (outcome, used) = {
        let options = AttemptOptions { permit: Some(permit), ..AttemptOptions::default() };
        let mut first = std::pin::pin!(attempt(backend, outgoing, context, trail, options));
        match within(Some(Instant::now() + delay), first.as_mut()).await {
            Some(outcome) => (outcome, None),
            // Without a retry to spend there is nothing to do but wait.
            None if !backend.budget.withdraw() => (first.await, None),
            None => beside(backend, duplicate, context, first, &taken).await,
        }
    };
    if let Some((other, seconds)) = used {
        trail.attempts += seconds.attempts;
        if outcome.is_ok() {
            trail.endpoint = seconds.endpoint;
        }
        *outgoing = *other;
    }
    match outcome {
        Ok(response) if is_final(&response, context) => Ok(response),
        other => follow(other, backend, outgoing, context, trail).await,
    }
}

/// The outcome that counts; with the duplicate's request and trail when its try decided.
type Race = (Result<UpstreamResponse, AttemptError>, Option<(Box<OutgoingRequest>, Trail)>);

/// Races a second try against a slow first one.
async fn beside<F>(
    backend: &Backend,
    mut duplicate: Box<OutgoingRequest>,
    context: DispatchContext<'_>,
    mut first: std::pin::Pin<&mut F>,
    taken: &[Arc<Endpoint>],
) -> Race
where
    F: Future<Output = Result<UpstreamResponse, AttemptError>>,
{
    let (mut trail, begin) = (Trail::default(), context.begin);
    let second = {
        let options = AttemptOptions { tried: taken, is_retry: true, only_good: true, ..AttemptOptions::default() };
        let mut second = std::pin::pin!(attempt(backend, &mut duplicate, context, &mut trail, options));
        tokio::select! {
            outcome = first.as_mut() => match outcome {
                Ok(response) => return (Ok(response), None),
                Err(_) => second.await,
            },
            outcome = second.as_mut() => match outcome {
                Ok(response) => {
                    // What was not waited for was at least so slow: else the slow would leave no trace.
                    let took = response.at.saturating_duration_since(begin);
                    backend.latencies.record(took);
                    taken.iter().for_each(|endpoint| endpoint.load.record(took, response.at));
                    Ok(response)
                }
                Err(_) => return (first.await, None),
            },
        }
    };
    (second, Some((duplicate, trail)))
}
