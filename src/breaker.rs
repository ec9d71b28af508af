//! A circuit breaker: after too many failures it rejects requests for a while, then lets a few trials decide.
//!
//! [`Core`] is the pure state machine and takes the time as an argument; [`Breaker`] shares one between all cores. Knows nothing of
//! requests; the caller classifies outcomes as good, bad or void.

use std::time::Duration;

use tokio::time::Instant;

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

/// The condition that opens a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A number of bad outcomes among the most recent ones.
    Share {
        /// Bad outcomes that open the breaker, at least 1.
        bad: u32,
        /// Number of recent outcomes, at most [`MAX_OUTCOMES`].
        of: u32,
    },
    /// A number of consecutive bad outcomes.
    Consecutive(u32),
}

/// The maximum number of outcomes that are remembered.
pub const MAX_OUTCOMES: u32 = 1000;

/// The settings of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The condition that opens it.
    pub rule: Rule,
    /// How long it stays open the first time.
    pub open_for: Duration,
    /// Upper bound of the open time, which doubles each time the trials fail.
    pub open_at_most: Duration,
    /// Concurrent trials while half-open, and the successes that close it. At least 1.
    pub trials: u32,
}

/// The remembered outcomes are dropped when none was recorded for this long.
const STALE_AFTER: Duration = Duration::from_secs(30);

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint worked.
    Good,
    /// The endpoint failed.
    Bad,
    /// Neither: the client left, or another response came first.
    Void,
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All requests are admitted.
    Closed,
    /// No requests are admitted.
    Open,
    /// Trials are admitted.
    HalfOpen,
}

/// The permit to send one request. It is passed back with the request's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPermit(u64);

/// The state machine.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    state: State,
    /// Number of state changes. A permit from an earlier state is ignored.
    epoch: u64,
    /// When an open breaker admits the first trial.
    until: Instant,
    /// How often it opened without closing in between, at most 16.
    rounds: u32,
    /// The most recent outcomes, true for bad, oldest first.
    outcomes: std::collections::VecDeque<bool>,
    bad: u32,
    last: Instant,
    pending_trials: u32,
    succeeded: u32,
}

impl Core {
    /// Creates a closed breaker.
    pub fn new(settings: Settings, now: Instant) -> Self {
        let outcomes = std::collections::VecDeque::new();
        Self {
            settings,
            state: State::Closed,
            epoch: 0,
            until: now,
            rounds: 0,
            outcomes,
            bad: 0,
            last: now,
            pending_trials: 0,
            succeeded: 0,
        }
    }

