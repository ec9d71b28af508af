//! The connections of one endpoint: one LIFO list of idle connections per core, and one limit over all cores.
//!
//! A connection belongs to the runtime of the core that opened it, and serves that core's requests first. At the limit, a request takes an idle
//! connection of another core, or waits in a queue for the next connection that is returned or for a permit to open one.
//!
//! A client that holds half of the connections gets another one only while no other client waits and more than an eighth of them is free.
//! Among waiting requests, those of other clients come first. Knows nothing of requests.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use super::http::Http;
use super::http1::Http1Connection;
use super::http2::{self, Http2Stream, Opening};
use super::multiplex::{Multiplex, OpeningGuard};
use super::per_client::{ClientConnection, ClientSlot, PerClient};
use super::stream::Stream;
use super::usage::PoolUsage;
use crate::failure::{Failure, Kind};
use crate::sync::Counted;

/// Limits of one endpoint's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Maximum open connections over all cores.
    pub max_connections: usize,
    /// Maximum idle connections over all cores.
    pub max_idle: usize,
    /// How long a connection may be idle. Must be below the origin's keep-alive timeout.
    pub idle_timeout: Duration,
}

/// How often a waiting request of a client that has its share checks again, even if no connection was returned.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Maximum requests that wait for a connection of one endpoint.
const MAX_WAITING: usize = 4096;

/// An open connection for one request. It is boxed wherever it goes, because it is large and moves often.
#[derive(Debug)]
pub struct Connection {
    /// Sends requests and receives responses.
    pub http: Http,
    /// The connection has served a request before.
    pub reused: bool,
    /// Counts the connection for the client that holds it.
    counted: Option<ClientConnection>,
    /// The core whose runtime watches the connection's socket.
    home: usize,
    /// `None` for a stream, whose connection has the permit.
    _permit: Option<OwnedSemaphorePermit>,
}

/// A permit for a new connection, and its count for the client that holds it.
#[derive(Debug)]
pub struct PoolPermit {
    permit: OwnedSemaphorePermit,
    counted: ClientConnection,
    /// Other requests wait for the connection, because it may serve them as well.
    opening: Option<OpeningGuard>,
}

impl Connection {
    /// Creates a connection that was just opened on the core `home`.
    pub fn new(stream: Stream, home: usize, permit: PoolPermit) -> Box<Self> {
        let http = Http::Http1(Http1Connection::new(stream));
        Box::new(Self { http, reused: false, counted: Some(permit.counted), home, _permit: Some(permit.permit) })
    }

    fn of_stream(stream: Box<Http2Stream>, home: usize) -> Box<Self> {
        let reused = stream.reused;
        Box::new(Self { http: Http::Http2(stream), reused, counted: None, home, _permit: None })
    }
}

/// The stream of a connection that has left HTTP. It counts as a connection until it is dropped.
#[derive(Debug)]
pub struct TunnelStream {
    /// The stream.
    pub stream: Stream,
    _counted: Option<ClientConnection>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Gives up the connection for its stream, and the bytes that were read behind the response. `None` for a stream of HTTP/2, which
    /// carries no other protocol.
    pub fn into_tunnel(self) -> Option<(TunnelStream, BytesMut)> {
        let Http::Http1(connection) = self.http else { return None };
        let (stream, unread) = connection.into_stream();
        Some((TunnelStream { stream, _counted: self.counted, _permit: self._permit }, unread))
    }
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

/// The connections of one endpoint.
#[derive(Debug)]
pub struct Pool {
    settings: PoolSettings,
    permits: Arc<Semaphore>,
    /// Waiting requests of all cores, in order. A returned connection may serve another core, only slower.
    waiting: Mutex<VecDeque<(ClientSlot, oneshot::Sender<Box<Connection>>)>>,
    /// Number of waiting requests; lets a returned connection skip the lock when there are none.
    queued: AtomicUsize,
    /// Number of waiting requests whose client does not have its share yet.
    waiters: AtomicUsize,
    idle: AtomicUsize,
    per_client: PerClient,
    lanes: Vec<Mutex<Vec<Idle>>>,
    /// The connections that serve many requests at a time. `None` for an endpoint that is spoken to in HTTP/1 only.
    multiplex: Option<Arc<Multiplex>>,
}

/// The immediate answer of the pool to a request.
#[derive(Debug)]
pub enum Checkout {
    /// An idle connection.
    Ready(Box<Connection>),
    /// A permit for a new connection.
    Open(PoolPermit),
    /// Neither; the request must wait.
    Full,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Creates an empty pool with one lane per core. `multiplexes` is true if connections may speak HTTP/2.
    pub fn new(settings: PoolSettings, cores: usize, multiplexes: bool) -> Self {
        let lanes = (0..cores.max(1)).map(|_| Mutex::default()).collect();
        let permits = Arc::new(Semaphore::new(settings.max_connections));
        Self {
            settings,
            permits,
            waiting: Mutex::default(),
            queued: AtomicUsize::new(0),
            waiters: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            per_client: PerClient::default(),
            lanes,
            multiplex: multiplexes.then(|| Multiplex::new(cores)),
        }
    }

