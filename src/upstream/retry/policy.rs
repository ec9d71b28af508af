//! Whether and when a request may be sent again, as pure decisions.
//!
//! Knows nothing of connections.

use std::time::Duration;

use http::Method;

use crate::failure::{Failure, Origin};
use crate::policy::{Retry, RetryOn};

/// Returns true for an idempotent method (RFC 9110 9.2.2). TRACE is not listed, because it is never forwarded.
pub fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// Returns true if the policy retries after this failure.
pub fn wants_failure(retry: &Retry, failure: &Failure) -> bool {
    condition(failure).is_some_and(|condition| retry.on.contains(&condition))
}

/// Returns the condition of a policy that this failure meets.
pub fn condition(failure: &Failure) -> Option<RetryOn> {
    match failure.kind.origin() {
        Origin::Connect => Some(RetryOn::Connect),
        Origin::Lost => Some(RetryOn::Lost),
        Origin::SlowResponse => Some(RetryOn::Timeout),
        Origin::Exchange
        | Origin::UpstreamServerError
        | Origin::UpstreamClientError
        | Origin::Configuration
        | Origin::Client
        | Origin::Internal => None,
    }
}

/// Returns true if the policy retries after this status.
pub fn wants_status(retry: &Retry, status: u16) -> bool {
    retry.on.contains(&RetryOn::Status(status))
}

/// The longest `Retry-After` that the gateway waits for; a longer one is left to the client.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(2);
/// The longest back-off, without `Retry-After`.
const MAX_BACKOFF: Duration = Duration::from_millis(500);

/// Returns how long to wait after `tried` attempts. The back-off is random below a bound that doubles per attempt (full jitter), so that
/// requests that failed together are not retried together; it is added to the `Retry-After` that the upstream `asked` for. `None` if that
/// is too long. `chance` is in 0..1.
pub fn backoff(base: Duration, attempts: u32, retry_after: Option<Duration>, chance: f64) -> Option<Duration> {
    let doubled = base.saturating_mul(1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX)).min(MAX_BACKOFF);
    let jittered = doubled.mul_f64(chance.clamp(0.0, 1.0));
    match retry_after {
        Some(retry_after) if retry_after > MAX_RETRY_AFTER => None,
        Some(retry_after) => Some(retry_after + jittered),
        None => Some(jittered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn waits_are_bounded_and_at_least_retry_after(
            base in 1u64..1000, attempts in 0u32..80, retry_after in proptest::option::of(0u64..5000), chance in 0.0f64..1.0
        ) {
            let retry_after = retry_after.map(Duration::from_millis);
            match backoff(Duration::from_millis(base), attempts, retry_after, chance) {
                None => proptest::prop_assert!(retry_after.unwrap() > MAX_RETRY_AFTER),
                Some(wait) => {
                    proptest::prop_assert!(wait >= retry_after.unwrap_or_default());
                    proptest::prop_assert!(wait <= retry_after.unwrap_or_default() + MAX_BACKOFF);
                }
            }
        }
    }
}
