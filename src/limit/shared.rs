//! Rate limits that several gateways share, on Redis or Valkey: one round trip of one script per request, by the store's own clock.
//!
//! A store that does not answer costs a request at most the deadline, and after three of those nothing: a breaker answers for it,
//! and a task in the background looks whether the store is back. Each core has one connection of its own, over which requests
//! are pipelined.

use std::fmt::Write;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Script;
use redis::aio::MultiplexedConnection;
use tokio::time::Instant;

use super::{Decision, Key, Settings};
use crate::breaker::{self, Breaker, Outcome, Rule, Ticket};

/// Three questions in a row without a good answer: the store counts as gone, for a quarter of a second at first.
const BREAKER: breaker::Settings =
    breaker::Settings { rule: Rule::Row(3), open_for: Duration::from_millis(250), open_at_most: Duration::from_secs(5), trials: 1 };
/// How long a connection may take to be made, in the background.
const CONNECT_FOR: Duration = Duration::from_secs(2);

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("shared.lua")));

/// Where the store is, and how patient a request is with it.
#[derive(Clone, Debug)]
pub struct Address {
    client: redis::Client,
    timeout: Duration,
}

/// Why an address is none. Says nothing of the address: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected redis://HOST:PORT/DATABASE or rediss://HOST:PORT/DATABASE, perhaps with USER:PASSWORD@ before the host")]
pub struct BadAddress;

impl Address {
    /// Reads a URL; nothing is connected yet. `timeout` is what a request waits at most.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, BadAddress> {
        // A provider that somebody set already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        redis::Client::open(url).map(|client| Self { client, timeout }).map_err(|_| BadAddress)
    }
}

/// One core's way to the store.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: Address,
    link: Mutex<Link>,
    breaker: Breaker,
}

enum Link {
    Down,
    Connecting,
    Up(MultiplexedConnection),
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
pub enum Unanswered {
    /// It was not asked: it did not answer of late, or there is no connection yet.
    Skipped,
    /// It was asked and failed.
    Failed,
}

impl Shared {
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
            *inner.link() = connected.map_or(Link::Down, Link::Up);
        });
    }

    /// Asks the store.
    ///
    /// # Errors
    /// [`Unanswered`]: whoever asks decides by other means. No error takes longer than the deadline.
    pub async fn check(&self, settings: &Settings, key: Key<'_>, cost: NonZeroU32) -> Result<Decision, Unanswered> {
        let now = Instant::now();
        if !self.0.breaker.is_closed() {
            self.look_again(now);
            return Err(Unanswered::Skipped);
        }
        let connection = match &*self.0.link() {
            Link::Up(connection) => Some(connection.clone()),
            Link::Down | Link::Connecting => None,
        };
        let Some(mut connection) = connection else {
            self.connect();
            return Err(Unanswered::Skipped);
        };
        let (Some(ticket), _) = self.0.breaker.enter(now) else { return Err(Unanswered::Skipped) };
        let answered = self.0.ask(&mut connection, settings, key, cost).await;
        self.0.heard(ticket, answered.is_some());
        answered.ok_or(Unanswered::Failed)
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
                Some(mut connection) => {
                    let good = inner.write_test(&mut connection).await;
                    if good {
                        *inner.link() = Link::Up(connection);
                    }
                    good
                }
            };
            inner.heard(ticket, answered);
        });
    }
}

impl Inner {
    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self) -> Option<MultiplexedConnection> {
        let config = redis::AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_FOR)).set_response_timeout(Some(CONNECT_FOR));
        let opening = self.address.client.get_multiplexed_async_connection_with_config(&config);
        match tokio::time::timeout(CONNECT_FOR, opening).await {
            Ok(Ok(connection)) => Some(connection),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the shared store cannot be reached");
                None
            }
            Err(_) => None,
        }
    }

    async fn ask(&self, connection: &mut MultiplexedConnection, settings: &Settings, key: Key<'_>, cost: NonZeroU32) -> Option<Decision> {
        let mut invocation = SCRIPT.prepare_invoke();
        let tag = tag(&settings.name, key);
        invocation.arg(cost.get());
        for window in &settings.windows {
            invocation.key(format!("{tag}:{}", window.window.as_secs()));
            invocation.arg(window.period().as_nanos() as f64 / 1000.0).arg(window.burst.get());
        }
        let asked = tokio::time::timeout(self.address.timeout, invocation.invoke_async::<(u8, usize, u32, u64)>(connection)).await;
        let (admitted, window, remaining, wait) = asked.ok()?.ok()?;
        let sound = window < settings.windows.len();
        sound.then_some(Decision { admitted: admitted == 1, window, remaining, wait: Duration::from_micros(wait) })
    }

    /// Can it be written to? A replica answers questions and takes nothing.
    async fn write_test(&self, connection: &mut MultiplexedConnection) -> bool {
        let mut command = redis::cmd("SET");
        command.arg("lockgate:{probe}").arg(1).arg("PX").arg(1000);
        matches!(tokio::time::timeout(self.address.timeout, command.query_async::<()>(connection)).await, Ok(Ok(())))
    }

    fn heard(&self, ticket: Ticket, good: bool) {
        let outcome = if good { Outcome::Good } else { Outcome::Bad };
        match self.breaker.record(ticket, outcome, Instant::now()) {
            Some(breaker::State::Open) => {
                // What waits in its pipeline is lost; a new connection begins with nothing.
                *self.link() = Link::Down;
                tracing::warn!("the shared store does not answer: limits are decided by on_failure");
            }
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
    fn addresses_are_urls() {
        assert!(Address::new("redis://:pw@127.0.0.1:6379/1", Duration::from_millis(30)).is_ok());
        assert!(Address::new("rediss://store.internal", Duration::from_millis(30)).is_ok());
        assert!(Address::new("http://x", Duration::from_millis(30)).is_err());
    }
}
