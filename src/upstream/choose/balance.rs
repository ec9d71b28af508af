//! Load balancing algorithms, as pure choices among indices. The caller supplies which indices are usable and what each costs.
//!
//! Knows neither endpoints nor time; random numbers are arguments.

use http::HeaderName;

/// The load balancing algorithm of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The cheaper of two random endpoints (power of two choices).
    #[default]
    LeastRequests,
    /// Weighted round robin.
    RoundRobin,
    /// The same endpoint for the same key (rendezvous hashing).
    Hash(HashKey),
}

/// The key of a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    ClientIp,
    /// The value of a request header; requests without it share one key.
    Header(HeaderName),
}

/// Number of random draws before all usable indices are enumerated.
const DRAWS: usize = 4;

/// Returns the cheaper of two random usable indices below `count`, or the only one. `draw(n)` returns a random number below `n`.
pub fn power_of_two_choices(
    count: usize,
    usable: impl Fn(usize) -> bool,
    cost: impl Fn(usize) -> f64,
    mut draw: impl FnMut(usize) -> usize,
) -> Option<usize> {
    let first = random_usable(count, &usable, &mut draw)?;
    let Some(second) = random_usable(count, |at| at != first && usable(at), &mut draw) else { return Some(first) };
    Some(if cost(second) < cost(first) { second } else { first })
}

/// Returns a random usable index below `count`, with probability proportional to its odds. `chance` is in 0..1.
pub fn weighted_random(count: usize, usable: impl Fn(usize) -> bool, odds: impl Fn(usize) -> f64, chance: f64) -> Option<usize> {
    let all: f64 = (0..count).filter(|at| usable(*at)).map(&odds).sum();
    let (mut left, mut last) = (all * chance, None);
    for at in (0..count).filter(|at| usable(*at)) {
        last = Some(at);
        left -= odds(at);
        if left < 0.0 {
            break;
        }
    }
    last
}

/// What the choice among endpoints of different weights depends on.
#[derive(Clone, Copy, Debug)]
pub struct WeightedLoad {
    /// The weight, above 0.
    pub weight: f64,
    /// Requests in flight.
    pub in_flight: f64,
    /// The mean latency in seconds; 0 if it is unknown.
    pub latency: f64,
}

impl WeightedLoad {
    /// The requests in flight per weight, with `more` of them.
    fn per_weight(self, more: f64) -> f64 {
        (self.in_flight + more) / self.weight
    }
}

/// Latencies up to this count as equal, in seconds. A weight says what share an endpoint gets; that it responds somewhat slower, or was
/// slow for its first request, must not take that share away. An endpoint that fails has a latency of at least a second.
const EQUAL_LATENCY: f64 = 0.2;

/// Returns a random usable index below `count`, with probability proportional to its weight while no endpoint is overloaded in
/// comparison. One that has more requests in flight per weight than another would have with one more, or that is much slower, gets less:
/// its share falls with the square of the excess. `chance` is in 0..1.
pub fn weighted_by_load(count: usize, usable: impl Fn(usize) -> bool, state: impl Fn(usize) -> WeightedLoad, chance: f64) -> Option<usize> {
    let (mut least, mut fastest) = (f64::INFINITY, f64::INFINITY);
    for state in (0..count).filter(|at| usable(*at)).map(&state) {
        least = least.min(state.per_weight(1.0));
        fastest = fastest.min(state.latency.max(EQUAL_LATENCY));
    }
    let odds = |at: usize| {
        let state = state(at);
        // One request in flight is no load: an endpoint of a small weight would get too little of a few concurrent requests.
        let busy = (state.per_weight(-1.0) / least).max(1.0);
        let slow = state.latency.max(EQUAL_LATENCY) / fastest;
        state.weight / (busy * slow).powi(2)
    };
    weighted_random(count, usable, odds, chance)
}

/// Returns a number in 0..1 that is always the same for a key and an endpoint.
pub fn fraction(key: u64, seed: u64) -> f64 {
    (mix(mix(key) ^ seed) >> 11) as f64 / (1u64 << 53) as f64
}

/// Returns a random usable index below `count`.
fn random_usable(count: usize, usable: impl Fn(usize) -> bool, draw: &mut impl FnMut(usize) -> usize) -> Option<usize> {
    if count == 0 {
        return None;
    }
    let drawn = (0..DRAWS).map(|_| draw(count)).find(|at| usable(*at));
    // Few are usable. Enumerating them gives each the same chance; taking the next usable index would favour one after a run of unusable
    // ones.
    drawn.or_else(|| {
        let all = (0..count).filter(|at| usable(*at)).count();
        (all > 0).then(|| (0..count).filter(|at| usable(*at)).nth(draw(all)))?
    })
}

