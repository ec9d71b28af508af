//! Upstream connections that belong to one client connection, because NTLM and Negotiate authenticate a connection, not a request.
//!
//! Knows neither requests nor retries.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::upstream::choose::backend::Backend;
use crate::upstream::choose::endpoint::Endpoint;
use crate::upstream::connect::pool::Connection;

/// The upstream connection that belongs to a client connection because it was authenticated for it (NTLM, Negotiate). At most one, kept for
/// at most the pool's idle timeout, since it occupies a permit of the pool. Empty for nearly every client.
#[derive(Debug, Default)]
pub struct Private(OnceLock<Arc<Mutex<Slot>>>);

#[derive(Debug, Default)]
pub(in crate::upstream) struct Slot {
    kept: Option<(Arc<Endpoint>, Box<Connection>)>,
    /// Incremented whenever a connection is kept, so that each timer recognizes its own.
    turn: u64,
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Private {
    /// Takes the kept connection if it leads to an endpoint of `backend` and is open.
    pub(in crate::upstream) fn take(&self, backend: &Backend) -> Option<(Arc<Endpoint>, Box<Connection>)> {
        let mut slot = lock(self.0.get()?);
        let ours = slot.kept.as_ref().is_some_and(|(kept, _)| backend.endpoints().iter().any(|endpoint| Arc::ptr_eq(endpoint, kept)));
        let (endpoint, mut connection) = slot.kept.take_if(|_| ours)?;
        connection.http.is_reusable().then_some((endpoint, connection))
    }

    pub(in crate::upstream) fn is_empty(&self) -> bool {
        self.0.get().is_none_or(|slot| lock(slot).kept.is_none())
    }

    /// Returns the slot, creating it first if there is none.
    pub(in crate::upstream) fn slot(&self) -> Arc<Mutex<Slot>> {
        Arc::clone(self.0.get_or_init(Arc::default))
    }
}

/// Keeps a connection for its client, for at most the pool's idle timeout.
pub(in crate::upstream) fn keep(owner: &Arc<Mutex<Slot>>, endpoint: Arc<Endpoint>, mut connection: Box<Connection>) {
    if !connection.http.is_reusable() {
        return;
    }
    connection.reused = true;
    let idle_timeout = endpoint.pool.idle_timeout();
    let mut slot = lock(owner);
    slot.turn += 1;
    slot.kept = Some((endpoint, connection));
    let (owner, turn) = (Arc::downgrade(owner), slot.turn);
    drop(slot);
    tokio::spawn(async move {
        tokio::time::sleep(idle_timeout).await;
        if let Some(owner) = owner.upgrade() {
            let mut slot = lock(&owner);
            if slot.turn == turn {
                slot.kept = None;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::uri::Authority;
    use tokio::io::{AsyncReadExt, DuplexStream};
    use tokio::time::Instant;

    use super::*;
    use crate::upstream::choose::backend::HostHeader;
    use crate::upstream::choose::balance::Balance;
    use crate::upstream::choose::settings::BackendSettings;
    use crate::upstream::connect::per_client::ClientSlot;
    use crate::upstream::connect::pool::PoolSettings;
    use crate::upstream::connect::stream::Stream;
    use crate::upstream::connect::target::{Protocol, Target};

    const IDLE: Duration = Duration::from_secs(60);
    const HALF: Duration = Duration::from_secs(30);

    fn backend() -> Backend {
        let settings = BackendSettings {
            base_path: String::new(),
            balance: Balance::default(),
            pool: PoolSettings { max_connections: 4, max_idle: 4, idle_timeout: IDLE },
            probe: None,
            breaker: None,
            slow_start: Duration::ZERO,
            panic_below: 0,
            dns_refresh: IDLE,
            cores: 1,
        };
        let target = Target::new("http", &Authority::from_static("192.0.2.7"), (None, Protocol::Auto), 1, false);
        Backend::new("o".into(), vec![Arc::new(target)], HostHeader::Upstream, settings, None)
    }

    /// Keeps a new connection to the only endpoint; gives the upstream's end of it.
    fn keep_new(private: &Private, backend: &Backend) -> DuplexStream {
        let endpoint = backend.endpoints().remove(0);
        let (gateway, upstream) = tokio::io::duplex(1024);
        let permit = endpoint.pool.try_acquire(ClientSlot::of("192.0.2.1".parse().unwrap())).unwrap();
        keep(&private.slot(), endpoint, Connection::new(Stream::Memory(gateway), 0, permit));
        upstream
    }

    /// True when the gateway has closed the connection by now.
    async fn is_closed(upstream: &mut DuplexStream) -> bool {
        tokio::time::timeout(Duration::from_millis(1), upstream.read_u8()).await.is_ok_and(|read| read.is_err())
    }

    #[tokio::test(start_paused = true)]
    async fn a_private_connection_is_closed_when_its_idle_timeout_elapses() {
        let (private, backend) = (Private::default(), backend());
        let mut upstream = keep_new(&private, &backend);
        tokio::time::sleep(HALF).await;
        assert!(!private.is_empty() && !is_closed(&mut upstream).await, "it is kept until then");
        tokio::time::sleep(IDLE).await;
        assert!(private.is_empty() && private.take(&backend).is_none());
        assert!(is_closed(&mut upstream).await);
    }

    #[tokio::test(start_paused = true)]
    async fn each_use_of_a_private_connection_begins_its_idle_timeout_anew() {
        let (private, backend) = (Private::default(), backend());
        let mut upstream = keep_new(&private, &backend);
        let begin = Instant::now();
        for _ in 0..4 {
            tokio::time::sleep(HALF).await;
            let (endpoint, connection) = private.take(&backend).expect("it is kept");
            assert!(connection.reused);
            keep(&private.slot(), endpoint, connection);
        }
        assert!(begin.elapsed() > IDLE && !is_closed(&mut upstream).await, "the first timer is not the last one's");
        tokio::time::sleep(IDLE + HALF).await;
        assert!(private.is_empty() && is_closed(&mut upstream).await);
    }
}
