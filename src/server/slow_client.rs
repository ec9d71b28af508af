//! Whether a client that the gateway waits for still reads: some of what was sent must be taken within `write_timeout`.
//!
//! A socket that accepts more tells too little: it does so only when a large part of its buffer is free. So it is looked several times within
//! the timeout how much the client's system has acknowledged. Knows no sockets.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::data_rate::DataRate;
use crate::timer::Timer;

/// How many times it is looked within the timeout. A client that stops to read is noticed that much too late at most.
const LOOKS: u32 = 4;

/// A client that the gateway waits for.
#[derive(Debug)]
pub(super) struct SlowClient {
    /// When it was seen last that something was taken.
    since: Instant,
    looked: Instant,
    /// Number of bytes that were taken by then.
    taken: u64,
}

impl SlowClient {
    /// Begins the wait. `taken` is the number of bytes that the client has taken of the whole connection.
    pub(super) const fn new(now: Instant, taken: u64) -> Self {
        Self { since: now, looked: now, taken }
    }

    /// Returns when to look again.
    pub(super) fn next_look(&self, timeout: Duration) -> Instant {
        (self.looked + timeout / LOOKS).min(self.since + timeout)
    }

    /// Records how much was taken by now. Returns how much more that is than before.
    pub(super) fn look(&mut self, now: Instant, taken: u64) -> u64 {
        self.looked = now;
        let more = taken.saturating_sub(self.taken);
        if more > 0 {
            (self.since, self.taken) = (now, taken);
        }
        more
    }

    /// Ready once the client has taken nothing for as long as `timeout`, or less than its rate demands. `taken` returns what it has taken.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        timer: &mut Timer,
        timeout: Duration,
        mut rate: Option<&mut DataRate>,
        taken: impl Fn() -> u64,
    ) -> Poll<()> {
        loop {
            let look = self.next_look(timeout);
            let due = rate.as_mut().map_or(look, |rate| rate.waits(Instant::now()).min(look));
            if !timer.is_due(due, cx) {
                return Poll::Pending;
            }
            let now = Instant::now();
            let more = self.look(now, taken());
            let too_slow = rate.as_mut().is_some_and(|rate| {
                if more > 0 {
                    rate.taken(more, now);
                }
                rate.waits(now) <= now
            });
            if too_slow || self.is_stalled(now, timeout) {
                return Poll::Ready(());
            }
        }
    }

    /// Returns true if nothing was taken for as long as the timeout.
    pub(super) fn is_stalled(&self, now: Instant, timeout: Duration) -> bool {
        now >= self.since + timeout
    }
}

/// Ends a wait, if there is one, since the socket accepts more. What the client took meanwhile counts for its rate.
pub(super) fn end_wait(slow: Option<SlowClient>, rate: Option<&mut DataRate>, taken: impl FnOnce() -> u64) {
    if let (Some(mut slow), Some(rate)) = (slow, rate) {
        let now = Instant::now();
        rate.moved(slow.look(now, taken()), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// How long a client lasts that has taken what `taken` returns after so many seconds, at most ten minutes.
    fn lasts(taken: impl Fn(u64) -> u64) -> Duration {
        let begin = Instant::now();
        let mut client = SlowClient::new(begin, taken(0));
        let mut now = begin;
        while now < begin + Duration::from_secs(600) {
            now = client.next_look(TIMEOUT);
            client.look(now, taken((now - begin).as_secs()));
            if client.is_stalled(now, TIMEOUT) {
                break;
            }
        }
        now - begin
    }

    #[test]
    fn a_client_lasts_as_long_as_it_takes_something() {
        assert_eq!(lasts(|_| 7), TIMEOUT);
        assert!(lasts(|seconds| seconds) >= Duration::from_secs(600));
        assert!(lasts(|seconds| seconds / 29) >= Duration::from_secs(600), "a byte in 29 s");
        assert!(lasts(|seconds| seconds / 50) < Duration::from_secs(60));
        // It took something for the last time after a minute.
        let last = lasts(|seconds| seconds.min(60));
        assert!((Duration::from_secs(90)..=Duration::from_secs(98)).contains(&last), "{last:?}");
    }
}
