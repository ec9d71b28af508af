//! A breaker: where most of what is sent fails, nothing is sent for a while; then a few trials decide.
//!
//! [`Core`] is the pure machine and takes the time as an argument; [`Breaker`] is the same for all cores. It knows nothing of
//! requests: who uses it says what is good, bad or without weight.

use std::time::Duration;

use tokio::time::Instant;

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

/// What opens a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// So many of the last so many outcomes were bad.
    Share {
        /// Bad outcomes that open it, at least 1.
        bad: u32,
        /// Outcomes that are looked at, at most [`MAX_OUTCOMES`].
        of: u32,
    },
    /// So many bad ones in a row.
    Row(u32),
}

/// The most outcomes that are remembered.
pub const MAX_OUTCOMES: u32 = 1000;

/// What a breaker is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What opens it.
    pub rule: Rule,
    /// How long it stays open the first time.
    pub open_for: Duration,
    /// It doubles each time the trials fail, up to this.
    pub open_at_most: Duration,
    /// Requests that try at the same time when it is half open; as many must succeed to close it. At least 1.
    pub trials: u32,
}

/// Outcomes older than this say nothing about now.
const STALE: Duration = Duration::from_secs(30);

/// How a request ended, for the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint did its work.
    Good,
    /// It did not.
    Bad,
    /// Nobody can tell: the client left, or another answer was faster.
    Void,
}

/// The state in words of the field: an open breaker is tripped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Everything passes.
    Closed,
    /// Nothing passes.
    Open,
    /// Trials pass.
    HalfOpen,
}

/// Leave to send one request; its outcome is told with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPermit(u64);

/// The pure machine.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    state: State,
    /// Counts changes of state: a ticket of an earlier one has no weight.
    epoch: u64,
    /// When an open one may be tried again.
    until: Instant,
    /// How often it opened without closing in between.
    rounds: u32,
    /// Last outcomes, true for bad, oldest first.
    outcomes: std::collections::VecDeque<bool>,
    bad: u32,
    last: Instant,
    trying: u32,
    succeeded: u32,
}

impl Core {
    /// Closed.
    pub fn new(settings: Settings, now: Instant) -> Self {
        let outcomes = std::collections::VecDeque::new();
        Self { settings, state: State::Closed, epoch: 0, until: now, rounds: 0, outcomes, bad: 0, last: now, trying: 0, succeeded: 0 }
    }

    /// Would a request pass now?
    pub fn admits(&self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open => now >= self.until,
            State::HalfOpen => self.trying + self.succeeded < self.settings.trials,
        }
    }

    /// Lets a request pass, or not.
    pub fn enter(&mut self, now: Instant) -> Option<BreakerPermit> {
        if !self.admits(now) {
            return None;
        }
        if self.state == State::Open {
            self.become_state(State::HalfOpen);
        }
        if self.state == State::HalfOpen {
            self.trying += 1;
        }
        Some(BreakerPermit(self.epoch))
    }

    /// The outcome of a request that had passed.
    pub fn record(&mut self, ticket: BreakerPermit, outcome: Outcome, now: Instant) {
        if ticket.0 != self.epoch {
            return;
        }
        match self.state {
            State::Open => {}
            State::Closed => self.count(outcome, now),
            State::HalfOpen => {
                self.trying = self.trying.saturating_sub(1);
                match outcome {
                    Outcome::Void => {}
                    Outcome::Bad => self.open(now),
                    Outcome::Good => {
                        self.succeeded += 1;
                        if self.succeeded >= self.settings.trials {
                            self.rounds = 0;
                            self.become_state(State::Closed);
                        }
                    }
                }
            }
        }
    }

    fn count(&mut self, outcome: Outcome, now: Instant) {
        let bad = match outcome {
            Outcome::Void => return,
            Outcome::Good => false,
            Outcome::Bad => true,
        };
        if now.saturating_duration_since(self.last) > STALE {
            self.forget();
        }
        self.last = now;
        let trips = match self.settings.rule {
            Rule::Row(length) => {
                self.bad = if bad { self.bad + 1 } else { 0 };
                self.bad >= length.max(1)
            }
            Rule::Share { bad: most, of } => {
                if self.outcomes.len() >= of.clamp(1, MAX_OUTCOMES) as usize && self.outcomes.pop_front() == Some(true) {
                    self.bad -= 1;
                }
                self.outcomes.push_back(bad);
                self.bad += u32::from(bad);
                self.bad >= most.max(1)
            }
        };
        if trips {
            self.open(now);
        }
    }

    fn open(&mut self, now: Instant) {
        let longer = self.settings.open_for.saturating_mul(1u32.checked_shl(self.rounds).unwrap_or(u32::MAX));
        self.until = now + longer.min(self.settings.open_at_most.max(self.settings.open_for));
        self.rounds = (self.rounds + 1).min(16);
        self.become_state(State::Open);
    }

    fn become_state(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
        self.forget();
        (self.trying, self.succeeded) = (0, 0);
    }

    fn forget(&mut self) {
        self.outcomes.clear();
        self.bad = 0;
    }

    /// Where it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Until a request may try again; zero when one may now.
    pub fn wait(&self, now: Instant) -> Duration {
        if self.state == State::Open { self.until.saturating_duration_since(now) } else { Duration::ZERO }
    }
}