    /// Returns the HTTP/2 connections, unless the endpoint is known to speak HTTP/1.
    fn shared(&self) -> Option<&Arc<Multiplex>> {
        self.multiplex.as_ref().filter(|multiplex| !multiplex.chose_http1())
    }

    /// Returns true if requests share connections, as far as is known.
    pub fn is_shared(&self) -> bool {
        self.shared().is_some()
    }

    /// Returns the connections that requests share, if there may be some.
    pub const fn multiplex(&self) -> Option<&Arc<Multiplex>> {
        self.multiplex.as_ref()
    }

    /// Returns true if a request would wait for a connection that is being opened.
    pub fn is_opening(&self, core: usize) -> bool {
        self.shared().is_some_and(|multiplex| multiplex.is_opening(core))
    }

    /// Returns a free stream or a permit for a new connection that has some.
    fn share(&self, multiplex: &Arc<Multiplex>, core: usize, slot: ClientSlot) -> Option<Checkout> {
        if let Some(stream) = multiplex.stream(core) {
            return Some(Checkout::Ready(Connection::of_stream(stream, core)));
        }
        match self.try_acquire(slot) {
            Some(permit) => Multiplex::open(multiplex, core).map(|opening| Checkout::Open(PoolPermit { opening: Some(opening), ..permit })),
            None => multiplex.stream_of_any().map(|stream| Checkout::Ready(Connection::of_stream(stream, core))),
        }
    }

    /// Makes a connection of a stream that was just opened, in the version of HTTP that it speaks.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn connected(&self, stream: Stream, http2: bool, core: usize, permit: PoolPermit) -> Result<Box<Connection>, Failure> {
        let Some(multiplex) = &self.multiplex else { return Ok(Connection::new(stream, core, permit)) };
        multiplex.choose(http2);
        let PoolPermit { permit, counted, opening } = permit;
        if !http2 {
            opening.into_iter().for_each(OpeningGuard::opened);
            return Ok(Connection::new(stream, core, PoolPermit { permit, counted, opening: None }));
        }
        let idle_timeout = self.settings.idle_timeout;
        let opened = http2::open(stream, Opening { idle_timeout, on_change: multiplex.on_change(), permit: Box::new(permit) }).await?;
        let taken = multiplex.add(core, opened);
        opening.into_iter().for_each(OpeningGuard::opened);
        let lost = || Failure::because(Kind::ConnectionLost, "the connection ended when it was opened");
        taken.map(|stream| Connection::of_stream(stream, core)).ok_or_else(lost)
    }

    /// Returns this core's most recently used idle connection, a permit for a new one, or another core's idle connection.
    pub fn checkout(&self, core: usize, slot: ClientSlot, now: Instant) -> Checkout {
        if let Some(multiplex) = self.shared() {
            return self.share(multiplex, core, slot).unwrap_or(Checkout::Full);
        }
        self.checkout_alone(core, slot, now)
    }

