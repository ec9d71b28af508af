//! Enforces a minimum rate at which a client sends or reads a body, so that a slow client does not occupy a connection for long.
//!
//! Only the time during which the gateway waits for the client counts. Each wait uses up part of an allowance, and each byte restores some.
//! Pure: the time is an argument. Knows neither bodies nor connections.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// Bytes per second. `None` if the operator wrote `"off"`, or for a body that may be slow by its nature.
pub type MinRate = Option<NonZeroU32>;

/// The initial allowance.
const INITIAL_ALLOWANCE: Duration = Duration::from_secs(5);
/// The largest allowance. Without it, a client that was fast for a moment could then stop for hours.
const MAX_ALLOWANCE: Duration = Duration::from_secs(60);

/// The allowance of one body.
#[derive(Debug)]
pub struct DataRate {
    rate: NonZeroU32,
    /// How much longer the client may keep the gateway waiting.
    allowance: Duration,
    since: Option<Instant>,
}

impl DataRate {
    /// Starts with the initial allowance of five seconds.
    pub const fn new(rate: NonZeroU32) -> Self {
        Self { rate, allowance: INITIAL_ALLOWANCE, since: None }
    }

    /// Records that the gateway waits for the client. Returns when it must stop waiting.
    pub fn waits(&mut self, now: Instant) -> Instant {
        *self.since.get_or_insert(now) + self.allowance
    }

    /// Returns true while the gateway waits for the client.
    pub const fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Records that `bytes` were received or sent, which ends the wait.
    pub fn moved(&mut self, bytes: u64, now: Instant) {
        let waited = self.end_wait(now);
        self.allowance = self.allowance.saturating_sub(waited).saturating_add(self.earned(bytes)).min(MAX_ALLOWANCE);
    }

    /// Records that the client's system took `bytes` within the wait, which ends it. They make up for the wait at most, because the system
    /// takes some that its client does not read.
    pub fn taken(&mut self, bytes: u64, now: Instant) {
        let waited = self.end_wait(now);
        self.allowance = self.allowance.saturating_sub(waited.saturating_sub(self.earned(bytes)));
    }

    /// Returns how long the wait was.
    fn end_wait(&mut self, now: Instant) -> Duration {
        self.since.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Returns the allowance for these bytes.
    fn earned(&self, bytes: u64) -> Duration {
        Duration::from_micros(bytes.saturating_mul(1_000_000) / u64::from(self.rate.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: NonZeroU32 = NonZeroU32::new(240).unwrap();

    /// Transfers `bytes` every `pause`. Returns how long the body lasts, at most an hour.
    fn duration(bytes: u64, pause: Duration) -> Duration {
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
    fn a_slower_client_is_cut_off_soon_and_a_faster_one_never() {
        let second = Duration::from_secs(1);
        assert!(duration(1, second) < Duration::from_secs(7), "a byte a second");
        assert!(duration(200, second) < Duration::from_secs(31), "{:?}", duration(200, second));
        assert!(duration(241, second) >= Duration::from_secs(3_600));
        assert!(duration(14_500, Duration::from_secs(60)) < Duration::from_secs(6), "the first wait has no more than the grace");
    }

    #[test]
    fn what_a_system_takes_makes_up_for_a_wait_and_no_more() {
        let second = Duration::from_secs(1);
        let begin = Instant::now();
        let mut rate = DataRate::new(RATE);
        rate.waits(begin);
        rate.taken(100 << 20, begin + 4 * second);
        assert_eq!(rate.waits(begin + 4 * second), begin + 9 * second);
        // Half of the rate makes up for half of the wait.
        rate.taken(240, begin + 6 * second);
        assert_eq!(rate.waits(begin + 6 * second), begin + 10 * second);
    }

    #[test]
    fn the_allowance_is_bounded() {
        let now = Instant::now();
        let mut rate = DataRate::new(RATE);
        rate.moved(100 << 20, now);
        assert_eq!(rate.waits(now), now + MAX_ALLOWANCE);
        // A second call within the same wait does not extend it.
        assert_eq!(rate.waits(now + INITIAL_ALLOWANCE), now + MAX_ALLOWANCE);
    }
}
