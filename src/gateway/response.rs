//! The response to a client, as the gateway returns it to the server, with the tunnel that may follow it.
//!
//! It holds its header lines in order, whichever protocol it goes by. Knows nothing of stages.

use http::StatusCode;

use super::upgraded::Upgraded;
use crate::body::Body;
use crate::header::HeaderList;

/// A response to a client.
pub struct ClientResponse {
    /// The status.
    pub status: StatusCode,
    /// The header lines, without those that frame the body.
    pub headers: HeaderList,
    /// The body.
    pub body: Body,
    /// The tunnel that follows a 101.
    pub tunnel: Option<Box<Upgraded>>,
}
