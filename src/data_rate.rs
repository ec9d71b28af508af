//! Enforces a minimum rate at which a client sends or reads a body, so that a slow client does not occupy a connection for long.
//!
//! Only the time counts in which the gateway waits for the client. Each wait spends part of an allowance; each byte restores some. Pure:
//! time is an argument. Knows neither bodies nor connections.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// Bytes a second; none where the operator wrote `"off"`, or where a body may be slow by its nature.
pub type MinRate = Option<NonZeroU32>;

/// The allowance that a body begins with.
const GRACE: Duration = Duration::from_secs(5);
/// The largest allowance. Without it, a client that was fast for a moment could then stop for hours.
const MOST: Duration = Duration::from_secs(60);

/// The rate of one body.
#[derive(Debug)]
pub struct DataRate {
    rate: NonZeroU32,
    /// How much longer the client may keep the gateway waiting.
    left: Duration,
    since: Option<Instant>,
}

impl DataRate {
    /// Begins with the grace period, five seconds.
    pub const fn new(rate: NonZeroU32) -> Self {
        Self { rate, left: GRACE, since: None }
    }

    /// The gateway waits for the client: until when at most.
    pub fn waits(&mut self, now: Instant) -> Instant {
        *self.since.get_or_insert(now) + self.left
    }

    /// True while the gateway waits for the client.
    pub const fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// So many bytes came or were taken: the wait is over.
    pub fn moved(&mut self, bytes: u64, now: Instant) {
        let waited = self.since.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let earned = Duration::from_micros(bytes.saturating_mul(1_000_000) / u64::from(self.rate.get()));
        self.left = self.left.saturating_sub(waited).saturating_add(earned).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: NonZeroU32 = NonZeroU32::new(240).unwrap();

    /// Feeds `bytes` every `pause`; how long the body lasts, at most an hour.
    fn lasts(bytes: u64, pause: Duration) -> Duration {
        let begin = Instant::now();
        let (mut rate, mut now) = (DataRate::new(RATE), begin);
        while now < begin + Duration::from_secs(3_600) {
            let due = rate.waits(now);
            if due < now + pause {
                return due - begin;
            }
            now += pause;
            rate.moved(bytes, now);
        }
        now - begin
    }

    #[test]
    fn who_is_slower_ends_soon_and_who_is_not_goes_on() {
        let second = Duration::from_secs(1);
        assert!(lasts(1, second) < Duration::from_secs(7), "a byte a second");
        assert!(lasts(200, second) < Duration::from_secs(31), "{:?}", lasts(200, second));
        assert!(lasts(241, second) >= Duration::from_secs(3_600));
        assert!(lasts(14_500, Duration::from_secs(60)) < Duration::from_secs(6), "the first wait has no more than the grace");
    }

    #[test]
    fn a_burst_earns_a_minute_at_most() {
        let now = Instant::now();
        let mut rate = DataRate::new(RATE);
        rate.moved(100 << 20, now);
        assert_eq!(rate.waits(now), now + MOST);
        // Asked again within the same wait, it is not longer.
        assert_eq!(rate.waits(now + GRACE), now + MOST);
    }
}
