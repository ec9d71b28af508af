//! The HTTP/2 connections of one endpoint, by core. The requests of a core share its connections; another one is opened when all streams
//! are in use, one at a time, so that a burst of requests does not open a connection each.
//!
//! Knows nothing of how a connection is opened, or of the limit on their number.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::http2::{Http2Connection, Http2Stream, OnChange};
use crate::sync::Counted;

/// How often a waiting request looks again, even if nothing has changed for requests of its core.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const HTTP1: u8 = 1;
const HTTP2: u8 = 2;
/// How long an endpoint that asked for HTTP/1.1 (HTTP_1_1_REQUIRED) is spoken to in it.
const HTTP1_FOR: Duration = Duration::from_secs(300);

/// The HTTP/2 connections of one endpoint.
#[derive(Debug)]
pub struct Multiplex {
    lanes: Vec<Lane>,
    change: Arc<Change>,
    /// The version of HTTP that the endpoint chose when it was asked last: [`HTTP1`], whose connections are not shared, [`HTTP2`], or 0.
    chosen: AtomicU8,
    created: Instant,
    /// The endpoint is spoken to in HTTP/1.1 until then, in milliseconds since it was created.
    http1_until: AtomicU64,
}

/// One core's connections.
#[derive(Debug, Default)]
struct Lane {
    connections: Mutex<Vec<Arc<Http2Connection>>>,
    /// Connections that are being opened.
    opening: AtomicUsize,
    /// The last one could not be opened, so requests do not wait for each other.
    failing: AtomicBool,
}

/// Wakes requests that wait for a stream.
#[derive(Debug, Default)]
struct Change {
    waiting: AtomicUsize,
    happened: Notify,
}

impl Change {
    /// Wakes one request. One that finds a stream wakes the next, since there may be more.
    fn notify(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.happened.notify_one();
        }
    }
}

/// The right to open a connection. Dropping it without one tells the waiting requests that it failed.
#[derive(Debug)]
pub struct OpeningGuard {
    multiplex: Arc<Multiplex>,
    core: usize,
    opened: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Multiplex {
    /// Creates the lists of this many cores.
    pub fn new(cores: usize) -> Arc<Self> {
        let lanes = (0..cores.max(1)).map(|_| Lane::default()).collect();
        let (chosen, http1_until) = (AtomicU8::new(0), AtomicU64::new(0));
        Arc::new(Self { lanes, change: Arc::default(), chosen, created: Instant::now(), http1_until })
    }

    fn lane(&self, core: usize) -> &Lane {
        &self.lanes[core % self.lanes.len()]
    }

    /// Returns a free stream of this core's connections.
    pub fn stream(&self, core: usize) -> Option<Box<Http2Stream>> {
        let mut connections = lock(&self.lane(core).connections);
        let found = connections.iter().find_map(Http2Stream::on);
        if found.is_none() {
            connections.retain(|connection| !connection.is_closing());
        }
        found
    }

    /// Returns a free stream of any core's connections.
    pub fn stream_of_any(&self) -> Option<Box<Http2Stream>> {
        (0..self.lanes.len()).find_map(|core| self.stream(core))
    }

    /// Returns true if the endpoint speaks HTTP/1, as far as is known.
    pub fn chose_http1(&self) -> bool {
        self.chosen.load(Ordering::Relaxed) == HTTP1
    }

    /// Returns true if the endpoint speaks HTTP/2, as far as is known.
    pub fn chose_http2(&self) -> bool {
        self.chosen.load(Ordering::Relaxed) == HTTP2
    }

    /// Records which version the endpoint chose.
    pub fn choose(&self, http2: bool) {
        self.chosen.store(if http2 { HTTP2 } else { HTTP1 }, Ordering::Relaxed);
    }

    /// Returns true if the endpoint asked for HTTP/1.1 not long ago.
    pub fn wants_http1(&self, now: Instant) -> bool {
        let until = self.http1_until.load(Ordering::Relaxed);
        until > 0 && now.saturating_duration_since(self.created) < Duration::from_millis(until)
    }

    /// Records that the endpoint asked for HTTP/1.1.
    pub fn speak_http1(&self, now: Instant) {
        let until = now.saturating_duration_since(self.created) + HTTP1_FOR;
        self.http1_until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns true if requests of this core wait for a connection that is being opened.
    pub fn is_opening(&self, core: usize) -> bool {
        self.lane(core).opening.load(Ordering::SeqCst) > 0
    }

    /// Returns the right to open a connection, unless one is being opened that the request can wait for.
    pub fn open(this: &Arc<Self>, core: usize) -> Option<OpeningGuard> {
        let lane = this.lane(core);
        let free = this.chose_http1() || lane.failing.load(Ordering::SeqCst);
        if lane.opening.fetch_add(1, Ordering::SeqCst) > 0 && !free {
            lane.opening.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some(OpeningGuard { multiplex: Arc::clone(this), core, opened: false })
    }

    /// Waits until `look` finds something. It is called again after a change, and from time to time.
    pub async fn wait<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let _waiting = Counted::enter(&self.change.waiting);
        loop {
            let mut change = std::pin::pin!(self.change.happened.notified());
            change.as_mut().enable();
            if let Some(found) = look() {
                self.change.notify();
                return found;
            }
            let _ = tokio::time::timeout(LOOK_AGAIN, change).await;
        }
    }

    /// Adds a connection to those of a core. Returns a stream of it, before others take one.
    pub fn add(&self, core: usize, connection: Arc<Http2Connection>) -> Option<Box<Http2Stream>> {
        let stream = Http2Stream::on(&connection);
        lock(&self.lane(core).connections).push(connection);
        stream
    }

    /// Returns the number of requests that wait.
    pub fn waiting(&self) -> usize {
        self.change.waiting.load(Ordering::SeqCst)
    }

    /// Returns what a connection calls when its free streams change.
    pub fn on_change(&self) -> OnChange {
        let change = Arc::clone(&self.change);
        Arc::new(move || change.notify())
    }

    /// Lets no request use this core's connections any more. One without requests closes, which its endpoint is told (GOAWAY).
    pub fn retire(&self, core: usize) {
        let connections = std::mem::take(&mut *lock(&self.lane(core).connections));
        connections.iter().for_each(|connection| connection.retire());
    }

    /// Drops this core's connections that take no more requests.
    pub fn sweep(&self, core: usize) {
        lock(&self.lane(core).connections).retain(|connection| !connection.is_closing());
    }
}

impl OpeningGuard {
    /// Records that the connection was opened.
    pub fn opened(mut self) {
        self.opened = true;
    }
}

impl Drop for OpeningGuard {
    fn drop(&mut self) {
        let lane = self.multiplex.lane(self.core);
        lane.failing.store(!self.opened, Ordering::SeqCst);
        lane.opening.fetch_sub(1, Ordering::SeqCst);
        self.multiplex.change.happened.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_for_http1_ends() {
        let (multiplex, now) = (Multiplex::new(1), Instant::now());
        assert!(!multiplex.wants_http1(now));
        multiplex.speak_http1(now);
        assert!(multiplex.wants_http1(now) && multiplex.wants_http1(now + HTTP1_FOR / 2));
        assert!(!multiplex.wants_http1(now + HTTP1_FOR + Duration::from_secs(1)));
    }
}
