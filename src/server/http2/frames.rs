//! Counts the frames of a client that cost the gateway something and bring no request further (RFC 9113 10.5): a client that sends many of
//! them is flooding. h2 bounds resets and header lists; these it does not bound.
//!
//! A pure state machine over the bytes that arrive. Knows nothing of streams.

use std::time::Duration;

use tokio::time::Instant;

/// Frames that a client may send at once.
const BURST: u32 = 1_000;
/// Frames that are added to its budget each second, up to [`BURST`].
const PER_SECOND: u32 = 100;

/// The bytes of the preface, which comes before all frames (RFC 9113 3.4).
const PREFACE: usize = 24;
/// The bytes of a frame's header (RFC 9113 4.1).
const HEADER: usize = 9;
const DATA: u8 = 0x0;
const PRIORITY: u8 = 0x2;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
/// The last type that the standard defines.
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;

/// The budget of a connection.
#[derive(Debug)]
pub(super) struct FrameBudget {
    /// Bytes to skip: the preface, or the rest of a frame.
    skip: usize,
    /// The part of a frame's header that has arrived.
    header: [u8; HEADER],
    arrived: usize,
    left: u32,
    refilled: Instant,
}

impl FrameBudget {
    /// Creates the budget of a new connection, whose preface is still to come.
    pub(super) fn new(now: Instant) -> Self {
        Self { skip: PREFACE, header: [0; HEADER], arrived: 0, left: BURST, refilled: now }
    }

    /// Counts the frames in bytes that arrived. Returns false once the client has used up its budget.
    pub(super) fn count(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> bool {
        loop {
            let skipped = self.skip.min(bytes.len());
            (self.skip, bytes) = (self.skip - skipped, &bytes[skipped..]);
            if bytes.is_empty() {
                return true;
            }
            let taken = (HEADER - self.arrived).min(bytes.len());
            self.header[self.arrived..self.arrived + taken].copy_from_slice(&bytes[..taken]);
            (self.arrived, bytes) = (self.arrived + taken, &bytes[taken..]);
            if self.arrived < HEADER {
                return true;
            }
            self.arrived = 0;
            let [a, b, c, kind, flags, ..] = self.header;
            self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            if brings_nothing(kind, flags, self.skip) && !self.spend(now()) {
                return false;
            }
        }
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
const fn brings_nothing(kind: u8, flags: u8, length: usize) -> bool {
    match kind {
        DATA => length == 0 && flags & END_STREAM == 0,
        PRIORITY | SETTINGS | PING => true,
        _ => kind > CONTINUATION,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], &vec![0; payload]].concat()
    }

    /// Feeds the frames in pieces of `size` bytes. Returns whether the budget lasted.
    fn lasts(frames: &[u8], size: usize) -> bool {
        let now = Instant::now();
        let mut budget = FrameBudget::new(now);
        let all = [&[b'x'; PREFACE], frames].concat();
        all.chunks(size).all(|piece| budget.count(piece, || now))
    }

    #[test]
    fn floods_use_up_the_budget_and_requests_do_not() {
        for (kind, flags, payload) in [(PING, 0, 8), (SETTINGS, 1, 0), (PRIORITY, 0, 5), (0xee, 0, 3), (DATA, 0, 0)] {
            assert!(lasts(&frame(kind, flags, payload).repeat(1_000), 77), "{kind}");
            assert!(!lasts(&frame(kind, flags, payload).repeat(1_001), 77), "{kind}");
        }
        for (kind, flags, payload) in [(DATA, 0, 1), (DATA, END_STREAM, 0), (0x1, 0x5, 20), (0x3, 0, 4), (0x8, 0, 4)] {
            assert!(lasts(&frame(kind, flags, payload).repeat(20_000), 4096), "{kind}");
        }
    }

    #[test]
    fn the_budget_comes_back() {
        let start = Instant::now();
        let mut budget = FrameBudget::new(start);
        assert!(budget.count(&[b'x'; PREFACE], || start) && budget.count(&frame(PING, 0, 8).repeat(1_000), || start));
        let later = start + Duration::from_secs(1);
        assert!(budget.count(&frame(PING, 0, 8).repeat(100), || later) && !budget.count(&frame(PING, 0, 8), || later));
    }

    proptest::proptest! {
        #[test]
        fn pieces_change_nothing(sizes in proptest::collection::vec((0u8..12, 0usize..40), 0..50), size in 1usize..50) {
            let frames: Vec<u8> = sizes.iter().flat_map(|(kind, payload)| frame(*kind, 0, *payload)).collect();
            let now = Instant::now();
            let left = |size: usize| {
                let mut budget = FrameBudget::new(now);
                [&[b'x'; PREFACE], frames.as_slice()].concat().chunks(size).for_each(|piece| assert!(budget.count(piece, || now)));
                budget.left
            };
            proptest::prop_assert_eq!(left(size), left(100_000));
            let counted = sizes.iter().filter(|(kind, payload)| brings_nothing(*kind, 0, *payload)).count();
            proptest::prop_assert_eq!(left(size), BURST - u32::try_from(counted).unwrap());
        }
    }
}
