//! The value of an error answer: what will be told, before anyone decides how it is written.
//!
//! Everything in it may be shown to a client; `render` turns it into bytes. It knows nothing of formats.

use std::collections::BTreeMap;
use std::time::SystemTime;

use http::{Method, StatusCode};

use crate::context::RequestId;
use crate::failure::ViolatedPolicy;
use crate::text::Text;

/// Field path (`address.zip`, `items[0].qty`) to its messages.
pub type Fields = BTreeMap<String, Vec<Text>>;

/// What an error answer says.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// HTTP status, 400..=599.
    pub status: StatusCode,
    /// Stable machine code, never translated.
    pub code: String,
    /// For people; never empty.
    pub message: Text,
    /// Language of `message` when it is the catalogue's; `None` when it is the upstream's.
    pub language: Option<String>,
    /// Language that was negotiated: of the words around the message.
    pub spoken: String,
    /// Field errors.
    pub fields: Fields,
    /// Seconds, at least 1.
    pub retry_after: Option<u64>,
    /// Limits that refused.
    pub violated: Vec<ViolatedPolicy>,
    /// The upstream's own problem type (RFC 9457 3.1.1), when it is a URI that may be shown.
    pub problem_type: Option<String>,
    /// When it was made.
    pub timestamp: SystemTime,
    /// The same as in `X-Request-Id`.
    pub request_id: RequestId,
    /// Of the request.
    pub method: Method,
    /// Path without query.
    pub path: String,
    /// For gRPC clients: the upstream's own, or the one of this status.
    pub grpc: u8,
    /// `id` of the JSON-RPC call, as JSON; `None` when nobody repeated it.
    pub rpc_id: Option<String>,
    /// Development mode only.
    pub debug: Option<Box<Debug>>,
}

/// The inside view, for development mode.
#[derive(Clone, Debug, Default)]
pub struct Debug {
    /// Status the upstream sent.
    pub upstream_status: Option<u16>,
    /// Name of the backend.
    pub backend: Option<String>,
    /// URL of the endpoint.
    pub endpoint: Option<String>,
    /// How many attempts were made.
    pub attempts: u32,
    /// RFC 9209 token or the catalogue's cause.
    pub reason: String,
    /// Exception class and text.
    pub exception: Option<Text>,
    /// Stack trace.
    pub stack: Option<Text>,
    /// What the upstream named as the cause.
    pub cause: Option<Text>,
    /// How sure the reader of the upstream's body is: `known`, `likeness`, `guess`.
    pub certainty: Option<&'static str>,
    /// Beginning of the upstream's body.
    pub body: Option<Text>,
}
