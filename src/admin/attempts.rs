//! Bounds how often tokens are guessed: of each client, and of all together.
//!
//! Only wrong tokens count, so a client with the right one is never slowed down unless its address has guessed wrong ones. Knows nothing of
//! requests; the caller compares the token.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limit::{Key, of_address};

/// How many wrong tokens a client may send at once, and how long each counts.
const PER_CLIENT: Bound = Bound { burst: 10, period: Duration::from_secs(6) };
/// The same of all clients together.
const OF_ALL: Bound = Bound { burst: 100, period: Duration::from_millis(600) };
/// The most clients that are counted by themselves. All others then share one count.
const MAX_CLIENTS: usize = 4096;

/// A number of attempts at once, and the time after which there may be one more.
#[derive(Clone, Copy, Debug)]
struct Bound {
    burst: u32,
    period: Duration,
}

/// The attempts that count, as the time at which none will any more (the generic cell rate algorithm, ITU-T I.371).
#[derive(Clone, Copy, Debug, Default)]
struct Count(Option<Instant>);

impl Count {
    /// Returns how long it takes until there may be an attempt; zero if there may be one now.
    fn wait(self, bound: Bound, now: Instant) -> Duration {
        let free = self.0.unwrap_or(now).saturating_duration_since(now);
        free.saturating_sub(bound.period * (bound.burst - 1))
    }

    fn add(&mut self, bound: Bound, now: Instant) {
        self.0 = Some(self.0.unwrap_or(now).max(now) + bound.period);
    }

    fn is_over(self, now: Instant) -> bool {
        self.0.is_none_or(|over| over <= now)
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict<T> {
    /// The token is right.
    Right(T),
    /// The token is wrong. With `is_last`, the next attempt of this client will not be looked at.
    Wrong {
        /// The client has used up its attempts.
        is_last: bool,
    },
    /// The token was not looked at, and will not be for this long.
    Limited(Duration),
}

#[derive(Debug, Default)]
struct Counts {
    clients: HashMap<Option<Key<'static>>, Count>,
    all: Count,
}

/// The attempts of all clients.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<Counts>);

impl Attempts {
    /// Judges an attempt. `compare` returns what the token is right for; it is not called if there were too many wrong ones. It runs under a
    /// lock, so that attempts at the same time cannot exceed the bound.
    pub(super) fn judge<T>(&self, client: IpAddr, now: Instant, compare: impl FnOnce() -> Option<T>) -> Verdict<T> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = counts.key(client, now);
        let own = counts.clients.get(&key).copied().unwrap_or_default();
        let wait = own.wait(PER_CLIENT, now).max(counts.all.wait(OF_ALL, now));
        if !wait.is_zero() {
            return Verdict::Limited(wait);
        }
        if let Some(found) = compare() {
            return Verdict::Right(found);
        }
        counts.all.add(OF_ALL, now);
        let own = counts.clients.entry(key).or_default();
        own.add(PER_CLIENT, now);
        Verdict::Wrong { is_last: !own.wait(PER_CLIENT, now).is_zero() }
    }
}

impl Counts {
    /// Returns the key of a client; `None` for one that is counted with others, because the map is full.
    fn key(&mut self, client: IpAddr, now: Instant) -> Option<Key<'static>> {
        let key = Some(of_address(client));
        if self.clients.len() >= MAX_CLIENTS && !self.clients.contains_key(&key) {
            self.clients.retain(|_, count| !count.is_over(now));
            if self.clients.len() >= MAX_CLIENTS {
                return None;
            }
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    fn wrong(attempts: &Attempts, client: IpAddr, now: Instant) -> bool {
        matches!(attempts.judge(client, now, || None::<()>), Verdict::Wrong { .. })
    }

    #[test]
    fn a_client_that_guesses_is_stopped_and_others_are_not() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let all: Vec<_> = (0..12).map(|_| attempts.judge(client(1), now, || None::<()>)).collect();
        assert_eq!(all[8], Verdict::Wrong { is_last: false });
        assert_eq!(all[9], Verdict::Wrong { is_last: true });
        assert_eq!(all[10..], [Verdict::Limited(Duration::from_secs(6)); 2]);
        assert_eq!(attempts.judge(client(2), now, || Some(7)), Verdict::Right(7));
        // The right token does not help a client that has guessed: otherwise the bound would bound nothing.
        assert!(matches!(attempts.judge(client(1), now, || Some(7)), Verdict::Limited(_)));
        assert_eq!(attempts.judge(client(1), now + Duration::from_secs(6), || Some(7)), Verdict::Right(7));
    }

    #[test]
    fn right_tokens_cost_nothing() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for _ in 0..1000 {
            assert_eq!(attempts.judge(client(1), now, || Some(())), Verdict::Right(()));
        }
    }

    #[test]
    fn many_clients_are_bounded_together_and_in_memory() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let judged = (0..200).filter(|n| wrong(&attempts, client(*n), now)).count();
        assert_eq!(judged, 100);
        let mut later = now;
        for n in 0..20_000 {
            later += Duration::from_millis(1);
            wrong(&attempts, client(n), later);
        }
        assert!(attempts.0.lock().unwrap().clients.len() <= MAX_CLIENTS + 1);
    }
}
