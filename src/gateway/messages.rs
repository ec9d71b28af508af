//! The request of a client, as the server passes it to the gateway.
//!
//! It holds its header lines in order, whichever protocol it came by. Knows nothing of stages.

use http::{Method, Version};

use crate::body::RequestBody;
use crate::header::HeaderList;
use crate::http1::target::Target;

/// A request of a client.
#[derive(Debug)]
pub struct ClientRequest {
    /// The method.
    pub method: Method,
    /// The target.
    pub target: Target,
    /// The protocol by which it came.
    pub version: Version,
    /// The header lines.
    pub headers: HeaderList,
    /// The body.
    pub body: RequestBody,
}
