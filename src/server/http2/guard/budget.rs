//! Counts the frames of a client that cost the gateway something and bring no request further (RFC 9113 10.5): a client that sends many of
//! them is flooding. h2 bounds resets and header lists; these it does not bound.
//!
//! Pure arithmetic. Knows nothing of streams.

use std::time::Duration;

use tokio::time::Instant;

use super::frame::{END_STREAM, Head, Kind};

/// Frames that a client may send at once.
const BURST: u32 = 1_000;
/// Frames that are added to its budget each second, up to [`BURST`].
const PER_SECOND: u32 = 100;

/// The budget of a connection.
#[derive(Debug)]
pub(super) struct FrameBudget {
    left: u32,
    refilled: Instant,
}

impl FrameBudget {
    pub(super) const fn new(now: Instant) -> Self {
        Self { left: BURST, refilled: now }
    }

    /// Counts a frame. Returns true once the client has used up its budget.
    pub(super) fn is_spent(&mut self, head: Head, now: impl Fn() -> Instant) -> bool {
        brings_nothing(head) && !self.spend(now())
    }

    fn spend(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.refilled);
        let earned = u32::try_from(since.as_millis()).unwrap_or(u32::MAX).saturating_mul(PER_SECOND) / 1_000;
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(BURST);
            self.refilled += Duration::from_millis(u64::from(earned) * 1_000 / u64::from(PER_SECOND));
        }
        self.left = match self.left.checked_sub(1) {
            Some(left) => left,
            None => return false,
        };
        true
    }
}

/// Returns true for a frame that brings no request further.
const fn brings_nothing(head: Head) -> bool {
    match head.kind {
        Kind::Data => head.length == 0 && !head.has(END_STREAM),
        Kind::Priority | Kind::Settings | Kind::Ping | Kind::Unknown => true,
        Kind::Headers | Kind::Reset | Kind::PushPromise | Kind::GoAway | Kind::WindowUpdate | Kind::Continuation => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::ACK;
    use super::*;

    fn lasts(kind: Kind, flags: u8, length: usize, frames: u32) -> bool {
        let now = Instant::now();
        let mut budget = FrameBudget::new(now);
        (0..frames).all(|_| !budget.is_spent(Head { length, kind, flags, stream: 1 }, || now))
    }

    #[test]
    fn floods_use_up_the_budget_and_requests_do_not() {
        for (kind, flags, length) in
            [(Kind::Ping, 0, 8), (Kind::Settings, ACK, 0), (Kind::Priority, 0, 5), (Kind::Unknown, 0, 3), (Kind::Data, 0, 0)]
        {
            assert!(lasts(kind, flags, length, 1_000) && !lasts(kind, flags, length, 1_001), "{kind:?}");
        }
        for (kind, flags, length) in
            [(Kind::Data, 0, 1), (Kind::Data, END_STREAM, 0), (Kind::Headers, 5, 20), (Kind::Reset, 0, 4), (Kind::WindowUpdate, 0, 4)]
        {
            assert!(lasts(kind, flags, length, 20_000), "{kind:?}");
        }
    }

    #[test]
    fn the_budget_comes_back() {
        let start = Instant::now();
        let mut budget = FrameBudget::new(start);
        let ping = Head { length: 8, kind: Kind::Ping, flags: 0, stream: 0 };
        assert!((0..1_000).all(|_| !budget.is_spent(ping, || start)));
        let later = start + Duration::from_secs(1);
        assert!((0..100).all(|_| !budget.is_spent(ping, || later)) && budget.is_spent(ping, || later));
    }
}
