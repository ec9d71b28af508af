//! The retry budget: keeps retries a share of a backend's traffic.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

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
