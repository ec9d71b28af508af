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
    kept: Option<(Arc<Endpoint>, Connection)>,
    /// Incremented whenever a connection is kept, so that each timer recognizes its own.
    turn: u64,
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Private {
    /// Takes the kept connection if it leads to an endpoint of `backend` and is open.
    pub(in crate::upstream) fn take(&self, backend: &Backend) -> Option<(Arc<Endpoint>, Connection)> {
        let mut slot = lock(self.0.get()?);
        let ours = slot.kept.as_ref().is_some_and(|(kept, _)| backend.endpoints().iter().any(|endpoint| Arc::ptr_eq(endpoint, kept)));
        // The connection's task may not be ready yet; the caller waits for it.
        slot.kept.take_if(|_| ours).filter(|(_, connection)| !connection.sender.is_closed())
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
pub(in crate::upstream) fn keep(owner: &Arc<Mutex<Slot>>, endpoint: Arc<Endpoint>, mut connection: Connection) {
    if connection.socket.is_write_closed() {
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
