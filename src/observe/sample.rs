//! Which access lines are written: none, all, or all that matter and a sample of the rest.
//!
//! Whether a request belongs to the sample follows from its id alone, so all gateways that a request passes keep it or none does. Must not
//! know how a line is written.

use std::time::Duration;

use super::access_record::Facts;
use crate::context::RequestContext;

/// The access lines that are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Access {
    /// None, except of failures that the level of the log asks for.
    Off,
    /// One for every request.
    All,
    /// Those of errors and of slow requests, and a share of the others.
    Sampled(Sample),
}

/// The sample of successful requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// A request belongs to the sample if the hash of its id is less.
    below: u64,
    /// A request that takes as long is slow, so its line is always written.
    slow: Duration,
}

impl Sample {
    /// Creates a sample of a share of requests, from 0 to 1. A request that takes as long as `slow` belongs to it in any case.
    pub fn new(share: f64, slow: Duration) -> Self {
        // The conversion saturates.
        Self { below: (share * 2f64.powi(64)) as u64, slow }
    }

    /// Returns true if a request belongs to the sample.
    pub(super) fn has(&self, context: &RequestContext, facts: &Facts, took: Duration) -> bool {
        facts.is_error() || took >= self.slow || hash(context.id.as_bytes()) < self.below
    }
}

/// Returns a hash of an id: FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>), and the finalizer of MurmurHash3 behind it, because the
/// last bytes of FNV-1a reach few bits. It must not change between versions: gateways of several versions agree on a request.
fn hash(id: &[u8]) -> u64 {
    let mut hash = id.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::context::RequestId;

    #[test]
    fn a_share_of_ids_is_kept_and_always_the_same() {
        assert_eq!(hash(b""), 0xefd0_1f60_ba99_2926);
        let ids: Vec<RequestId> = (0..20_000).map(|_| RequestId::generate(SystemTime::now())).collect();
        let kept = |share| {
            let sample = Sample::new(share, Duration::MAX);
            ids.iter().filter(|id| hash(id.as_bytes()) < sample.below).count()
        };
        assert_eq!(kept(0.0), 0);
        // Ten standard deviations.
        assert!(kept(0.1).abs_diff(2000) < 425, "{}", kept(0.1));
        assert!(kept(0.5).abs_diff(10_000) < 708, "{}", kept(0.5));
        assert_eq!(kept(1.0), ids.len());
    }
}
