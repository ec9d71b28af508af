//! The clock of an HTTP/2 connection: what it waits for, and whether the wait has exceeded its timeout.
//!
//! Streams have clocks of their own. Knows nothing of sockets or of what a timeout leads to.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::state::ConnectionState;
use crate::server::settings::Settings;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The first request.
    FirstRequest,
    /// The next request.
    Idle,
    /// The client to read more of the responses.
    Write,
    /// The gateway, which has clocks of its own.
    Busy,
}

/// The clock of one connection.
pub(super) struct Clock {
    settings: Settings,
    /// The current wait, and a counter that tells successive waits for the client apart.
    wait: (Wait, u32),
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Clock {
    pub(super) fn new(settings: Settings) -> Self {
        let now = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(now + settings.header_timeout));
        Self { settings, wait: (Wait::FirstRequest, 0), since: now, timer }
    }

    /// Returns the timeout of a wait.
    fn limit(&self, wait: Wait) -> Option<Duration> {
        match wait {
            Wait::FirstRequest => Some(self.settings.header_timeout),
            Wait::Idle => Some(self.settings.idle_timeout),
            Wait::Write => Some(self.settings.write_timeout),
            Wait::Busy => None,
        }
    }

    /// Returns the current wait if it has exceeded its timeout.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, state: &ConnectionState) -> Poll<Wait> {
        let wait = current_wait(state);
        if wait != self.wait {
            (self.wait, self.since) = (wait, Instant::now());
        }
        // Streams run on tasks of their own, and wake nothing here when they stall: the wait is looked at periodically.
        let due = self.limit(wait.0).map_or_else(|| Instant::now() + self.settings.write_timeout / 2, |limit| self.since + limit);
        if self.timer.deadline() > due {
            self.timer.as_mut().reset(due);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.limit(wait.0).is_some() && Instant::now() >= due {
                return Poll::Ready(wait.0);
            }
            self.timer.as_mut().reset(due.max(Instant::now() + Duration::from_millis(1)));
        }
        Poll::Pending
    }
}

/// Returns what the connection waits for.
fn current_wait(state: &ConnectionState) -> (Wait, u32) {
    if state.is_stalled() {
        (Wait::Write, state.steps())
    } else if state.is_blocked() {
        (Wait::Write, state.written())
    } else if state.open() > 0 {
        (Wait::Busy, 0)
    } else if state.has_served() {
        (Wait::Idle, 0)
    } else {
        (Wait::FirstRequest, 0)
    }
}