    /// Does the same for a request that shares its connection with no other: it gets no stream of HTTP/2.
    pub fn checkout_alone(&self, core: usize, slot: ClientSlot, now: Instant) -> Checkout {
        // A client that has its share does not overtake waiting requests, its own included.
        let waits = self.has_share(slot) && self.queued.load(Ordering::Relaxed) > 0;
        if waits || self.must_wait(slot, 0) { Checkout::Full } else { self.get(core, slot, now) }
    }

    fn get(&self, core: usize, slot: ClientSlot, now: Instant) -> Checkout {
        let core = core % self.lanes.len();
        if let Some(connection) = self.pop(core, now) {
            return Checkout::Ready(self.taken(connection, slot));
        }
        match self.try_acquire(slot) {
            Some(permit) => Checkout::Open(permit),
            None => self.steal(core, now).map_or(Checkout::Full, |connection| Checkout::Ready(self.taken(connection, slot))),
        }
    }

    /// Counts a connection for the client that holds it from now on.
    fn taken(&self, mut connection: Box<Connection>, slot: ClientSlot) -> Box<Connection> {
        connection.counted = Some(self.per_client.acquire(slot));
        connection
    }

    /// Returns true if a client holds half of the connections.
    fn has_share(&self, slot: ClientSlot) -> bool {
        self.per_client.held(slot) >= self.settings.max_connections.div_ceil(2)
    }

    /// Returns true if a client has its share and either another client waits for its own, or at most an eighth of the connections would be
    /// free, counting the `in_hand` ones.
    fn must_wait(&self, slot: ClientSlot, in_hand: usize) -> bool {
        let free = || self.permits.available_permits() + self.idle.load(Ordering::Relaxed) + in_hand;
        self.has_share(slot) && (self.waiters.load(Ordering::Relaxed) > 0 || free() <= self.settings.max_connections / 8)
    }