    /// Returns true if a request would be admitted.
    pub fn admits(&self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open => now >= self.until,
            State::HalfOpen => self.pending_trials + self.succeeded < self.settings.trials,
        }
    }

    /// Admits a request, or returns `None`.
    pub fn enter(&mut self, now: Instant) -> Option<BreakerPermit> {
        if !self.admits(now) {
            return None;
        }
        if self.state == State::Open {
            self.become_state(State::HalfOpen);
        }
        if self.state == State::HalfOpen {
            self.pending_trials += 1;
        }
        Some(BreakerPermit(self.epoch))
    }

    /// Records the outcome of an admitted request.
    pub fn record(&mut self, permit: BreakerPermit, outcome: Outcome, now: Instant) {
        if permit.0 != self.epoch {
            return;
        }
        match self.state {
            State::Open => {}
            State::Closed => self.count(outcome, now),
            State::HalfOpen => {
                self.pending_trials = self.pending_trials.saturating_sub(1);
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
        if now.saturating_duration_since(self.last) > STALE_AFTER {
            self.clear_outcomes();
        }
        self.last = now;
        let trips = match self.settings.rule {
            Rule::Consecutive(length) => {
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
        self.clear_outcomes();
        (self.pending_trials, self.succeeded) = (0, 0);
    }

    fn clear_outcomes(&mut self) {
        self.outcomes.clear();
        self.bad = 0;
    }

    /// Returns the current state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Returns the time until a trial is admitted; zero if the breaker is not open.
    pub fn wait(&self, now: Instant) -> Duration {
        if self.state == State::Open { self.until.saturating_duration_since(now) } else { Duration::ZERO }
    }
}

/// A breaker that all cores share. While it is closed, admission costs one atomic load. With [`Rule::Consecutive`], so does a good outcome
/// that follows no bad one.
#[derive(Debug)]
pub struct Breaker {
    core: Mutex<Core>,
    rule: Rule,
    /// A copy of the epoch, the state, and whether bad outcomes are remembered, to be read without the lock. See [`hint`].
    hint: AtomicU64,
}

/// The new state, if it changed.
pub type Change = Option<State>;

/// Packs the state behind the lock into one word.
const fn hint(core: &Core) -> u64 {
    (core.epoch << 3) | ((core.state as u64) << 1) | ((core.bad > 0) as u64)
}

const fn is_closed(hint: u64) -> bool {
    (hint >> 1) & 3 == State::Closed as u64
}

impl Breaker {
    /// Creates a closed breaker.
    pub fn new(settings: Settings, now: Instant) -> Self {
        let core = Core::new(settings, now);
        Self { rule: settings.rule, hint: AtomicU64::new(hint(&core)), core: Mutex::new(core) }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `step` under the lock and updates the hint.
    fn step<T>(&self, step: impl FnOnce(&mut Core) -> T) -> (T, Change) {
        let mut core = self.lock();
        let before = core.state();
        let value = step(&mut core);
        self.hint.store(hint(&core), Ordering::Release);
        (value, (before != core.state()).then_some(core.state()))
    }

    /// Returns true if a request would be admitted. Another request may take the last trial in the meantime; [`Self::enter`] decides.
    pub fn admits(&self, now: Instant) -> bool {
        self.is_closed() || self.lock().admits(now)
    }

    /// Returns true if all requests are admitted.
    pub fn is_closed(&self) -> bool {
        is_closed(self.hint.load(Ordering::Acquire))
    }

    /// Admits a request, or returns `None`.
    pub fn enter(&self, now: Instant) -> (Option<BreakerPermit>, Change) {
        let hint = self.hint.load(Ordering::Acquire);
        // A closed breaker does not count admissions. If it opens at this moment, the permit belongs to an earlier epoch and is ignored.
        if is_closed(hint) { (Some(BreakerPermit(hint >> 3)), None) } else { self.step(|core| core.enter(now)) }
    }

    /// Records the outcome of an admitted request.
    pub fn record(&self, permit: BreakerPermit, outcome: Outcome, now: Instant) -> Change {
        let hint = self.hint.load(Ordering::Acquire);
        let is_noop = is_closed(hint) && hint & 1 == 0 && matches!(self.rule, Rule::Consecutive(_)) && outcome == Outcome::Good;
        // If the epoch of the permit is over, the outcome is ignored in either case.
        if is_noop { None } else { self.step(|core| core.record(permit, outcome, now)).1 }
    }

    /// Opens a closed breaker at once, for a failure that is known before a request is sent.
    pub fn trip(&self, now: Instant) -> Change {
        self.step(|core| {
            if core.state() == State::Closed {
                core.open(now);
            }
        })
        .1
    }

    /// Records a failure after the outcome of its request was recorded.
    pub fn record_late_failure(&self, now: Instant) -> Change {
        self.step(|core| {
            if core.state() == State::Closed {
                core.count(Outcome::Bad, now);
            }
        })
        .1
    }

    /// Returns the state as of the last change, without the lock.
    pub fn last_state(&self) -> State {
        match (self.hint.load(Ordering::Acquire) >> 1) & 3 {
            0 => State::Closed,
            1 => State::Open,
            _ => State::HalfOpen,
        }
    }

    /// Returns the current state.
    pub fn state(&self) -> State {
        self.lock().state()
    }

    /// Returns the time until a trial is admitted; zero if the breaker is not open.
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

    fn run(core: &mut Core, outcome: Outcome, now: Instant) {
        if let Some(permit) = core.enter(now) {
            core.record(permit, outcome, now);
        }
    }

    #[test]
    fn enough_failures_open_it_and_good_trials_close_it() {
        let t = Instant::now();
        let mut core = Core::new(HALF_OF_20, t);
        for n in 0..19 {
            run(&mut core, if n % 2 == 0 { Outcome::Bad } else { Outcome::Good }, t);
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
    fn a_failed_trial_opens_it_again_for_longer_up_to_the_bound() {
        let t = Instant::now();
        let rule = Rule::Consecutive(3);
        let mut core = Core::new(Settings { rule, open_for: Duration::from_secs(1), open_at_most: Duration::from_secs(3), trials: 1 }, t);
        let mut now = t;
        for _ in 0..2 {
            run(&mut core, Outcome::Bad, now);
        }
        run(&mut core, Outcome::Good, now);
        assert_eq!(core.state(), State::Closed, "a good one ends the row");
        for _ in 0..3 {
            run(&mut core, Outcome::Bad, now);
        }
        for wait in [1, 2, 3, 3] {
            assert_eq!(core.wait(now), Duration::from_secs(wait));
            now += Duration::from_secs(wait);
            run(&mut core, Outcome::Bad, now);
        }
    }

    #[test]
    fn a_permit_of_an_earlier_epoch_and_a_stale_outcome_are_ignored() {
        let t = Instant::now();
        let mut core = Core::new(HALF_OF_20, t);
        let old = core.enter(t).unwrap();
        for _ in 0..9 {
            run(&mut core, Outcome::Bad, t);
        }
        run(&mut core, Outcome::Bad, t + STALE_AFTER + Duration::from_secs(1));
        assert_eq!(core.state(), State::Closed);
        for _ in 0..9 {
            run(&mut core, Outcome::Bad, t + STALE_AFTER + Duration::from_secs(1));
        }
        assert_eq!(core.state(), State::Open);
        let half = t + STALE_AFTER + Duration::from_secs(11);
        let trial = core.enter(half).unwrap();
        core.record(old, Outcome::Bad, half);
        assert_eq!(core.state(), State::HalfOpen);
        core.record(trial, Outcome::Good, half);
    }

    proptest::proptest! {
        /// In any sequence, trials stay within their bound, an open breaker admits nothing before its time, and it opens only after enough
        /// bad outcomes.
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
                        let permit = core.enter(now);
                        if before == State::Open { proptest::prop_assert_eq!(permit.is_some(), core.state() == State::HalfOpen); }
                        held.extend(permit);
                    }
                    _ => if let Some(permit) = held.pop() {
                        let outcome = [Outcome::Good, Outcome::Bad, Outcome::Bad, Outcome::Void][wait as usize % 4];
                        core.record(permit, outcome, now);
                        if before == State::Closed { bad_in_closed += u32::from(outcome == Outcome::Bad); }
                        if before == State::Closed && core.state() == State::Open { proptest::prop_assert!(bad_in_closed >= 5); }
                    }
                }
                if core.state() != State::Closed { bad_in_closed = 0; }
                proptest::prop_assert!(core.pending_trials + core.succeeded <= 3);
                proptest::prop_assert!(core.outcomes.len() <= 10);
            }
        }
    }
}