/// A breaker that all cores share. While it is closed, to pass costs one load; so does a good outcome where bad ones are counted
/// in a row and there was none.
#[derive(Debug)]
pub struct Breaker {
    core: Mutex<Core>,
    rule: Rule,
    /// Beside the lock: epoch, state, and whether bad outcomes are remembered. See [`hint`].
    hint: AtomicU64,
}

/// A change of state that the caller may want to tell.
pub type Change = Option<State>;

/// What the lock protects, in one word.
const fn hint(core: &Core) -> u64 {
    (core.epoch << 3) | ((core.state as u64) << 1) | ((core.bad > 0) as u64)
}

const fn is_closed(hint: u64) -> bool {
    (hint >> 1) & 3 == State::Closed as u64
}

impl Breaker {
    /// Closed.
    pub fn new(settings: Settings, now: Instant) -> Self {
        let core = Core::new(settings, now);
        Self { rule: settings.rule, hint: AtomicU64::new(hint(&core)), core: Mutex::new(core) }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a step and keeps the hint beside it.
    fn step<T>(&self, step: impl FnOnce(&mut Core) -> T) -> (T, Change) {
        let mut core = self.lock();
        let before = core.state();
        let value = step(&mut core);
        self.hint.store(hint(&core), Ordering::Release);
        (value, (before != core.state()).then_some(core.state()))
    }

    /// Would a request pass now? Another may take the last trial meanwhile: [`Self::enter`] decides.
    pub fn admits(&self, now: Instant) -> bool {
        self.is_closed() || self.lock().admits(now)
    }

    /// Everything passes.
    pub fn is_closed(&self) -> bool {
        is_closed(self.hint.load(Ordering::Acquire))
    }

    /// Lets a request pass, or not.
    pub fn enter(&self, now: Instant) -> (Option<BreakerPermit>, Change) {
        let hint = self.hint.load(Ordering::Acquire);
        // A closed one does not count who passes. Should it open in this moment, the ticket is of an earlier epoch.
        if is_closed(hint) { (Some(BreakerPermit(hint >> 3)), None) } else { self.step(|core| core.enter(now)) }
    }

    /// The outcome of a request that had passed.
    pub fn record(&self, ticket: BreakerPermit, outcome: Outcome, now: Instant) -> Change {
        let hint = self.hint.load(Ordering::Acquire);
        let quiet = is_closed(hint) && hint & 1 == 0 && matches!(self.rule, Rule::Row(_)) && outcome == Outcome::Good;
        // In an epoch that is over it has no weight either.
        if quiet { None } else { self.step(|core| core.record(ticket, outcome, now)).1 }
    }

    /// Opens a closed one at once: something is known to be wrong before anything was sent.
    pub fn trip(&self, now: Instant) -> Change {
        self.step(|core| {
            if core.state() == State::Closed {
                core.open(now);
            }
        })
        .1
    }

    /// Something went wrong after the outcome was told.
    pub fn blame(&self, now: Instant) -> Change {
        self.step(|core| {
            if core.state() == State::Closed {
                core.count(Outcome::Bad, now);
            }
        })
        .1
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.lock().state()
    }

    /// Until a request may try again.
    pub fn wait(&self, now: Instant) -> Duration {
        self.lock().wait(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_OF_20: Settings = Settings {
        rule: Rule::Share { bad: 10, of: 20 },
        open_for: Duration::from_secs(10),
        open_at_most: Duration::from_secs(10),
        trials: 2,
    };

    fn tell(core: &mut Core, outcome: Outcome, now: Instant) {
        if let Some(ticket) = core.enter(now) {
            core.record(ticket, outcome, now);
        }
    }

    #[test]
    fn a_bad_half_opens_it_and_good_trials_close_it() {
        let t = Instant::now();
        let mut core = Core::new(HALF_OF_20, t);
        for n in 0..19 {
            tell(&mut core, if n % 2 == 0 { Outcome::Bad } else { Outcome::Good }, t);
            assert_eq!(core.state(), if n < 18 { State::Closed } else { State::Open });
        }
        assert!(!core.admits(t + Duration::from_secs(9)));
        assert_eq!(core.wait(t + Duration::from_secs(9)), Duration::from_secs(1));
        let later = t + Duration::from_secs(10);
        let (first, second) = (core.enter(later).unwrap(), core.enter(later).unwrap());
        assert!(core.enter(later).is_none(), "two trials at most");
        core.record(first, Outcome::Void, later);
        let third = core.enter(later).unwrap();
        core.record(second, Outcome::Good, later);
        core.record(third, Outcome::Good, later);
        assert_eq!(core.state(), State::Closed);
    }

    #[test]
    fn a_bad_trial_opens_it_again_and_for_longer_where_allowed() {
        let t = Instant::now();
        let rule = Rule::Row(3);
        let mut core = Core::new(Settings { rule, open_for: Duration::from_secs(1), open_at_most: Duration::from_secs(3), trials: 1 }, t);
        let mut now = t;
        for _ in 0..2 {
            tell(&mut core, Outcome::Bad, now);
        }
        tell(&mut core, Outcome::Good, now);
        assert_eq!(core.state(), State::Closed, "a good one ends the row");
        for _ in 0..3 {
            tell(&mut core, Outcome::Bad, now);
        }
        for wait in [1, 2, 3, 3] {
            assert_eq!(core.wait(now), Duration::from_secs(wait));
            now += Duration::from_secs(wait);
            tell(&mut core, Outcome::Bad, now);
        }
    }

    #[test]
    fn an_old_ticket_and_an_old_outcome_have_no_weight() {
        let t = Instant::now();
        let mut core = Core::new(HALF_OF_20, t);
        let old = core.enter(t).unwrap();
        for _ in 0..9 {
            tell(&mut core, Outcome::Bad, t);
        }
        tell(&mut core, Outcome::Bad, t + STALE + Duration::from_secs(1));
        assert_eq!(core.state(), State::Closed);
        for _ in 0..9 {
            tell(&mut core, Outcome::Bad, t + STALE + Duration::from_secs(1));
        }
        assert_eq!(core.state(), State::Open);
        let half = t + STALE + Duration::from_secs(11);
        let trial = core.enter(half).unwrap();
        core.record(old, Outcome::Bad, half);
        assert_eq!(core.state(), State::HalfOpen);
        core.record(trial, Outcome::Good, half);
    }

    proptest::proptest! {
        /// Whatever happens: trials stay within their bound, an open one passes nothing before its time, and it opens only
        /// when enough of the last outcomes were bad.
        #[test]
        fn bounds_hold(steps in proptest::collection::vec((0u8..6, 0u64..4000), 1..400)) {
            let settings = Settings { rule: Rule::Share { bad: 5, of: 10 }, open_for: Duration::from_secs(2), open_at_most: Duration::from_secs(2), trials: 3 };
            let mut now = Instant::now();
            let mut core = Core::new(settings, now);
            let mut held: Vec<BreakerPermit> = Vec::new();
            let mut bad_in_closed = 0u32;
            for (what, wait) in steps {
                let before = core.state();
                match what {
                    0 => now += Duration::from_millis(wait),
                    1..=3 => {
                        let ticket = core.enter(now);
                        if before == State::Open { proptest::prop_assert_eq!(ticket.is_some(), core.state() == State::HalfOpen); }
                        held.extend(ticket);
                    }
                    _ => if let Some(ticket) = held.pop() {
                        let outcome = [Outcome::Good, Outcome::Bad, Outcome::Bad, Outcome::Void][wait as usize % 4];
                        core.record(ticket, outcome, now);
                        if before == State::Closed { bad_in_closed += u32::from(outcome == Outcome::Bad); }
                        if before == State::Closed && core.state() == State::Open { proptest::prop_assert!(bad_in_closed >= 5); }
                    }
                }
                if core.state() != State::Closed { bad_in_closed = 0; }
                proptest::prop_assert!(core.trying + core.succeeded <= 3);
                proptest::prop_assert!(core.outcomes.len() <= 10);
            }
        }
    }
}
