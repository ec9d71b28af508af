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
use crate::server::slow_client::SlowClient;

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
    /// The client, as the wait for it began.
    client: SlowClient,
    timer: Pin<Box<Sleep>>,
}

impl Clock {
    pub(super) fn new(settings: Settings) -> Self {
        let now = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(now + settings.header_timeout));
        Self { settings, wait: (Wait::FirstRequest, 0), since: now, client: SlowClient::new(now, 0), timer }
    }

    /// Returns when a wait has exceeded its timeout, or when to look whether the client still reads.
    fn due(&self, wait: Wait) -> Option<Instant> {
        match wait {
            Wait::FirstRequest => Some(self.since + self.settings.header_timeout),
            Wait::Idle => Some(self.since + self.settings.idle_timeout),
            Wait::Write => Some(self.client.next_look(self.settings.write_timeout)),
            Wait::Busy => None,
        }
    }

    /// Returns the current wait if it has exceeded its timeout, or if it is a wait for the client that must be looked at.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, state: &ConnectionState) -> Poll<Wait> {
        let wait = current_wait(state);
        if wait != self.wait {
            (self.wait, self.since) = (wait, Instant::now());
            self.client = SlowClient::new(self.since, state.taken());
        }
        // Streams run on tasks of their own, and wake nothing here when they stall: the wait is looked at periodically.
        let limit = self.due(wait.0);
        let due = limit.unwrap_or_else(|| Instant::now() + self.settings.write_timeout / 2);
        if self.timer.deadline() > due {
            self.timer.as_mut().reset(due);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if limit.is_some() && Instant::now() >= due {
                return Poll::Ready(wait.0);
            }
            self.timer.as_mut().reset(due.max(Instant::now() + Duration::from_millis(1)));
        }
        Poll::Pending
    }

    /// Returns false if the client has taken nothing for too long. The I/O has looked how much it has taken.
    pub(super) fn client_reads(&mut self, state: &ConnectionState) -> bool {
        let now = Instant::now();
        self.client.look(now, state.taken());
        // While the I/O looked, the wait may have ended.
        current_wait(state) != self.wait || !self.client.is_stalled(now, self.settings.write_timeout)
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
