//! The connections of one endpoint: a LIFO list of idle ones per core, and one bound over all cores.
//!
//! A connection lives and dies on the core that opened it; only the number of open ones is shared. When the bound is
//! reached a request waits for its core's next returned connection or for a free place, whichever comes first.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use super::backend::Endpoint;
use super::connect::Opened;
use super::upload::Upload;
use super::wire::Reads;

/// Bounds of one endpoint's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Open connections over all cores.
    pub max_connections: usize,
    /// Idle connections over all cores.
    pub max_idle: usize,
    /// How long one may be idle; below the origin's own keep-alive time.
    pub idle_timeout: Duration,
}

/// Requests of one core that may wait for a connection of one endpoint.
const MAX_WAITING: usize = 1024;

/// An open connection that serves one request at a time.
#[derive(Debug)]
pub struct Connection {
    /// The way in.
    pub sender: SendRequest<Upload>,
    /// Counts what arrives on it.
    pub reads: Reads,
    /// Served a request before.
    pub reused: bool,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// A connection that was just opened in a free place.
    pub fn new(opened: Opened, place: OwnedSemaphorePermit) -> Self {
        Self { sender: opened.sender, reads: opened.reads, reused: false, _place: place }
    }
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// What one core holds of one endpoint.
#[derive(Debug, Default)]
struct Lane {
    idle: Vec<Idle>,
    waiting: VecDeque<oneshot::Sender<Connection>>,
}

/// The connections of one endpoint.
#[derive(Debug)]
pub struct Pool {
    settings: PoolSettings,
    places: Arc<Semaphore>,
    /// Requests waiting on any core.
    waiting: AtomicUsize,
    idle: AtomicUsize,
    lanes: Vec<Mutex<Lane>>,
}

/// What a request gets from the pool at once.
#[derive(Debug)]
pub enum Checkout {
    /// An idle connection.
    Ready(Connection),
    /// A place for a new one.
    Open(OwnedSemaphorePermit),
    /// Neither: wait.
    Full,
}

impl Pool {
    /// An empty pool with one lane per core.
    pub fn new(settings: PoolSettings, cores: usize) -> Self {
        let lanes = (0..cores.max(1)).map(|_| Mutex::default()).collect();
        Self {
            settings,
            places: Arc::new(Semaphore::new(settings.max_connections)),
            waiting: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            lanes,
        }
    }

    fn lane(&self, core: usize) -> MutexGuard<'_, Lane> {
        self.lanes[core % self.lanes.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was returned last, or a place for a new one.
    pub fn checkout(&self, core: usize, now: Instant) -> Checkout {
        let mut lane = self.lane(core);
        while let Some(idle) = lane.idle.pop() {
            self.idle.fetch_sub(1, Ordering::Relaxed);
            let fresh = now.saturating_duration_since(idle.since) < self.settings.idle_timeout;
            if fresh && idle.connection.sender.is_ready() {
                return Checkout::Ready(idle.connection);
            }
        }
        drop(lane);
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Checkout::Open(place),
            Err(_) => Checkout::Full,
        }
    }

    /// A place for a new connection, past the idle ones.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Waits for a connection of this core or a free place. `None` when too many wait already.
    pub async fn wait(&self, core: usize) -> Option<Checkout> {
        let returned = {
            let mut lane = self.lane(core);
            lane.waiting.retain(|waiting| !waiting.is_closed());
            if lane.waiting.len() >= MAX_WAITING {
                return None;
            }
            let (hand_over, returned) = oneshot::channel();
            lane.waiting.push_back(hand_over);
            returned
        };
        let _waiting = Waiting::enter(&self.waiting);
        tokio::select! {
            biased;
            Ok(connection) = returned => Some(Checkout::Ready(connection)),
            place = Arc::clone(&self.places).acquire_owned() => place.ok().map(Checkout::Open),
        }
    }

    /// Takes a connection back that has served its request.
    pub fn give_back(endpoint: &Arc<Endpoint>, core: usize, mut connection: Connection) {
        connection.reused = true;
        if connection.sender.is_closed() {
            return;
        }
        if connection.sender.is_ready() {
            endpoint.pool.store(core, connection);
            return;
        }
        // The connection's task has not come round yet: wait for it, not for longer than an idle one may wait.
        let endpoint = Arc::clone(endpoint);
        tokio::spawn(async move {
            let ready = tokio::time::timeout(endpoint.pool.settings.idle_timeout, connection.sender.ready()).await;
            if matches!(ready, Ok(Ok(()))) {
                endpoint.pool.store(core, connection);
            }
        });
    }

    fn store(&self, core: usize, connection: Connection) {
        let mut lane = self.lane(core);
        let mut connection = connection;
        while let Some(waiting) = lane.waiting.pop_front() {
            match waiting.send(connection) {
                Ok(()) => return,
                Err(back) => connection = back,
            }
        }
        // Somebody waits on another core: the place moves there.
        let wanted_elsewhere = self.waiting.load(Ordering::Relaxed) > 0;
        if wanted_elsewhere || self.idle.load(Ordering::Relaxed) >= self.settings.max_idle {
            return;
        }
        self.idle.fetch_add(1, Ordering::Relaxed);
        lane.idle.push(Idle { connection, since: Instant::now() });
    }

    /// Drops idle connections of this core whose time is over, or all when another core waits for a place.
    pub fn sweep(&self, core: usize, now: Instant) {
        let wanted_elsewhere = self.waiting.load(Ordering::Relaxed) > 0;
        let mut lane = self.lane(core);
        let before = lane.idle.len();
        if before == 0 {
            return;
        }
        lane.idle.retain(|idle| {
            !wanted_elsewhere
                && now.saturating_duration_since(idle.since) < self.settings.idle_timeout
                && !idle.connection.sender.is_closed()
        });
        self.idle.fetch_sub(before - lane.idle.len(), Ordering::Relaxed);
        if lane.idle.is_empty() {
            lane.idle.shrink_to(8);
        }
    }

    /// How long one may be idle.
    pub const fn idle_timeout(&self) -> Duration {
        self.settings.idle_timeout
    }
}

/// Counts a waiting request for as long as it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
