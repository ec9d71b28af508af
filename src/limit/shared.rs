//! Rate limits that several gateways share, in Redis or Valkey, a single node or a cluster: one round trip of one script per request, timed
//! by the store's own clock.
//!
//! A store that does not respond costs a request at most the timeout, and after three failures nothing: a breaker opens, and a background
//! task checks whether the store is back. Each core has its own connection, over which requests are pipelined. It is opened in the
//! background, and replaced after every failure so that a dead one is not kept.
//!
//! Knows nothing of what happens to a request without a decision; the caller decides.

use std::fmt::Write;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Script};
use tokio::time::Instant;

use super::{Decision, Key, Settings, Window};
use crate::breaker::{self, Breaker, BreakerPermit, Outcome, Rule};
use crate::text::Secret;

/// Opens after three failures in ten requests, for a quarter of a second at first.
const BREAKER: breaker::Settings = breaker::Settings {
    rule: Rule::Share { bad: 3, of: 10 },
    open_for: Duration::from_millis(250),
    open_at_most: Duration::from_secs(5),
    trials: 1,
};
/// Timeout for opening a connection in the background.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("shared.lua")));

/// The settings of a probe: the same script as a request, with a limit that is never reached.
static PROBE: LazyLock<Settings> = LazyLock::new(|| Settings {
    name: "-".into(),
    windows: vec![Window { count: NonZeroU32::MAX, window: Duration::from_secs(86_400), burst: NonZeroU32::MAX }],
    max_keys: 1,
});

/// The address of the store, and the timeout of a request to it.
#[derive(Clone)]
pub struct Address {
    url: Secret<String>,
    client: Client,
    timeout: Duration,
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        let is_cluster = |address: &Self| matches!(address.client, Client::Cluster(_));
        self.url.reveal() == other.url.reveal() && is_cluster(self) == is_cluster(other) && self.timeout == other.timeout
    }
}

impl std::fmt::Debug for Address {
    /// Shows nothing of the address, because it may hold a password.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Address")
    }
}

#[derive(Clone)]
enum Client {
    One(Arc<redis::Client>),
    Cluster(Arc<ClusterClient>),
}

/// An invalid address. The message does not repeat the address, because it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected redis://HOST:PORT/DATABASE or rediss://HOST:PORT/DATABASE, perhaps with USER:PASSWORD@ before the host")]
pub struct BadAddress;

impl Address {
    /// Parses a URL without connecting. With `cluster`, the URL names one node of a cluster, which names the others. `timeout` bounds the
    /// time that a request waits for the store.
    ///
    /// # Errors
    /// Returns [`BadAddress`] if the URL is not a Redis URL.
    pub fn new(url: &str, cluster: bool, timeout: Duration) -> Result<Self, BadAddress> {
        // Fails if another provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = match cluster {
            false => redis::Client::open(url).map(|client| Client::One(Arc::new(client))),
            // One retry follows the redirection of a node that moved a key; more would not fit into the timeout.
            true => ClusterClient::builder([url])
                .retries(1)
                .connection_timeout(CONNECT_TIMEOUT)
                .build()
                .map(|client| Client::Cluster(Arc::new(client))),
        };
        client.map(|client| Self { url: Secret::new(url.to_owned()), client, timeout }).map_err(|_| BadAddress)
    }
}

/// The client of one core.
#[derive(Clone, Debug)]
pub struct StoreClient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: Address,
    link: Mutex<Link>,
    breaker: Breaker,
}

#[derive(Clone)]
enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

enum Link {
    Down,
    Connecting,
    Up(Connection),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Down => "Down",
            Self::Connecting => "Connecting",
            Self::Up(_) => "Up",
        })
    }
}

/// The reason why the store gave no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The store was not asked: the breaker is open, or there is no connection yet.
    Skipped,
    /// The store was asked and failed, or did not respond in time.
    Failed,
}

impl StoreClient {
    /// Creates a client that is not connected; [`Self::connect`] connects it.
    pub fn new(address: Address) -> Self {
        let breaker = Breaker::new(BREAKER, Instant::now());
        Self(Arc::new(Inner { address, link: Mutex::new(Link::Down), breaker }))
    }

