//! The clocks of a client connection: what it waits for, and whether the wait has exceeded its timeout.
//!
//! Knows nothing of sockets or of what a timeout leads to.

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
    /// The first byte of the first request.
    FirstByte,
    /// The first byte of the next request.
    Idle,
    /// The rest of a request head.
    Head,
    /// The client to read more of the response.
    Write,
    /// The gateway, which has clocks of its own.
    Busy,
    /// The rest of the body of a request that was answered already. Its end may not wake the connection.
    RequestBody,
}

/// The rate at which a client reads one response.
struct ResponseRate {
    rate: DataRate,
    /// Bytes written on the connection when the client was last waited for or had read some.
    bytes: u64,
    /// The number of the request on the connection; each response has an allowance of its own.
    response: u32,
}

/// The clocks of one connection. They share one timer, which is reset only when it fires or has to fire earlier.
pub(super) struct Clock {
    settings: Settings,
    multiplexed: bool,
    wait: (Wait, u32),
    since: Instant,
    timer: Pin<Box<Sleep>>,
    /// The timer was polled since the task began to wait, so it wakes the task.
    armed: bool,
    /// The rate of the current response.
    rate: Option<ResponseRate>,
}

impl Clock {
    pub(super) fn new(settings: Settings, multiplexed: bool) -> Self {
        let now = Instant::now();
        Self {
            settings,
            multiplexed,
            wait: (Wait::FirstByte, 0),
            since: now,
            timer: Box::pin(tokio::time::sleep_until(now + settings.header_timeout)),
            armed: false,
            rate: None,
        }
    }

    /// Returns the timeout of a wait.
    fn limit(&self, wait: Wait) -> Option<Duration> {
        match wait {
            Wait::FirstByte | Wait::Head => Some(self.settings.header_timeout),
            // `Session::parked` waits for the rest of `idle_timeout`.
            Wait::Idle if !self.multiplexed => Some(self.settings.idle_timeout.min(PARK_AFTER)),
            Wait::Idle | Wait::RequestBody => Some(self.settings.idle_timeout),
            Wait::Write => Some(self.settings.write_timeout),
            Wait::Busy => None,
        }
    }

    /// Returns the current wait if it has exceeded its timeout or, for an idle HTTP/1 connection, is long enough to park it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, shared: &ConnectionState) -> Poll<Wait> {
        let wait = current_wait(shared);
        let begins = wait != self.wait;
        let rate_due = if begins || wait.0 == Wait::Write { self.rate_deadline(wait.0, shared) } else { None };
        self.wait = wait;
        let Some(limit) = self.limit(wait.0) else {
            self.poll_periodically(cx);
            return Poll::Pending;
        };
        if begins {
            self.since = Instant::now();
        }
        let due = rate_due.map_or(self.since + limit, |rate_due| rate_due.min(self.since + limit));
        if self.timer.deadline() > due {
            self.timer.as_mut().reset(due);
        } else if begins && self.armed && self.timer.deadline() > self.since {
            // The timer wakes this task when it fires. A wait that has just begun cannot be over.
            return Poll::Pending;
        }
        // Without a budget the timer would not register this task, and never wake it.
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
    /// Returns when the client will have been too slow with the current response. HTTP/2 streams have rates of their own.
    fn rate_deadline(&mut self, wait: Wait, shared: &ConnectionState) -> Option<Instant> {
        let (waits, waited) = (wait == Wait::Write, self.wait.0 == Wait::Write);
        if self.multiplexed || !(waits || waited) {
            return None;
        }
        let (now, bytes) = (Instant::now(), shared.bytes());
        if !waited {
            let response = shared.called.load(Ordering::Relaxed);
            let begun = self.rate.take().filter(|current| current.response == response);
            self.rate = begun.or_else(|| shared.min_rate().map(|rate| ResponseRate { rate: DataRate::new(rate), bytes, response }));
        }
        let current = self.rate.as_mut()?;
        if bytes != current.bytes && current.rate.is_waiting() {
            current.rate.moved(bytes.wrapping_sub(current.bytes), now);
        }
        current.bytes = bytes;
        waits.then(|| current.rate.waits(now))
    }

    /// Wakes the task periodically. HTTP/2 streams run on tasks of their own, and wake nothing here when they stall.
    fn poll_periodically(&mut self, cx: &mut Context<'_>) {
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

/// Returns what the connection waits for, and a counter that tells successive write waits apart.
fn current_wait(shared: &ConnectionState) -> (Wait, u32) {
    if shared.is_stalled() {
        (Wait::Write, shared.steps())
    } else if shared.is_blocked() {
        (Wait::Write, shared.written())
    } else if shared.is_busy() || shared.open() > 0 {
        (Wait::Busy, 0)
    } else if shared.has_body() {
        (Wait::RequestBody, 0)
    } else if shared.is_partial() {
        (Wait::Head, 0)
    } else if shared.has_served() {
        (Wait::Idle, 0)
    } else {
        (Wait::FirstByte, 0)
    }
}
