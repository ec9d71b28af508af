//! The body of a request on its way through the gateway.

use bytes::Bytes;

use crate::body::{Incoming as _, RequestBody};

/// The body of a request.
#[derive(Debug)]
pub(super) enum Payload {
    /// There is none.
    Empty,
    /// All of it was read. The bytes hold their share of the memory for bodies.
    Held(Bytes),
    /// It still arrives. `before` was read of it already.
    Streaming { before: Bytes, body: RequestBody },
}

impl Payload {
    /// The body of a request that has just arrived.
    pub(super) fn new(body: RequestBody) -> Self {
        if body.is_end_stream() { Self::Empty } else { Self::Streaming { before: Bytes::new(), body } }
    }
}
