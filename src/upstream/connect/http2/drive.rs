//! The task of an HTTP/2 connection: moves its frames, tells how many streams it has, and ends it.
//!
//! Knows nothing of requests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::Connection;
use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep};

use super::connection::Http2Connection;
use crate::upstream::connect::stream::Stream;

/// How often a connection with requests is asked whether it is alive.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of a connection without requests may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The shortest time between two looks at the waits.
const MIN_PAUSE: Duration = Duration::from_millis(10);

/// Drives a connection to its end, or until it must end at once.
pub(super) async fn drive(mut driven: Connection<Stream, Bytes>, mut clock: Clock, connection: &Weak<Http2Connection>) {
    std::future::poll_fn(|cx| {
        if Pin::new(&mut driven).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let current = connection.upgrade();
        if let Some(connection) = &current {
            connection.set_limit(driven.max_concurrent_send_streams());
        }
        clock.poll(cx, current.as_deref())
    })
    .await;
}

/// The waits of a connection.
pub(super) struct Clock {
    pings: Option<PingPong>,
    /// When the PING was sent that has no answer yet.
    pinged: Option<Instant>,
    idle_timeout: Duration,
    /// Since when there is no request.
    idle_since: Option<Instant>,
    /// Streams opened until the last look.
    opened: usize,
    /// Since when there is neither a request nor room for one.
    closing_since: Option<Instant>,
    /// Time between two looks.
    pause: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Clock {
    pub(super) fn new(pings: Option<PingPong>, idle_timeout: Duration) -> Self {
        let pause = (idle_timeout / 4).clamp(MIN_PAUSE, PING_INTERVAL);
        let timer = Box::pin(tokio::time::sleep(pause));
        Self { pings, pinged: None, idle_timeout, idle_since: None, opened: 0, closing_since: None, pause, timer }
    }

    /// Ready when the connection must end at once.
    fn poll(&mut self, cx: &mut Context<'_>, connection: Option<&Http2Connection>) -> Poll<()> {
        if let Some(pings) = self.pings.as_mut().filter(|_| self.pinged.is_some())
            && pings.poll_pong(cx).is_ready()
        {
            self.pinged = None;
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if self.must_end(connection, now) {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(now + self.pause);
        }
        Poll::Pending
    }

    /// Looks whether a wait has lasted too long.
    fn must_end(&mut self, connection: Option<&Http2Connection>, now: Instant) -> bool {
        let Some(connection) = connection.filter(|connection| connection.active() > 0) else {
            return self.must_end_without_requests(connection, now);
        };
        self.opened = connection.opened();
        (self.idle_since, self.closing_since) = (None, None);
        match self.pinged {
            Some(pinged) => return now.duration_since(pinged) >= PING_TIMEOUT,
            None => self.ping(now),
        }
        false
    }

    fn ping(&mut self, now: Instant) {
        // A PING that cannot be sent means that the connection is ending, which its task notices by itself.
        self.pinged = self.pings.as_mut().is_some_and(|pings| pings.send_ping(Ping::opaque()).is_ok()).then_some(now);
    }

    fn must_end_without_requests(&mut self, connection: Option<&Http2Connection>, now: Instant) -> bool {
        let opened = connection.map_or(self.opened, |connection| connection.opened());
        if std::mem::replace(&mut self.opened, opened) != opened {
            self.idle_since = None;
        }
        let idle = now.duration_since(*self.idle_since.get_or_insert(now));
        let is_closing = match connection {
            None => true,
            Some(connection) if idle >= self.idle_timeout => connection.retire_if_idle(),
            Some(connection) => connection.is_closing(),
        };
        if !is_closing {
            return false;
        }
        now.duration_since(*self.closing_since.get_or_insert(now)) >= CLOSE_TIMEOUT
    }
}
