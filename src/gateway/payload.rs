//! The body of a request on its way through the gateway.

use bytes::Bytes;
use hyper::body::Incoming;

use crate::body::Hold;

/// The body of a request.
#[derive(Debug)]
pub(super) enum Payload {
    /// There is none.
    Empty,
    /// All of it was read. The bytes hold their share of the memory for bodies.
    Held(Bytes),
    /// It still arrives. `before` was read of it already.
    Streaming { before: Bytes, body: Incoming, hold: Hold },
}

impl Payload {
    /// The body of a request that has just arrived. `hold` is dropped when the body was read.
    pub(super) fn new(body: Incoming, hold: Hold) -> Self {
        if http_body::Body::is_end_stream(&body) { Self::Empty } else { Self::Streaming { before: Bytes::new(), body, hold } }
    }
}
