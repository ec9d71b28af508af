//! The retry budget: limits retries to a share of a backend's requests.
//!
//! Knows nothing of requests.

use std::sync::atomic::{AtomicI64, Ordering};

/// Limits retries to a share of the requests. One per backend, shared by all cores.
#[derive(Debug)]
pub struct Budget {
    /// In thousandths of a retry.
    tokens: AtomicI64,
}

/// The tokens of one retry.
const RETRY_COST: i64 = 1000;
/// Maximum tokens: the number of retries at once after a quiet time.
const MAX_TOKENS: i64 = 10 * RETRY_COST;

impl Default for Budget {
    /// Creates a full budget, so that the first failures of a quiet backend can be retried.
    fn default() -> Self {
        Self { tokens: AtomicI64::new(MAX_TOKENS) }
    }
}

impl Budget {
    /// Adds `share` thousandths of a retry for a request, less a hundredth of that. The deduction offsets the initial tokens, so that the
    /// share holds over every few thousand requests.
    pub fn deposit(&self, share: u32) {
        // Concurrent deposits may exceed the maximum by one deposit per core, which the next deposit sees.
        if self.tokens.load(Ordering::Relaxed) < MAX_TOKENS {
            self.tokens.fetch_add(i64::from(share - share.div_ceil(100)), Ordering::Relaxed);
        }
    }

    /// Takes the tokens of a retry. Returns false if there are too few.
    pub fn withdraw(&self) -> bool {
        let paid = |left: i64| (left >= RETRY_COST).then_some(left - RETRY_COST);
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Retries never exceed their share of the requests plus the initial tokens.
        #[test]
        fn retries_stay_within_their_share(steps in proptest::collection::vec(proptest::bool::ANY, 1..2000), share in 0u32..1000) {
            let budget = Budget::default();
            let (mut requests, mut retries) = (0u64, 0u64);
            for request in steps {
                if request {
                    budget.deposit(share);
                    requests += 1;
                } else {
                    retries += u64::from(budget.withdraw());
                }
                proptest::prop_assert!(retries * 1000 <= requests * u64::from(share) + MAX_TOKENS as u64);
            }
        }
    }

    #[test]
    fn threads_never_spend_a_token_twice() {
        let budget = Budget::default();
        let taken: usize = std::thread::scope(|scope| {
            let one = || scope.spawn(|| (0..1000).filter(|_| budget.withdraw()).count());
            [one(), one(), one(), one()].into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 10);
    }
}
