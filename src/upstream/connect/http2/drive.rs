//! The task of an HTTP/2 connection: moves its frames, tells how many streams it has, and ends it.
//!
//! Knows nothing of requests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::Connection;
use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep};

use super::Http2Connection;
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
        let Some(connection) = connection.filter(|connection| connection.active.load(Ordering::SeqCst) > 0) else {
            return self.must_end_without_requests(connection, now);
        };
        self.opened = connection.opened.load(Ordering::Relaxed);
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
        let opened = connection.map_or(self.opened, |connection| connection.opened.load(Ordering::Relaxed));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use tokio::io::{AsyncReadExt as _, DuplexStream};

    use super::*;
    use crate::upstream::connect::http2::Opening;

    const IDLE: Duration = Duration::from_secs(60);

    /// A connection, the endpoint's end of it, and the number of permits that were returned.
    async fn open() -> (Arc<Http2Connection>, DuplexStream, Arc<AtomicUsize>) {
        struct Permit(Arc<AtomicUsize>);
        impl Drop for Permit {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (gateway, endpoint) = tokio::io::duplex(64 * 1024);
        let returned = Arc::new(AtomicUsize::new(0));
        let opening = Opening { idle_timeout: IDLE, on_change: Arc::new(|| {}), permit: Box::new(Permit(Arc::clone(&returned))) };
        (Http2Connection::open(Stream::Memory(gateway), opening).await.unwrap(), endpoint, returned)
    }

    /// Reads until the gateway closes. Where it stays open, the paused clock runs to the end of the wait at once.
    async fn closes_within(endpoint: &mut DuplexStream, time: Duration) -> bool {
        let mut sink = Vec::new();
        tokio::time::timeout(time, endpoint.read_to_end(&mut sink)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_closes_in_its_time() {
        let (connection, mut endpoint, returned) = open().await;
        assert!(!closes_within(&mut endpoint, IDLE - Duration::from_secs(1)).await);
        assert!(closes_within(&mut endpoint, IDLE).await);
        assert!(connection.stream().is_none() && returned.load(Ordering::SeqCst) == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_requests_that_answers_no_ping_closes() {
        let (connection, mut endpoint, returned) = open().await;
        let stream = connection.stream().unwrap();
        assert!(closes_within(&mut endpoint, PING_INTERVAL * 2 + PING_TIMEOUT + Duration::from_secs(1)).await);
        assert_eq!((connection.is_closing(), returned.load(Ordering::SeqCst)), (true, 1));
        drop(stream);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_nobody_has_any_more_closes() {
        let (connection, mut endpoint, returned) = open().await;
        drop(connection);
        assert!(closes_within(&mut endpoint, Duration::from_secs(1)).await);
        tokio::task::yield_now().await;
        assert_eq!(returned.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn before_settings_there_is_one_stream() {
        let (connection, _endpoint, _) = open().await;
        let stream = connection.stream();
        assert!(stream.is_some() && connection.stream().is_none());
        drop(stream);
        assert!(connection.stream().is_some());
    }
}
