//! An upstream's response head, and the lease on the connection over which its body still arrives.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Response;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::private::{Private, Slot, keep};
use crate::failure::Kind;
use crate::upstream::choose::endpoint::{Endpoint, EndpointPermit};
use crate::upstream::connect::pool::{Connection, Pool};

/// A response head with its connection.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// The head, and the body that still arrives.
    pub response: Response<Incoming>,
    /// When the head came.
    pub at: Instant,
    /// From the beginning of the exchange until then.
    pub took: Duration,
    /// Returns the connection to the pool once the body was read to its end.
    pub lease: Lease,
}

/// Holds a connection and a permit of its endpoint until the response was read.
#[derive(Debug)]
pub struct Lease {
    connection: Option<Connection>,
    permit: EndpointPermit,
    private: Option<Arc<Mutex<Slot>>>,
}

impl Lease {
    /// A lease. The connection goes back to `private` where there is one, else to the pool.
    pub(super) const fn new(connection: Connection, permit: EndpointPermit, private: Option<Arc<Mutex<Slot>>>) -> Self {
        Self { connection: Some(connection), permit, private }
    }

    /// The endpoint of the connection.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.permit.endpoint
    }

    /// Returns the connection: the response was read to its end at `now`.
    pub fn finish(mut self, now: Instant) {
        let Some(connection) = self.connection.take() else { return };
        match &self.private {
            Some(private) => keep(private, Arc::clone(&self.permit.endpoint), connection),
            None => Pool::give_back(&self.permit.endpoint.pool, connection, now),
        }
    }

    /// Lifts the bound on single reads: the client takes what is read of the response.
    pub fn lift_read_bound(&self) {
        if let Some(connection) = &self.connection {
            connection.socket.lift_read_bound();
        }
    }

    /// Records that the response broke off.
    pub fn aborted(self, kind: Kind) {
        self.permit.aborted(kind);
    }

    /// The head of the request as it was written.
    pub(in crate::upstream) fn request_head(&self) -> Option<Vec<u8>> {
        self.connection.as_ref()?.socket.request_head()
    }

    /// Makes the connection private to one client connection.
    pub fn make_private(&mut self, owner: &Private) {
        self.private = Some(owner.slot());
    }
}
