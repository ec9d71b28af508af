//! An upstream's response head, and the lease on the connection over which its body still arrives.
//!
//! Knows nothing of what becomes of the body.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Response;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::private::{Private, Slot, keep};
use crate::failure::Kind;
use crate::upstream::choose::endpoint::{Endpoint, EndpointPermit};
use crate::upstream::connect::pool::{Connection, Pool};

/// A response head and its connection.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// The head, and the body that still arrives.
    pub response: Response<Incoming>,
    /// When the head arrived.
    pub at: Instant,
    /// Time from the start of the exchange to the head.
    pub took: Duration,
    /// Returns the connection to the pool once the body was read to its end.
    pub lease: Lease,
}

/// Holds a connection and a permit of its endpoint until the response is read.
#[derive(Debug)]
pub struct Lease {
    connection: Option<Connection>,
    permit: EndpointPermit,
    private: Option<Arc<Mutex<Slot>>>,
}

impl Lease {
    /// Creates a lease. The connection is returned to `private` if given, else to the pool.
    pub(super) const fn new(connection: Connection, permit: EndpointPermit, private: Option<Arc<Mutex<Slot>>>) -> Self {
        Self { connection: Some(connection), permit, private }
    }

    /// Returns the endpoint of the connection.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.permit.endpoint
    }

    /// Returns the connection, since the response was read to its end at `now`.
    pub fn finish(mut self, now: Instant) {
        let Some(connection) = self.connection.take() else { return };
        match &self.private {
            Some(private) => keep(private, Arc::clone(&self.permit.endpoint), connection),
            None => Pool::give_back(&self.permit.endpoint.pool, connection, now),
        }
    }

    /// Lifts the limit on the size of reads, since the client reads the response.
    pub fn lift_read_bound(&self) {
        if let Some(connection) = &self.connection {
            connection.socket.lift_read_bound();
        }
    }

    /// Records that the response was cut off.
    pub fn aborted(self, kind: Kind) {
        self.permit.aborted(kind);
    }

    /// Returns the request head as it was written.
    pub(in crate::upstream) fn request_head(&self) -> Option<Vec<u8>> {
        self.connection.as_ref()?.socket.request_head()
    }

    /// Binds the connection to one client connection.
    pub fn make_private(&mut self, owner: &Private) {
        self.private = Some(owner.slot());
    }
}
