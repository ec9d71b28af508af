//! How many connections of an endpoint each client holds, so that one client cannot hold them all.
//!
//! Clients are counted by a hash of their address into a fixed table: no map grows with clients, and a count costs one atomic step. Two
//! clients of one place are taken for one; they are treated alike, only more strictly. Knows no connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// Places of the table.
const PLACES: usize = 256;

/// A client's place in the tables of all endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSlot(u8);

impl ClientSlot {
    /// The place of an address; of an IPv6 address its network of 64 bits counts.
    pub const fn of(client: IpAddr) -> Self {
        let bits = match client {
            IpAddr::V4(v4) => v4.to_bits() as u64,
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
        };
        // Fibonacci hashing: the high bits depend on all of them.
        Self((bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
    }
}

/// Connections that clients hold.
#[derive(Clone, Debug)]
pub struct PerClient(Arc<Table>);

#[derive(Debug)]
struct Table {
    held: [AtomicU32; PLACES],
    released: Notify,
}

impl Default for PerClient {
    fn default() -> Self {
        Self(Arc::new(Table { held: std::array::from_fn(|_| AtomicU32::new(0)), released: Notify::new() }))
    }
}

impl PerClient {
    /// Connections that a client holds.
    pub fn held(&self, slot: ClientSlot) -> usize {
        self.0.held[usize::from(slot.0)].load(Ordering::Relaxed) as usize
    }

    /// The client holds one more, until the returned value is dropped.
    pub fn begin(&self, slot: ClientSlot) -> ClientConnection {
        self.0.held[usize::from(slot.0)].fetch_add(1, Ordering::Relaxed);
        ClientConnection { per_client: self.clone(), slot }
    }

    /// Waits until a client has given a connection back. Each one that is given back wakes one that waits.
    pub async fn released(&self) {
        self.0.released.notified().await;
    }
}

/// One connection that a client holds.
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
    fn a_client_holds_what_it_has_not_given_back() {
        let per_client = PerClient::default();
        let (one, other) = (ClientSlot::of("192.0.2.1".parse().unwrap()), ClientSlot::of("192.0.2.2".parse().unwrap()));
        let (a, b) = (per_client.begin(one), per_client.begin(one));
        assert_eq!((per_client.held(one), per_client.held(other)), (2, 0));
        drop(a);
        assert_eq!(per_client.held(one), 1);
        drop(b);
        assert_eq!(per_client.held(one), 0);
    }

    #[test]
    fn addresses_of_one_network_of_ipv6_are_one_client() {
        let of = |address: &str| ClientSlot::of(address.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        let places: std::collections::HashSet<u8> = (0..=255).map(|last| of(&format!("10.0.0.{last}")).0).collect();
        assert!(places.len() > 150, "neighbours are spread over {} places", places.len());
    }
}
