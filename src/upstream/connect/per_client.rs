//! Counts the connections of an endpoint that each client holds, so that one client cannot hold them all.
//!
//! Clients are counted in a fixed table by a hash of their address: no map grows with clients, and counting takes one atomic operation.
//! Clients in the same slot share a count, so each of them is only limited more strictly. Knows nothing of connections.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// Number of slots.
const SLOTS: usize = 256;

/// A client's slot in the tables of all endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSlot(u8);

impl ClientSlot {
    /// Returns the slot of an address; an IPv6 address counts by its /64.
    pub const fn of(client: IpAddr) -> Self {
        let bits = match client {
            IpAddr::V4(v4) => v4.to_bits() as u64,
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
        };
        // Fibonacci hashing: the high bits depend on all bits.
        Self((bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
    }
}

/// The number of connections per client.
#[derive(Clone, Debug)]
pub struct PerClient(Arc<Table>);

#[derive(Debug)]
struct Table {
    held: [AtomicU32; SLOTS],
    released: Notify,
}

impl Default for PerClient {
    fn default() -> Self {
        Self(Arc::new(Table { held: std::array::from_fn(|_| AtomicU32::new(0)), released: Notify::new() }))
    }
}

impl PerClient {
    /// Returns the number of connections that a client holds.
    pub fn held(&self, slot: ClientSlot) -> usize {
        self.0.held[usize::from(slot.0)].load(Ordering::Relaxed) as usize
    }

    /// Counts one more connection for a client, until the returned value is dropped.
    pub fn acquire(&self, slot: ClientSlot) -> ClientConnection {
        self.0.held[usize::from(slot.0)].fetch_add(1, Ordering::Relaxed);
        ClientConnection { per_client: self.clone(), slot }
    }

    /// Waits until a client releases a connection. Each release wakes one waiting request.
    pub async fn released(&self) {
        self.0.released.notified().await;
    }
}

/// Counts one connection for a client until it is dropped.
#[derive(Debug)]
pub struct ClientConnection {
    per_client: PerClient,
    slot: ClientSlot,
}

impl Drop for ClientConnection {
    fn drop(&mut self) {
        self.per_client.0.held[usize::from(self.slot.0)].fetch_sub(1, Ordering::Relaxed);
        self.per_client.0.released.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_holds_connections_until_it_releases_them() {
        let per_client = PerClient::default();
        let (one, other) = (ClientSlot::of("192.0.2.1".parse().unwrap()), ClientSlot::of("192.0.2.2".parse().unwrap()));
        let (a, b) = (per_client.acquire(one), per_client.acquire(one));
        assert_eq!((per_client.held(one), per_client.held(other)), (2, 0));
        drop(a);
        assert_eq!(per_client.held(one), 1);
        drop(b);
        assert_eq!(per_client.held(one), 0);
    }

    #[test]
    fn ipv6_addresses_of_one_network_are_one_client() {
        let of = |address: &str| ClientSlot::of(address.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        let places: std::collections::HashSet<u8> = (0..=255).map(|last| of(&format!("10.0.0.{last}")).0).collect();
        assert!(places.len() > 150, "neighbours are spread over {} places", places.len());
    }
}
