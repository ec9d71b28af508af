//! An upstream's response head, and its body, which holds the connection over which it arrives.
//!
//! Knows nothing of what becomes of the body.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::private::{Bond, Owner, Private, keep};
use crate::body::{Incoming, UpstreamBody};
use crate::failure::{Failure, Kind};
use crate::header::HeaderList;
use crate::http1::framing::Framing;
use crate::upstream::choose::endpoint::{Endpoint, EndpointPermit};
use crate::upstream::connect::pool::{Connection, Pool, TunnelStream};
use crate::upstream::upload::Upload;

/// A response head, and the body that still arrives.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderList,
    /// The body.
    pub body: ResponseBody,
    /// When the head arrived.
    pub at: Instant,
    /// Time from the start of the exchange to the head.
    pub took: Duration,
}

/// The body of a response. Holds its connection and a permit of its endpoint. Once the body was read to its end, the connection is returned
/// to the pool; a body that is dropped before closes it.
#[derive(Debug)]
pub struct ResponseBody {
    connection: Option<Box<Connection>>,
    /// The framing over HTTP/1. HTTP/2 has its own.
    framing: Framing,
    /// The connection may serve another request.
    keep_alive: bool,
    /// The rest of the request's body, which is sent while the response arrives.
    upload: Upload,
    /// Released with the connection.
    permit: Option<EndpointPermit>,
    /// Few connections have an owner, so what is known of it is on the heap.
    private: Option<Box<Owner>>,
    /// When the head arrived, until the body was waited for: the rest came with it. Spares a reading of the clock.
    now: Option<Instant>,
}

impl ResponseBody {
    /// Creates the body. The connection is returned to `private` if given, else to the pool.
    pub(super) fn new(
        connection: Box<Connection>,
        (framing, keep_alive): (Framing, bool),
        upload: Upload,
        permit: EndpointPermit,
        private: Option<Box<Owner>>,
        at: Instant,
    ) -> Self {
        Self { connection: Some(connection), framing, keep_alive, upload, permit: Some(permit), private, now: Some(at) }
    }

    /// Returns the endpoint of the connection, until the connection is returned.
    pub fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        self.permit.as_ref().map(|permit| &permit.endpoint)
    }

    /// Binds the connection to one client connection.
    pub fn make_private(&mut self, owner: &Private) {
        let named = self.private.as_ref().and_then(|owner| owner.bond.named);
        self.private = Some(Box::new(Owner { slot: owner.slot(), bond: Bond { authenticated: true, named } }));
        if let Some(connection) = &self.connection {
            connection.http.retire_shared();
        }
    }

    /// Returns the connection, since the response was read to its end.
    fn release(&mut self) {
        let (Some(connection), Some(permit)) = (self.connection.take(), self.permit.take()) else { return };
        if !self.keep_alive || !connection.http.is_sent() {
            return;
        }
        match &self.private {
            Some(private) => keep(private, Arc::clone(&permit.endpoint), connection),
            None => Pool::give_back(&permit.endpoint.pool, connection, self.now.unwrap_or_else(Instant::now)),
        }
    }
}

/// The upstream's side of a tunnel. Holds the permits of its connection and its endpoint.
#[derive(Debug)]
pub struct UpstreamTunnel {
    /// The stream.
    pub connection: TunnelStream,
    /// Bytes that the upstream sent behind its response.
    pub pushed: BytesMut,
    _permit: EndpointPermit,
}

impl ResponseBody {
    /// Takes the connection for a tunnel, after a 101.
    pub fn take_tunnel(&mut self) -> Option<UpstreamTunnel> {
        let (connection, permit) = (self.connection.take()?, self.permit.take()?);
        let (connection, pushed) = connection.into_tunnel()?;
        Some(UpstreamTunnel { connection, pushed, _permit: permit })
    }
}

impl Incoming for ResponseBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        if !connection.http.is_sent()
            && let Poll::Ready(Err(failure)) = connection.http.poll_send(cx, &mut self.upload)
        {
            self.connection = None;
            return Poll::Ready(Some(Err(failure)));
        }
        let Poll::Ready(frame) = connection.http.poll_body(cx, &mut self.framing) else {
            self.now = None;
            return Poll::Pending;
        };
        match frame {
            Ok(frame) => {
                if connection.http.is_end_stream(&self.framing) {
                    self.release();
                }
                Poll::Ready(frame.map(Ok))
            }
            Err(failure) => {
                self.connection = None;
                Poll::Ready(Some(Err(failure)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.connection.as_ref().is_none_or(|connection| connection.http.is_end_stream(&self.framing))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.connection {
            Some(connection) => connection.http.size_hint(&self.framing),
            None => self.framing.remaining().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl UpstreamBody for ResponseBody {
    fn lift_read_bound(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.http.lift_read_bound();
        }
    }

    fn cut_off(&mut self, kind: Kind) {
        self.connection = None;
        if let Some(permit) = self.permit.take() {
            permit.aborted(kind);
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A response without content is never polled.
        if self.framing.is_end() {
            self.release();
        }
    }
}
