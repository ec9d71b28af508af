//! Gets the response head for a complete request: a first attempt, and the retries or the hedged attempt that follow it.
//!
//! Knows nothing of what becomes of the response.

use crate::context::Trail;
use crate::failure::Failure;

use super::attempt::outgoing::OutgoingRequest;
use super::attempt::response::UpstreamResponse;
use super::attempt::{AttemptOptions, DispatchContext, attempt};
use super::choose::backend::Backend;
use super::retry::{follow, hedge};

/// Sends the request and returns the response head.
///
/// # Errors
/// Returns the failure of the last attempt; `trail` records its endpoint.
pub async fn dispatch(
    backend: &Backend,
    outgoing: &mut OutgoingRequest,
    context: DispatchContext<'_>,
    trail: &mut Trail,
) -> Result<UpstreamResponse, Failure> {
    if let Some(retry) = context.retry {
        backend.budget.deposit(retry.budget);
        let private = outgoing.connection_auth || context.private.is_authenticated();
        if let Some(delay) = hedge::delay(backend, outgoing, private, retry) {
            return Box::pin(hedge::hedged(backend, outgoing, context, trail, delay)).await;
        }
    }
    let first = attempt(backend, outgoing, context, trail, AttemptOptions::default()).await;
    match first {
        Ok(response) if follow::is_final(&response, context) => Ok(response),
        // Boxed, because most requests need one attempt.
        other => Box::pin(follow::follow(other, backend, outgoing, context, trail)).await,
    }
}