/// Returns the next usable index of a schedule. `turn` returns consecutive numbers. The turn of an unusable index is skipped rather than
/// given to its neighbour, which would then get twice its share.
pub fn round_robin(schedule: &[u16], usable: impl Fn(usize) -> bool, mut turn: impl FnMut() -> usize) -> Option<usize> {
    let from = (0..schedule.len()).map(|_| usize::from(schedule[turn() % schedule.len()])).find(|at| usable(*at));
    // Other cores advance `turn` concurrently, so the loop may have missed a usable index.
    from.or_else(|| schedule.iter().map(|at| usize::from(*at)).find(|at| usable(*at)))
}

/// Maximum length of a schedule.
const MAX_SCHEDULE: u32 = 10_000;

/// Returns a round-robin order by weight, evenly interleaved: weights 3 and 1 give `A A B A`.
pub fn schedule(weights: &[u32]) -> Vec<u16> {
    let common = weights.iter().copied().fold(0, gcd).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / common)).collect();
    let total = weights.iter().sum::<i64>().min(i64::from(MAX_SCHEDULE));
    let mut credit = vec![0i64; weights.len()];
    let all: i64 = weights.iter().sum();
    let turns = (0..total).filter_map(|_| {
        credit.iter_mut().zip(&weights).for_each(|(credit, weight)| *credit += weight);
        let (next, _) = credit.iter().enumerate().max_by_key(|(at, credit)| (**credit, std::cmp::Reverse(*at)))?;
        credit[next] -= all;
        u16::try_from(next).ok()
    });
    turns.collect()
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Returns the usable index with the highest score for the key (weighted rendezvous hashing). If an endpoint is lost, only its keys move.
/// `seed` identifies an endpoint and is the same in every process.
pub fn rendezvous(
    count: usize,
    key: u64,
    usable: impl Fn(usize) -> bool,
    seed: impl Fn(usize) -> u64,
    weight: impl Fn(usize) -> u32,
) -> Option<usize> {
    let score = |at: usize| {
        // In (0, 1), so that its logarithm is finite and negative.
        let chance = ((mix(key ^ seed(at)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        f64::from(weight(at).max(1)) / -chance.ln()
    };
    (0..count).filter(|at| usable(*at)).map(|at| (score(at), at)).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, at)| at)
}

/// Hashes bytes; the result is the same in every process and version (FNV-1a, <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>).
pub fn stable_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Mixes every bit into all others (the finalizer of SplitMix64).
const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_spread_weights() {
        assert_eq!(schedule(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(schedule(&[3, 1]), [0, 0, 1, 0]);
        assert_eq!(schedule(&[200, 100]), schedule(&[2, 1]));
        assert!(schedule(&[9_999, 10_000]).len() <= 10_000);
    }

    #[test]
    fn the_turns_of_an_unusable_endpoint_are_shared_by_all() {
        let (turns, mut turn) = (schedule(&[1, 1, 1]), 0);
        let mut seen = [0; 3];
        for _ in 0..300 {
            let next = || {
                turn += 1;
                turn - 1
            };
            seen[round_robin(&turns, |at| at != 1, next).unwrap()] += 1;
        }
        assert_eq!(seen, [150, 0, 150]);
    }

    #[test]
    fn weighted_random_follows_the_odds() {
        let (mut rng, mut seen) = (fastrand::Rng::with_seed(7), [0; 3]);
        for _ in 0..12_000 {
            seen[weighted_random(3, |at| at != 1, |at| [1.0, 5.0, 3.0][at], rng.f64()).unwrap()] += 1;
        }
        assert!((2_800..3_200).contains(&seen[0]) && seen[1] == 0, "{seen:?}");
        assert_eq!(weighted_random(3, |_| false, |_| 1.0, 0.5), None);
    }

    /// How many of 20,000 requests each of two endpoints with weights 180 and 20 gets, when each of them takes as long as `serves` requests
    /// that arrive after it, and the second endpoint `slowness` times as long. A duration of 0 is a sequence.
    fn divided(serves: usize, slowness: usize) -> [usize; 2] {
        let (mut rng, mut seen, mut in_flight) =
            (fastrand::Rng::with_seed(11), [0; 2], std::collections::VecDeque::<(usize, usize)>::new());
        for now in 0..20_000 {
            in_flight.retain(|(_, end)| *end > now);
            let state = |at: usize| WeightedLoad {
                weight: [180.0, 20.0][at],
                in_flight: in_flight.iter().filter(|(other, _)| *other == at).count() as f64,
                latency: [0.001, 0.15][at],
            };
            let at = weighted_by_load(2, |_| true, state, rng.f64()).unwrap();
            seen[at] += 1;
            in_flight.push_back((at, now + serves * [1, slowness][at] + usize::from(serves > 0)));
        }
        seen
    }

    #[test]
    fn weights_hold_at_any_concurrency() {
        for serves in [0, 1, 2, 4, 9, 30, 100] {
            let [_, light] = divided(serves, 1);
            assert!((1_600..2_300).contains(&light), "{light} of 20000 at a concurrency of {serves}");
        }
    }

    #[test]
    fn an_endpoint_that_is_overloaded_gets_less_than_its_weight() {
        let [_, light] = divided(20, 20);
        assert!(light < 1_000, "{light} of 20000 to an endpoint twenty times as slow");
        let state = |in_flight: f64, latency: f64| WeightedLoad { weight: 9.0, in_flight, latency };
        let light = WeightedLoad { weight: 1.0, in_flight: 0.0, latency: 0.0 };
        let share = |heavy: WeightedLoad| {
            let mut rng = fastrand::Rng::with_seed(7);
            (0..10_000).filter(|_| weighted_by_load(2, |_| true, |at| [heavy, light][at], rng.f64()) == Some(0)).count()
        };
        assert!(share(state(9.0, 0.0)) > 8_800, "it has no more than its weight");
        assert!(share(state(500.0, 0.0)) < 200, "it responds to nothing");
        assert!(share(state(0.0, 0.15)) > 8_800, "it is slower");
        assert!(share(state(0.0, 2.0)) < 1_000, "it fails, or is much slower");
    }

    #[test]
    fn equal_endpoints_get_equal_shares() {
        let (mut rng, mut seen) = (fastrand::Rng::with_seed(7), [0; 3]);
        for _ in 0..3000 {
            seen[power_of_two_choices(3, |_| true, |_| 1.0, |n| rng.usize(..n)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|count| (900..1100).contains(count)), "{seen:?}");
    }

    #[test]
    fn the_cheaper_of_two_is_chosen() {
        let mut draws = [0, 1].into_iter().cycle();
        assert_eq!(power_of_two_choices(2, |_| true, |at| [5.0, 1.0][at], |_| draws.next().unwrap()), Some(1));
        assert_eq!(power_of_two_choices(0, |_| true, |_| 0.0, |_| 0), None);
        assert_eq!(power_of_two_choices(3, |at| at == 2, |_| 0.0, |_| 0), Some(2));
        assert_eq!(power_of_two_choices(3, |_| false, |_| 0.0, |_| 0), None);
    }

    proptest::proptest! {
        #[test]
        fn only_usable_ones_are_chosen(usable in proptest::collection::vec(proptest::bool::ANY, 1..12), seed in 0u64..1000) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let any = usable.iter().any(|usable| *usable);
            let count = usable.len();
            let fits = |found: Option<usize>| found.map_or(!any, |at| usable[at]);
            proptest::prop_assert!(fits(power_of_two_choices(count, |at| usable[at], |_| 1.0, |n| rng.usize(..n))));
            let mut turn = seed as usize;
            let next = || { turn += 1; turn };
            proptest::prop_assert!(fits(round_robin(&schedule(&vec![1; count]), |at| usable[at], next)));
            proptest::prop_assert!(fits(rendezvous(count, seed, |at| usable[at], |at| at as u64, |_| 1)));
        }

        /// Losing an endpoint moves its keys and no others.
        #[test]
        fn a_lost_endpoint_moves_only_its_keys(lost in 0usize..5, weights in proptest::collection::vec(1u32..10, 5)) {
            let seed = |at: usize| stable_hash(&[at as u8]);
            for key in 0..200u64 {
                let key = stable_hash(&key.to_be_bytes());
                let before = rendezvous(5, key, |_| true, seed, |at| weights[at]).unwrap();
                let after = rendezvous(5, key, |at| at != lost, seed, |at| weights[at]).unwrap();
                proptest::prop_assert!(before == after || before == lost);
            }
        }
    }

    #[test]
    fn keys_spread_by_weight() {
        let mut seen = [0u32; 3];
        for key in 0..30_000u64 {
            let at = rendezvous(3, stable_hash(&key.to_be_bytes()), |_| true, |at| stable_hash(&[at as u8]), |at| [1, 1, 2][at]).unwrap();
            seen[at] += 1;
        }
        assert!((6_500..8_500).contains(&seen[0]) && (6_500..8_500).contains(&seen[1]) && (14_000..16_000).contains(&seen[2]), "{seen:?}");
    }
}
