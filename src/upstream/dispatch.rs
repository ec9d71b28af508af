//! From a complete request to a response head: a first attempt, and what follows it.

use crate::context::Trail;
use crate::failure::Failure;

use super::attempt::outgoing::OutgoingRequest;
use super::attempt::response::UpstreamResponse;
use super::attempt::{AttemptOptions, DispatchContext, attempt};
use super::choose::backend::Backend;
use super::retry::{follow, hedge};

/// Gets a response head.
///
/// # Errors
/// The failure of the last attempt; `trail` says where it was made.
pub async fn dispatch(
    backend: &Backend,
    outgoing: &mut OutgoingRequest,
    context: DispatchContext<'_>,
    trail: &mut Trail,
) -> Result<UpstreamResponse, Failure> {
    if let Some(retry) = context.retry {
        backend.budget.deposit(retry.budget);
        let private = outgoing.connection_auth || !context.private.is_empty();
        if let Some(delay) = hedge::delay(backend, outgoing, private, retry) {
            return Box::pin(hedge::hedged(backend, outgoing, context, trail, delay)).await;
        }
    }
    let first = attempt(backend, outgoing, context, trail, AttemptOptions::default()).await;
    match first {
        Ok(response) if follow::is_final(&response, context) => Ok(response),
        // On the heap: most requests need one attempt.
        other => Box::pin(follow::follow(other, backend, outgoing, context, trail)).await,
    }
}
