//! The clocks of a client connection: what it waits for now, and whether that has lasted too long.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep};

use super::connection_state::ConnectionState;
use super::settings::{PARK_AFTER, Settings};
use crate::data_rate::DataRate;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The first request's first byte.
    Begin,
    /// The next request's first byte.
    Idle,
    /// The rest of a head.
    Head,
    /// The client, to take some of the answer.
    Write,
    /// The gateway: its own clocks run.
    Busy,
    /// The rest of a request's body that was answered already. Nobody may tell when it is over.
    Rest,
}

/// How fast a client takes one answer.
struct Taking {
    rate: DataRate,
    /// Bytes written on the connection when the last wait began.
    bytes: u64,
    /// Requests on the connection so far: each answer has a rate of its own.
    answer: u32,
}

/// The clocks of one connection: one timer, moved only when it fires or must fire earlier.
pub(super) struct Clock {
    settings: Settings,
    multiplexed: bool,
    wait: (Wait, u32),
    since: Instant,
    timer: Pin<Box<Sleep>>,
    /// The timer was asked once: it knows whom to wake.
    armed: bool,
    /// How fast the client takes the answer under way.
    rate: Option<Taking>,
}

impl Clock {
    pub(super) fn new(settings: Settings, multiplexed: bool) -> Self {
        let now = Instant::now();
        Self {
            settings,
            multiplexed,
            wait: (Wait::Begin, 0),
            since: now,
            timer: Box::pin(tokio::time::sleep_until(now + settings.header_timeout)),
            armed: false,
            rate: None,
        }
    }

    fn limit(&self, wait: Wait) -> Option<Duration> {
        match wait {
            Wait::Begin | Wait::Head => Some(self.settings.header_timeout),
            // `Session::parked` waits for the rest of `idle_timeout`.
            Wait::Idle if !self.multiplexed => Some(self.settings.idle_timeout.min(PARK_AFTER)),
            Wait::Idle | Wait::Rest => Some(self.settings.idle_timeout),
            Wait::Write => Some(self.settings.write_timeout),
            Wait::Busy => None,
        }
    }

    /// Ready when the current wait has lasted too long; for an idle HTTP/1 connection, long enough to park it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, shared: &ConnectionState) -> Poll<Wait> {
        let wait = now_waiting(shared);
        let begins = wait != self.wait;
        let slow = if begins || wait.0 == Wait::Write { self.too_slow_at(wait.0, shared) } else { None };
        self.wait = wait;
        let Some(limit) = self.limit(wait.0) else {
            self.look_again(cx);
            return Poll::Pending;
        };
        if begins {
            self.since = Instant::now();
        }
        let due = slow.map_or(self.since + limit, |slow| slow.min(self.since + limit));
        if self.timer.deadline() > due {
            self.timer.as_mut().reset(due);
        } else if begins && self.armed && self.timer.deadline() > self.since {
            // It knows this task and wakes it; a wait that just began cannot be over.
            return Poll::Pending;
        }
        // Without a budget it would not be asked, and would wake nobody.
        self.armed = has_budget_remaining();
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(wait.0);
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl Clock {
    /// When the client will have been too slow with the answer under way. A stream of HTTP/2 has a rate of its own.
    fn too_slow_at(&mut self, wait: Wait, shared: &ConnectionState) -> Option<Instant> {
        let (waits, waited) = (wait == Wait::Write, self.wait.0 == Wait::Write);
        if self.multiplexed || !(waits || waited) {
            return None;
        }
        let (now, bytes) = (Instant::now(), shared.bytes());
        if !waited {
            let answer = shared.called.load(Ordering::Relaxed);
            let begun = self.rate.take().filter(|taking| taking.answer == answer);
            self.rate = begun.or_else(|| shared.min_rate().map(|rate| Taking { rate: DataRate::new(rate), bytes, answer }));
        }
        let taking = self.rate.as_mut()?;
        if bytes != taking.bytes && taking.rate.is_waiting() {
            taking.rate.moved(bytes.wrapping_sub(taking.bytes), now);
        }
        taking.bytes = bytes;
        waits.then(|| taking.rate.waits(now))
    }

    /// Streams of HTTP/2 run on tasks of their own: that they have come to a stand wakes nobody, so the clock looks itself.
    fn look_again(&mut self, cx: &mut Context<'_>) {
        if !self.multiplexed {
            return;
        }
        let pause = self.settings.write_timeout / 2;
        let now = Instant::now();
        if self.timer.deadline() > now + pause {
            self.timer.as_mut().reset(now + pause);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            self.timer.as_mut().reset(Instant::now() + pause);
        }
    }
}

fn now_waiting(shared: &ConnectionState) -> (Wait, u32) {
    if shared.is_stalled() {
        (Wait::Write, shared.steps())
    } else if shared.is_blocked() {
        (Wait::Write, shared.written())
    } else if shared.is_busy() || shared.open() > 0 {
        (Wait::Busy, 0)
    } else if shared.has_body() {
        (Wait::Rest, 0)
    } else if shared.is_partial() {
        (Wait::Head, 0)
    } else if shared.has_served() {
        (Wait::Idle, 0)
    } else {
        (Wait::Begin, 0)
    }
}