    /// Connects in the background if not connected. Must be called within the core's runtime.
    pub fn connect(&self) {
        {
            let mut link = self.0.link();
            if !matches!(*link, Link::Down) {
                return;
            }
            *link = Link::Connecting;
        }
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let connected = inner.open().await;
            if connected.is_none() {
                // From here on the breaker decides when to try again.
                inner.log_change(inner.breaker.trip(Instant::now()));
            }
            *inner.link() = connected.map_or(Link::Down, Link::Up);
        });
    }

    /// Asks the store for a decision.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store gave none, at the latest after the timeout; the caller then decides by other means.
    pub async fn check(&self, settings: &Settings, key: Key<'_>, cost: NonZeroU32) -> Result<Decision, StoreError> {
        let now = Instant::now();
        if !self.0.breaker.is_closed() {
            self.probe(now);
            return Err(StoreError::Skipped);
        }
        let connection = match &*self.0.link() {
            Link::Up(connection) => Some(connection.clone()),
            Link::Down | Link::Connecting => None,
        };
        let Some(connection) = connection else {
            self.connect();
            return Err(StoreError::Skipped);
        };
        let (Some(permit), _) = self.0.breaker.enter(now) else { return Err(StoreError::Skipped) };
        let answered = self.0.run_script(connection, settings, key, cost).await;
        self.0.record(permit, answered.is_some());
        if answered.is_none() {
            // The connection may be dead, or lead to a node that is no longer the primary.
            *self.0.link() = Link::Down;
            if self.0.breaker.is_closed() {
                self.connect();
            }
        }
        answered.ok_or(StoreError::Failed)
    }

    /// Probes the store in the background, in place of a request, if the open breaker admits a trial.
    fn probe(&self, now: Instant) {
        if !self.0.breaker.admits(now) {
            return;
        }
        let (Some(permit), _) = self.0.breaker.enter(now) else { return };
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let answered = match inner.open().await {
                None => false,
                Some(connection) => {
                    let good = inner.run_script(connection.clone(), &PROBE, Key::Global, NonZeroU32::MIN).await.is_some();
                    if good {
                        *inner.link() = Link::Up(connection);
                    }
                    good
                }
            };
            inner.record(permit, answered);
        });
    }
}

impl Inner {
    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a connection.
    async fn open(&self) -> Option<Connection> {
        let opening = async {
            match &self.address.client {
                Client::One(client) => {
                    // No response timeout: `run_script` applies the timeout of a request.
                    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(None);
                    client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::One)
                }
                Client::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
            }
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
            Ok(Ok(connection)) => Some(connection),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the shared store cannot be reached");
                None
            }
            Err(_) => None,
        }
    }

    /// Runs the script. Returns `None` on an error, a timeout or an invalid reply.
    async fn run_script(&self, connection: Connection, settings: &Settings, key: Key<'_>, cost: NonZeroU32) -> Option<Decision> {
        let mut invocation = SCRIPT.prepare_invoke();
        let tag = tag(&settings.name, key);
        invocation.arg(cost.get());
        for window in &settings.windows {
            invocation.key(format!("{tag}:{}", window.window.as_secs()));
            invocation.arg(window.period().as_nanos() as f64 / 1000.0).arg(window.burst.get());
        }
        let asked = async {
            match connection {
                Connection::One(mut connection) => invocation.invoke_async::<(u8, usize, u32, u64)>(&mut connection).await,
                Connection::Cluster(mut connection) => invocation.invoke_async(&mut connection).await,
            }
        };
        let (admitted, window, remaining, wait) = tokio::time::timeout(self.address.timeout, asked).await.ok()?.ok()?;
        let sound = window < settings.windows.len();
        sound.then_some(Decision { admitted: admitted == 1, window, remaining, wait: Duration::from_micros(wait) })
    }

    fn record(&self, permit: BreakerPermit, good: bool) {
        let outcome = if good { Outcome::Good } else { Outcome::Bad };
        self.log_change(self.breaker.record(permit, outcome, Instant::now()));
    }

    /// Logs a change of the breaker's state.
    fn log_change(&self, change: breaker::Change) {
        match change {
            Some(breaker::State::Open) => tracing::warn!("the shared store does not answer: limits are decided by on_failure"),
            Some(breaker::State::Closed) => tracing::info!("the shared store answers"),
            Some(breaker::State::HalfOpen) | None => {}
        }
    }
}

/// Returns the key of one client in the store. Redis Cluster hashes only the part in braces, so all windows of a key are on one node. The
/// client's key is digested, because header values may be secrets.
fn tag(name: &str, key: Key<'_>) -> String {
    // The first byte tells addresses from values: a client chooses its values.
    let (kind, bytes): (u8, &[u8]) = match &key {
        Key::Global => (b'*', b""),
        Key::Address(address) => (b'a', address),
        Key::Value(value) => (b'v', value),
    };
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    digest.update(&[kind]);
    digest.update(bytes);
    let digest = digest.finish();
    let mut tag = format!("lockgate:{{{name}:");
    for byte in &digest.as_ref()[..16] {
        // Writing to a string cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag + "}"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_a_hash_tag_and_show_no_secret() {
        let address = crate::limit::of_address("2a41:4242:4343:4444::1".parse().unwrap());
        let Key::Address(bytes) = address else { unreachable!() };
        assert_ne!(tag("a", address), tag("a", Key::Value(&bytes)), "no value counts as an address");
        let tag = tag("per_key", Key::Value(b"s3cret"));
        assert!(
            tag.starts_with("lockgate:{per_key:") && tag.ends_with('}') && !tag.contains("s3cret") && tag.len() == 18 + 32 + 1,
            "{tag}"
        );
    }

    #[test]
    fn addresses_are_urls_and_show_nothing() {
        let made = |url| Address::new(url, false, Duration::from_millis(30));
        let address = made("redis://:hunter2@127.0.0.1:6379/1").unwrap();
        assert_eq!(format!("{address:?}"), "Address");
        assert!(made("rediss://store.internal").is_ok());
        assert!(made("http://x").is_err());
        assert!(Address::new("redis://127.0.0.1:1", true, Duration::from_millis(30)).is_ok());
    }
}
