//! Rate limits that several gateways share, on Redis or Valkey, one or a cluster: one round trip of one script per request, by the store's
//! own clock.
//!
//! A store that does not answer costs a request at most the deadline, and after three of those nothing: a breaker answers for it,
//! and a task in the background looks whether the store is back. Each core has one connection of its own, over which requests
//! are pipelined; it is made in the background, and made anew after every failure, so that none that is dead stays in use.

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

/// Three of ten questions without a good answer: the store counts as gone, for a quarter of a second at first.
const BREAKER: breaker::Settings = breaker::Settings {
    rule: Rule::Share { bad: 3, of: 10 },
    open_for: Duration::from_millis(250),
    open_at_most: Duration::from_secs(5),
    trials: 1,
};
/// How long a connection may take to be made, in the background.
const CONNECT_FOR: Duration = Duration::from_secs(2);

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("shared.lua")));

/// Asks what requests ask, for nobody.
static PROBE: LazyLock<Settings> = LazyLock::new(|| Settings {
    name: "-".into(),
    windows: vec![Window { count: NonZeroU32::MAX, window: Duration::from_secs(86_400), burst: NonZeroU32::MAX }],
    max_keys: 1,
});

/// Where the store is, and how patient a request is with it.
#[derive(Clone)]
pub struct Address {
    client: Client,
    timeout: Duration,
}

impl std::fmt::Debug for Address {
    /// Nothing of it: it may hold a password.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Address")
    }
}

#[derive(Clone)]
enum Client {
    One(Arc<redis::Client>),
    Cluster(Arc<ClusterClient>),
}

/// Why an address is none. Says nothing of the address: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected redis://HOST:PORT/DATABASE or rediss://HOST:PORT/DATABASE, perhaps with USER:PASSWORD@ before the host")]
pub struct BadAddress;

impl Address {
    /// Reads a URL; nothing is connected yet. `cluster`: it names one node of a cluster, which names the others. `timeout` is what a
    /// request waits at most.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn new(url: &str, cluster: bool, timeout: Duration) -> Result<Self, BadAddress> {
        // A provider that somebody set already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = match cluster {
            false => redis::Client::open(url).map(|client| Client::One(Arc::new(client))),
            // A node that moved a key says where to; more would not fit into the deadline.
            true => ClusterClient::builder([url])
                .retries(1)
                .connection_timeout(CONNECT_FOR)
                .build()
                .map(|client| Client::Cluster(Arc::new(client))),
        };
        client.map(|client| Self { client, timeout }).map_err(|_| BadAddress)
    }
}

/// One core's way to the store.
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

/// Why the store gave no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// It was not asked: it did not answer of late, or there is no connection yet.
    Skipped,
    /// It was asked and failed.
    Failed,
}

impl StoreClient {
    /// A way that is not connected yet; [`Self::connect`] begins to.
    pub fn new(address: Address) -> Self {
        let breaker = Breaker::new(BREAKER, Instant::now());
        Self(Arc::new(Inner { address, link: Mutex::new(Link::Down), breaker }))
    }

    /// Connects in the background, if it is not connected. Must be called within the core's runtime.
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
                // From here on the breaker says when to try again.
                inner.log_change(inner.breaker.trip(Instant::now()));
            }
            *inner.link() = connected.map_or(Link::Down, Link::Up);
        });
    }

    /// Asks the store.
    ///
    /// # Errors
    /// [`StoreError`]: the caller decides by other means. No error takes longer than the deadline.
    pub async fn check(&self, settings: &Settings, key: Key<'_>, cost: NonZeroU32) -> Result<Decision, StoreError> {
        let now = Instant::now();
        if !self.0.breaker.is_closed() {
            self.look_again(now);
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
        let (Some(ticket), _) = self.0.breaker.enter(now) else { return Err(StoreError::Skipped) };
        let answered = self.0.ask(connection, settings, key, cost).await;
        self.0.record(ticket, answered.is_some());
        if answered.is_none() {
            // Perhaps only this connection is dead, or leads to a store that is no leader any more.
            *self.0.link() = Link::Down;
            if self.0.breaker.is_closed() {
                self.connect();
            }
        }
        answered.ok_or(StoreError::Failed)
    }

    /// Behind an open breaker: when its time has come, a task asks in a request's place.
    fn look_again(&self, now: Instant) {
        if !self.0.breaker.admits(now) {
            return;
        }
        let (Some(ticket), _) = self.0.breaker.enter(now) else { return };
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let answered = match inner.open().await {
                None => false,
                Some(connection) => {
                    let good = inner.ask(connection.clone(), &PROBE, Key::Global, NonZeroU32::MIN).await.is_some();
                    if good {
                        *inner.link() = Link::Up(connection);
                    }
                    good
                }
            };
            inner.record(ticket, answered);
        });
    }
}

impl Inner {
    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self) -> Option<Connection> {
        let opening = async {
            match &self.address.client {
                Client::One(client) => {
                    // The deadline of a request is its own timer.
                    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_FOR)).set_response_timeout(None);
                    client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::One)
                }
                Client::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
            }
        };
        match tokio::time::timeout(CONNECT_FOR, opening).await {
            Ok(Ok(connection)) => Some(connection),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the shared store cannot be reached");
                None
            }
            Err(_) => None,
        }
    }

    async fn ask(&self, connection: Connection, settings: &Settings, key: Key<'_>, cost: NonZeroU32) -> Option<Decision> {
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

    fn record(&self, ticket: BreakerPermit, good: bool) {
        let outcome = if good { Outcome::Good } else { Outcome::Bad };
        self.log_change(self.breaker.record(ticket, outcome, Instant::now()));
    }

    /// Changes of state are events for operators.
    fn log_change(&self, change: breaker::Change) {
        match change {
            Some(breaker::State::Open) => tracing::warn!("the shared store does not answer: limits are decided by on_failure"),
            Some(breaker::State::Closed) => tracing::info!("the shared store answers"),
            Some(breaker::State::HalfOpen) | None => {}
        }
    }
}

/// The key of one client in the store, with the part in braces by which Redis Cluster finds its place: all windows of one key are
/// in one. A digest: header values may be secrets.
fn tag(name: &str, key: Key<'_>) -> String {
    let bytes: &[u8] = match &key {
        Key::Global => b"*",
        Key::Address(address) => address,
        Key::Value(value) => value,
    };
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
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
    fn keys_have_a_tag_and_show_no_secret() {
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