    /// Takes the most recently used connection of a lane, and drops the expired ones above it.
    fn pop(&self, lane: usize, now: Instant) -> Option<Box<Connection>> {
        let mut lane = lock(&self.lanes[lane]);
        while let Some(mut idle) = lane.pop() {
            self.idle.fetch_sub(1, Ordering::Relaxed);
            let fresh = now.saturating_duration_since(idle.since) < self.settings.idle_timeout;
            if fresh && idle.connection.http.is_reusable() {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Takes an idle connection of another core.
    fn steal(&self, core: usize, now: Instant) -> Option<Box<Connection>> {
        (1..self.lanes.len()).find_map(|step| self.pop((core + step) % self.lanes.len(), now))
    }

    /// Returns a permit for a new connection, even if there are idle ones.
    pub fn try_acquire(&self, slot: ClientSlot) -> Option<PoolPermit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(PoolPermit { permit, counted: self.per_client.acquire(slot), opening: None })
    }

    /// Waits for a returned connection or a permit, and unless the request must be `alone` also for a stream. Returns `None` if too many
    /// requests wait already.
    pub async fn wait(&self, core: usize, slot: ClientSlot, alone: bool) -> Option<Checkout> {
        if let Some(multiplex) = self.shared().filter(|_| !alone) {
            if multiplex.waiting() >= MAX_WAITING {
                return None;
            }
            // The endpoint may turn out to speak HTTP/1.
            let look = || multiplex.chose_http1().then_some(None).or_else(|| self.share(multiplex, core, slot).map(Some));
            if let Some(found) = multiplex.wait(look).await {
                return Some(found);
            }
        }
        let mut returned = {
            let mut waiting = lock(&self.waiting);
            waiting.retain(|(_, waiter)| !waiter.is_closed());
            if waiting.len() >= MAX_WAITING {
                return None;
            }
            let (hand_over, returned) = oneshot::channel();
            waiting.push_back((slot, hand_over));
            returned
        };
        let _queued = Counted::enter(&self.queued);
        while self.must_wait(slot, 0) {
            tokio::select! {
                biased;
                connection = &mut returned => return connection.ok().map(Checkout::Ready),
                () = self.per_client.released() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
        // A client that has its share must not make others wait.
        let _waiter = (!self.has_share(slot)).then(|| Counted::enter(&self.waiters));
        // A connection may have been returned between the first look and the queueing.
        if let ready @ (Checkout::Ready(_) | Checkout::Open(_)) = self.get(core, slot, Instant::now()) {
            return Some(ready);
        }
        tokio::select! {
            biased;
            Ok(connection) = &mut returned => Some(Checkout::Ready(connection)),
            permit = Arc::clone(&self.permits).acquire_owned() => {
                permit.ok().map(|permit| Checkout::Open(PoolPermit { permit, counted: self.per_client.acquire(slot), opening: None }))
            }
        }
    }

    /// Returns a connection to the pool after it has served a request.
    pub fn give_back(pool: &Arc<Self>, mut connection: Box<Connection>, now: Instant) {
        connection.reused = true;
        connection.counted = None;
        if connection.http.is_reusable() {
            pool.store(connection, now);
        }
    }

    fn store(&self, connection: Box<Connection>, now: Instant) {
        let Some(connection) = self.offered(connection) else { return };
        if self.idle.load(Ordering::Relaxed) >= self.settings.max_idle {
            return;
        }
        let home = self.keep(connection, now);
        // A request that started to wait meanwhile looks into the lane either before this load or after the push, so one of the two sees
        // the other.
        if self.queued.load(Ordering::SeqCst) > 0
            && let Some(connection) = self.pop(home, now)
            && let Some(connection) = self.offered(connection)
        {
            self.keep(connection, now);
        }
    }

    /// Adds a connection to its core's lane and returns the lane's index.
    fn keep(&self, connection: Box<Connection>, now: Instant) -> usize {
        self.idle.fetch_add(1, Ordering::Relaxed);
        let home = connection.home % self.lanes.len();
        lock(&self.lanes[home]).push(Idle { connection, since: now });
        home
    }

    /// Hands a connection to the first waiting request whose client does not have its share, else to the first in the queue if it need not
    /// wait any longer. Returns the connection if there is neither.
    fn offered(&self, mut connection: Box<Connection>) -> Option<Box<Connection>> {
        if self.queued.load(Ordering::Acquire) == 0 {
            return Some(connection);
        }
        let mut waiting = lock(&self.waiting);
        while let Some(at) = waiting
            .iter()
            .position(|(slot, _)| !self.has_share(*slot))
            .or_else(|| waiting.front().filter(|(slot, _)| !self.must_wait(*slot, 1)).map(|_| 0))
        {
            let Some((slot, waiter)) = waiting.remove(at) else { break };
            match waiter.send(self.taken(connection, slot)) {
                Ok(()) => return None,
                Err(mut back) => {
                    back.counted = None;
                    connection = back;
                }
            }
        }
        Some(connection)
    }

    /// Drops this core's idle connections that have expired.
    pub fn sweep(&self, core: usize, now: Instant) {
        if let Some(multiplex) = &self.multiplex {
            multiplex.sweep(core);
        }
        let mut lane = lock(&self.lanes[core % self.lanes.len()]);
        let before = lane.len();
        if before == 0 {
            return;
        }
        lane.retain_mut(|idle| {
            now.saturating_duration_since(idle.since) < self.settings.idle_timeout && idle.connection.http.is_reusable()
        });
        self.idle.fetch_sub(before - lane.len(), Ordering::Relaxed);
        if lane.is_empty() {
            lane.shrink_to(8);
        }
    }

    /// Returns true if a pool created with these arguments would have the same limits.
    pub fn is_like(&self, settings: PoolSettings, cores: usize) -> bool {
        self.settings == settings && self.lanes.len() == cores.max(1)
    }

    /// Returns how the connections are used.
    pub fn usage(&self) -> PoolUsage {
        let waiting = self.queued.load(Ordering::Relaxed) + self.multiplex.as_ref().map_or(0, |multiplex| multiplex.waiting());
        PoolUsage::of(self.settings.max_connections, self.permits.available_permits(), self.idle.load(Ordering::Relaxed), waiting)
    }

    /// Returns true if at least half of the connections are free.
    pub fn has_spare(&self) -> bool {
        self.permits.available_permits() * 2 >= self.settings.max_connections
    }

    /// Returns how long a connection may be idle.
    pub const fn idle_timeout(&self) -> Duration {
        self.settings.idle_timeout
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);
    /// Just within the time that a connection may be idle.
    const ALMOST: Duration = Duration::from_millis(59_999);
    const CAPACITY: usize = 1024;

    fn pool(max_connections: usize) -> Arc<Pool> {
        Arc::new(Pool::new(PoolSettings { max_connections, max_idle: max_connections, idle_timeout: IDLE }, 1, false))
    }

    fn client() -> ClientSlot {
        ClientSlot::of("192.0.2.1".parse().unwrap())
    }

    /// An open connection, and the upstream's end of it.
    fn connection(pool: &Pool) -> (Box<Connection>, DuplexStream) {
        let (gateway, upstream) = tokio::io::duplex(CAPACITY);
        (Connection::new(Stream::Other(Box::new(gateway)), 0, pool.try_acquire(client()).unwrap()), upstream)
    }

    /// True when the gateway has closed the connection. Where it stays open, the paused clock runs to the end of the wait at once.
    async fn is_closed(upstream: &mut DuplexStream) -> bool {
        tokio::time::timeout(Duration::from_secs(1), upstream.read_u8()).await.is_ok_and(|read| read.is_err())
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_reused_until_its_idle_timeout_and_closed_after_it() {
        let (pool, now) = (pool(2), Instant::now());
        let (idle, mut upstream) = connection(&pool);
        Pool::give_back(&pool, idle, now);
        let Checkout::Ready(reused) = pool.checkout(0, client(), now + ALMOST) else { panic!("it is not reused") };
        assert!(reused.reused);
        Pool::give_back(&pool, reused, now + ALMOST);
        assert!(matches!(pool.checkout(0, client(), now + ALMOST + IDLE), Checkout::Open(_)), "it is reused after its time");
        assert!(is_closed(&mut upstream).await);
        assert_eq!((pool.idle.load(Ordering::Relaxed), pool.permits.available_permits()), (0, 2), "its permit is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_closes_the_connections_whose_time_is_over_and_no_other() {
        let (pool, now) = (pool(4), Instant::now());
        let ((old, mut old_upstream), (young, mut young_upstream)) = (connection(&pool), connection(&pool));
        Pool::give_back(&pool, old, now);
        Pool::give_back(&pool, young, now + ALMOST);
        pool.sweep(0, now + ALMOST);
        assert_eq!(pool.idle.load(Ordering::Relaxed), 2, "the time of none is over");
        pool.sweep(0, now + IDLE);
        assert!(is_closed(&mut old_upstream).await && !is_closed(&mut young_upstream).await);
        assert_eq!((pool.idle.load(Ordering::Relaxed), pool.permits.available_permits()), (1, 3));
        assert!(matches!(pool.checkout(0, client(), now + IDLE), Checkout::Ready(_)), "the young one serves");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_bytes_behind_the_response_is_not_reused() {
        let (pool, now) = (pool(2), Instant::now());
        let (idle, mut upstream) = connection(&pool);
        Pool::give_back(&pool, idle, now);
        upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        assert!(matches!(pool.checkout(0, client(), now), Checkout::Open(_)), "what it sent would answer the next request");
        assert!(is_closed(&mut upstream).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_the_upstream_closed_is_not_reused() {
        let (pool, now) = (pool(2), Instant::now());
        let (idle, upstream) = connection(&pool);
        Pool::give_back(&pool, idle, now);
        drop(upstream);
        assert!(matches!(pool.checkout(0, client(), now), Checkout::Open(_)));
    }

    #[test]
    fn connections_that_are_not_shared_respect_the_share_of_a_client() {
        let pool = Pool::new(PoolSettings { max_connections: 8, max_idle: 8, idle_timeout: IDLE }, 1, true);
        let now = Instant::now();
        let other = ClientSlot::of("192.0.2.2".parse().unwrap());
        let taken: Vec<Checkout> = (0..7).map(|_| pool.checkout_alone(0, client(), now)).collect();
        assert!(taken.iter().all(|one| matches!(one, Checkout::Open(_))));
        assert!(matches!(pool.checkout_alone(0, client(), now), Checkout::Full), "the last eighth is for others");
        assert!(matches!(pool.checkout_alone(0, other, now), Checkout::Open(_)));
    }
}
