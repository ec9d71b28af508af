//! What the server passes to the gateway and gets back: a request and a response of a client.
//!
//! They hold their header lines in order, whichever protocol they came by. Knows nothing of stages.

use http::{Method, StatusCode, Uri, Version};

use super::upgraded::Upgraded;
use crate::body::{Body, RequestBody};
use crate::header::HeaderList;

/// A request of a client.
#[derive(Debug)]
pub struct ClientRequest {
    /// The method.
    pub method: Method,
    /// The target.
    pub uri: Uri,
    /// The protocol by which it came.
    pub version: Version,
    /// The header lines.
    pub headers: HeaderList,
    /// The body.
    pub body: RequestBody,
}

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
