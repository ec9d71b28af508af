//! May a request be sent again, and when: pure decisions, and the budget that keeps retries a share of the traffic.
//!
//! It sends nothing and knows no connection.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use http::Method;

use crate::failure::{Failure, Kind};
use crate::policy::{Retry, RetryOn};

/// Methods whose repetition does what one request does (RFC 9110 9.2.2).
pub fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// Does the policy try again after this failure?
pub fn wants_failure(retry: &Retry, failure: &Failure) -> bool {
    let word = match failure.kind {
        Kind::DnsError
        | Kind::Unroutable
        | Kind::ConnectionRefused
        | Kind::ConnectTimeout
        | Kind::DnsTimeout
        | Kind::TlsProtocol
        | Kind::TlsCertificate
        | Kind::TlsAlert => RetryOn::Connect,
        Kind::ConnectionLost | Kind::ResponseIncomplete => RetryOn::Lost,
        Kind::ResponseTimeout => RetryOn::Timeout,
        _ => return false,
    };
    retry.on.contains(&word)
}

/// Does it after this status?
pub fn wants_status(retry: &Retry, status: u16) -> bool {
    retry.on.contains(&RetryOn::Status(status))
}

/// The longest `Retry-After` that is waited for: what takes longer is the client's to wait for.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The longest back-off.
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// How long to wait before try number `tried + 1`: anything up to a bound that doubles (full jitter, so that those who failed
/// together do not come back together), and no less than what the upstream asked for. `None`: too long to wait at all.
/// `chance` is in 0..1.
pub fn backoff(base: Duration, tried: u32, asked: Option<Duration>, chance: f64) -> Option<Duration> {
    let doubled = base.saturating_mul(1u32.checked_shl(tried.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST_BACKOFF);
    let jittered = doubled.mul_f64(chance.clamp(0.0, 1.0));
    match asked {
        Some(asked) if asked > LONGEST_WAIT => None,
        Some(asked) => Some(asked + jittered),
        None => Some(jittered),
    }
}

/// Keeps retries a share of the requests. One per backend, shared by all cores.
#[derive(Debug)]
pub struct Budget {
    /// In thousandths.
    tokens: AtomicI64,
    spent: AtomicU64,
}

/// What one retry takes.
const ONE: i64 = 1000;
/// What may be saved: retries that may come at once after a quiet time.
const MOST: i64 = 10 * ONE;

impl Default for Budget {
    /// Full: the first failure of a quiet backend may be retried.
    fn default() -> Self {
        Self { tokens: AtomicI64::new(MOST), spent: AtomicU64::new(0) }
    }
}

impl Budget {
    /// A request came: `share` thousandths of a retry are added. A hundredth of that is kept back for what was saved before, so that
    /// the share holds over every few thousand requests.
    pub fn deposit(&self, share: u32) {
        // Two cores may pass the bound together by one deposit each: the next one sees it.
        if self.tokens.load(Ordering::Relaxed) < MOST {
            self.tokens.fetch_add(i64::from(share - share.div_ceil(100)), Ordering::Relaxed);
        }
    }

    /// Takes a retry, if there is one.
    pub fn withdraw(&self) -> bool {
        let paid = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left >= ONE).then_some(left - ONE)).is_ok();
        if paid {
            self.spent.fetch_add(1, Ordering::Relaxed);
        }
        paid
    }

    /// Retries paid for so far.
    pub fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn waits_are_bounded_and_never_shorter_than_asked(
            base in 1u64..1000, tried in 0u32..80, asked in proptest::option::of(0u64..5000), chance in 0.0f64..1.0
        ) {
            let asked = asked.map(Duration::from_millis);
            match backoff(Duration::from_millis(base), tried, asked, chance) {
                None => proptest::prop_assert!(asked.unwrap() > LONGEST_WAIT),
                Some(wait) => {
                    proptest::prop_assert!(wait >= asked.unwrap_or_default());
                    proptest::prop_assert!(wait <= asked.unwrap_or_default() + LONGEST_BACKOFF);
                }
            }
        }

        /// Retries are never more than their share of the requests, and what was saved.
        #[test]
        fn a_budget_is_a_share(steps in proptest::collection::vec(proptest::bool::ANY, 1..2000), share in 0u32..1000) {
            let budget = Budget::default();
            let (mut requests, mut retries) = (0u64, 0u64);
            for request in steps {
                if request {
                    budget.deposit(share);
                    requests += 1;
                } else {
                    retries += u64::from(budget.withdraw());
                }
                proptest::prop_assert!(retries * 1000 <= requests * u64::from(share) + MOST as u64);
            }
        }
    }

    #[test]
    fn a_budget_is_shared_by_threads_without_giving_a_token_twice() {
        let budget = Budget::default();
        let taken: usize = std::thread::scope(|scope| {
            let one = || scope.spawn(|| (0..1000).filter(|_| budget.withdraw()).count());
            [one(), one(), one(), one()].into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 10);
    }
}
