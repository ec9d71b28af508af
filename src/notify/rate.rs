//! Counts failures per time: two neighbouring periods stand for the one that ends now, which takes the same memory however many there are.
//!
//! Pure; the time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// The most keys that are counted.
const MAX_KEYS: usize = 10_000;

/// The counts of one rule.
#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<String, Count>);

#[derive(Debug)]
struct Count {
    /// When the current period began.
    began: Instant,
    current: u64,
    before: u64,
}

impl Rates {
    /// Adds failures of a key. Returns true if there were more than `most` within the last `period`.
    pub(super) fn add(&mut self, key: &str, failures: u64, (most, period): (u32, Duration), now: Instant) -> bool {
        if !self.0.contains_key(key) {
            if self.0.len() >= MAX_KEYS {
                self.0.retain(|_, count| now.duration_since(count.began) < 2 * period);
            }
            // More keys than that at the same time are not told apart from each other by anyone.
            if self.0.len() >= MAX_KEYS {
                return false;
            }
            self.0.insert(key.to_owned(), Count { began: now, current: 0, before: 0 });
        }
        self.0.get_mut(key).is_some_and(|count| count.add(failures, period, now) > f64::from(most))
    }
}

impl Count {
    /// Adds failures. Returns how many there were within the last period, if those of the period before were spread evenly.
    fn add(&mut self, failures: u64, period: Duration, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.began);
        if since >= 2 * period {
            *self = Self { began: now, current: 0, before: 0 };
        } else if since >= period {
            *self = Self { began: self.began + period, current: 0, before: self.current };
        }
        self.current += failures;
        let passed = now.saturating_duration_since(self.began).as_secs_f64() / period.as_secs_f64();
        self.current as f64 + self.before as f64 * (1.0 - passed).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn more_than_the_rate_is_noticed_across_periods() {
        let (mut rates, begin) = (Rates::default(), Instant::now());
        let mut add = |key: &str, failures, seconds| rates.add(key, failures, (10, MINUTE), begin + Duration::from_secs(seconds));
        assert!(!add("a", 10, 0) && add("a", 1, 1));
        assert!(!add("b", 9, 50) && add("b", 9, 111), "9 of the last period count, most of them");
        assert!(!add("b", 9, 500), "what is long ago does not");
        assert!(!add("c", 1, 500));
    }

    #[test]
    fn keys_are_bounded_and_make_room() {
        let (mut rates, begin) = (Rates::default(), Instant::now());
        for key in 0..MAX_KEYS + 5 {
            rates.add(&key.to_string(), 1, (10, MINUTE), begin);
        }
        assert_eq!(rates.0.len(), MAX_KEYS);
        assert!(!rates.add("late", 99, (10, MINUTE), begin) && rates.add("late", 99, (10, MINUTE), begin + 2 * MINUTE));
        assert_eq!(rates.0.len(), 1);
    }
}
