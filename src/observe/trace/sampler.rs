//! Decides whether a trace is recorded: as its parent says, else by the id of the trace. Pure.

use crate::context::spans::TraceParent;

/// The number of values of the random part of a trace id: its last 56 bits
/// (<https://www.w3.org/TR/trace-context-2/#random-trace-id-flag>).
const RANGE: u64 = 1 << 56;

/// Records a part of the traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// A trace is recorded if its random part is at least this. All gateways with one ratio choose the same traces.
    threshold: u64,
}

impl Sampler {
    /// Creates a sampler that records this part of the traces, from 0 to 1.
    pub fn of_ratio(ratio: f64) -> Self {
        let dropped = 1.0 - ratio.clamp(0.0, 1.0);
        Self { threshold: (dropped * RANGE as f64) as u64 }
    }

    /// Returns true if a trace that begins here is recorded.
    pub const fn takes(self, trace: u128) -> bool {
        trace as u64 % RANGE >= self.threshold
    }

    /// Returns true if a request is recorded: as its parent is, if it has one.
    pub fn decide(self, parent: Option<&TraceParent>, trace: u128) -> bool {
        parent.map_or_else(|| self.takes(trace), TraceParent::is_sampled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_kept_at_its_ends_and_between() {
        let mut rng = fastrand::Rng::with_seed(7);
        let traces: Vec<u128> = (0..20_000).map(|_| rng.u128(1..)).collect();
        let taken = |ratio: f64| traces.iter().filter(|trace| Sampler::of_ratio(ratio).takes(**trace)).count();
        assert_eq!((taken(0.0), taken(1.0)), (0, traces.len()));
        assert!((1_800..2_200).contains(&taken(0.1)), "{}", taken(0.1));
        assert!(Sampler::of_ratio(1.0).takes(1 << 56), "a random part of zero");
        assert!(!Sampler::of_ratio(0.0).takes(u128::MAX));
    }

    #[test]
    fn a_larger_ratio_takes_what_a_smaller_one_takes() {
        let mut rng = fastrand::Rng::with_seed(9);
        for _ in 0..1_000 {
            let trace = rng.u128(1..);
            assert!(!Sampler::of_ratio(0.2).takes(trace) || Sampler::of_ratio(0.3).takes(trace));
        }
    }

    #[test]
    fn a_parent_decides() {
        let parent = |flags| TraceParent { trace: 1, span: 1, flags };
        assert!(Sampler::of_ratio(0.0).decide(Some(&parent(1)), 1));
        assert!(!Sampler::of_ratio(1.0).decide(Some(&parent(0)), u128::MAX));
        assert!(!Sampler::of_ratio(1.0).decide(Some(&parent(2)), u128::MAX));
    }
}
