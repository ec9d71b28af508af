//! Upstream connections that belong to one client connection: NTLM and Negotiate authenticate a connection, not a request, and a PROXY
//! header names the client of a connection.
//!
//! Knows neither requests nor retries.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::time::Instant;

use crate::upstream::choose::backend::Backend;
use crate::upstream::choose::endpoint::Endpoint;
use crate::upstream::connect::pool::Connection;
use crate::upstream::connect::proxy_header::Addresses;

/// The upstream connection that belongs to a client connection. At most one, kept for at most the pool's idle timeout, since it occupies a
/// permit of the pool. Empty for nearly every client.
#[derive(Debug, Default)]
pub struct Private(OnceLock<Arc<Mutex<Slot>>>);

#[derive(Debug, Default)]
pub(in crate::upstream) struct Slot {
    kept: Option<Kept>,
    /// A task waits until the kept connection has been idle for too long. One at most, however many requests there are.
    is_watched: bool,
}

#[derive(Debug)]
struct Kept {
    endpoint: Arc<Endpoint>,
    connection: Box<Connection>,
    bond: Bond,
    /// When it has been idle for too long.
    until: Instant,
}

/// Why a connection belongs to one client connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::upstream) struct Bond {
    /// It was authenticated for it (NTLM, Negotiate), so its requests must use it.
    pub(in crate::upstream) authenticated: bool,
    /// It began with a PROXY header that names these addresses.
    pub(in crate::upstream) named: Option<Addresses>,
}

/// The slot that a connection returns to, and why.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct Owner {
    pub(in crate::upstream) slot: Arc<Mutex<Slot>>,
    pub(in crate::upstream) bond: Bond,
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Private {
    /// Takes the connection that was authenticated, if it leads to an endpoint of `backend` and is open. One that names a client must name
    /// `client`.
    pub(in crate::upstream) fn take(&self, backend: &Backend, client: Option<&Addresses>) -> Option<(Arc<Endpoint>, Box<Connection>)> {
        let mut slot = lock(self.0.get()?);
        let is_ours = |kept: &Kept| backend.endpoints().iter().any(|endpoint| Arc::ptr_eq(endpoint, &kept.endpoint));
        let names = |kept: &Kept| kept.bond.named.is_none() || kept.bond.named.as_ref() == client;
        let Kept { endpoint, mut connection, .. } = slot.kept.take_if(|kept| kept.bond.authenticated && is_ours(kept) && names(kept))?;
        connection.http.is_reusable().then_some((endpoint, connection))
    }

    /// Takes the connection that names this client, if it leads to this endpoint, is open and was not authenticated.
    pub(in crate::upstream) fn take_named(&self, endpoint: &Arc<Endpoint>, client: Option<&Addresses>) -> Option<Box<Connection>> {
        let bond = Bond { authenticated: false, named: client.copied() };
        let mut slot = lock(self.0.get()?);
        let mut kept = slot.kept.take_if(|kept| Arc::ptr_eq(&kept.endpoint, endpoint) && kept.bond == bond)?;
        kept.connection.http.is_reusable().then_some(kept.connection)
    }

    /// Returns true if a connection is kept that was authenticated.
    pub(in crate::upstream) fn is_authenticated(&self) -> bool {
        self.0.get().is_some_and(|slot| lock(slot).kept.as_ref().is_some_and(|kept| kept.bond.authenticated))
    }

    /// Returns the slot, creating it first if there is none.
    pub(in crate::upstream) fn slot(&self) -> Arc<Mutex<Slot>> {
        Arc::clone(self.0.get_or_init(Arc::default))
    }
}

/// Keeps a connection for its client, for at most the pool's idle timeout. One that only names the client is not worth more than others:
/// it is closed if it would take the place of one that was authenticated, or if fewer than half of the endpoint's connections are free.
pub(in crate::upstream) fn keep(owner: &Owner, endpoint: Arc<Endpoint>, mut connection: Box<Connection>) {
    let Owner { slot: owner, bond } = owner;
    if !connection.http.is_reusable() || (!bond.authenticated && !endpoint.pool.has_spare()) {
        return;
    }
    connection.reused = true;
    let idle_timeout = endpoint.pool.idle_timeout();
    let mut slot = lock(owner);
    if !bond.authenticated && slot.kept.as_ref().is_some_and(|kept| kept.bond.authenticated) {
        return;
    }
    let until = Instant::now() + idle_timeout;
    slot.kept = Some(Kept { endpoint, connection, bond: *bond, until });
    if !std::mem::replace(&mut slot.is_watched, true) {
        tokio::spawn(close_when_idle(Arc::downgrade(owner), until));
    }
}

/// Closes the kept connection when it has been idle for too long. Ends when there is none.
async fn close_when_idle(owner: Weak<Mutex<Slot>>, mut until: Instant) {
    loop {
        tokio::time::sleep_until(until).await;
        let Some(owner) = owner.upgrade() else { return };
        let mut slot = lock(&owner);
        match &slot.kept {
            // Another one was kept, or the same one again.
            Some(kept) if kept.until > Instant::now() => until = kept.until,
            Some(_) | None => {
                slot.kept = None;
                slot.is_watched = false;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::uri::Authority;
    use tokio::io::{AsyncReadExt, DuplexStream};

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
        keep(&owner(private), endpoint, Connection::new(Stream::Other(Box::new(gateway)), 0, permit));
        upstream
    }

    fn owner(private: &Private) -> Owner {
        Owner { slot: private.slot(), bond: Bond { authenticated: true, named: None } }
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
        assert!(private.is_authenticated() && !is_closed(&mut upstream).await, "it is kept until then");
        tokio::time::sleep(IDLE).await;
        assert!(!private.is_authenticated() && private.take(&backend, None).is_none());
        assert!(is_closed(&mut upstream).await);
    }

    #[tokio::test(start_paused = true)]
    async fn each_use_of_a_private_connection_begins_its_idle_timeout_anew() {
        let (private, backend) = (Private::default(), backend());
        let mut upstream = keep_new(&private, &backend);
        let begin = Instant::now();
        for _ in 0..4 {
            tokio::time::sleep(HALF).await;
            let (endpoint, connection) = private.take(&backend, None).expect("it is kept");
            assert!(connection.reused);
            keep(&owner(&private), endpoint, connection);
        }
        assert!(begin.elapsed() > IDLE && !is_closed(&mut upstream).await, "the first timer is not the last one's");
        tokio::time::sleep(IDLE + HALF).await;
        assert!(!private.is_authenticated() && is_closed(&mut upstream).await);
    }
}
