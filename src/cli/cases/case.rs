//! A case as a value.
//!
//! Plain data: knows neither TOML nor the gateway.

use std::net::IpAddr;
use std::ops::Range;

use http::Method;
use serde_json::Value;

use super::fault::Fault;

/// Header lines, in their order.
pub(in crate::cli) type Lines = Vec<(String, String)>;

/// One case.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Case {
    /// What it is about.
    pub(in crate::cli) name: String,
    /// Its place in the file.
    pub(in crate::cli) span: Range<usize>,
    /// What the client asks.
    pub(in crate::cli) request: Request,
    /// How often it asks. The answer to the last request counts.
    pub(in crate::cli) repeat: u64,
    /// What attempts get, in this order. The last reply is repeated.
    pub(in crate::cli) replies: Vec<Reply>,
    /// What must come back.
    pub(in crate::cli) checks: Vec<Check>,
}

/// What the client asks.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Request {
    pub(in crate::cli) method: Method,
    /// The target as the client writes it.
    pub(in crate::cli) path: String,
    pub(in crate::cli) host: String,
    /// It comes by the listener for TLS.
    pub(in crate::cli) secure: bool,
    /// The address of the client.
    pub(in crate::cli) client: IpAddr,
    pub(in crate::cli) headers: Lines,
    pub(in crate::cli) body: Vec<u8>,
}

/// What the upstream answers.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Reply {
    /// The backend that answers so; `None` for all that have no reply of their own.
    pub(in crate::cli) backend: Option<String>,
    pub(in crate::cli) status: u16,
    pub(in crate::cli) headers: Lines,
    pub(in crate::cli) trailers: Lines,
    pub(in crate::cli) body: Vec<u8>,
    /// The bytes of the whole response, in place of everything above.
    pub(in crate::cli) raw: Option<Vec<u8>>,
    pub(in crate::cli) fault: Option<Fault>,
}

impl Default for Reply {
    fn default() -> Self {
        Self { backend: None, status: 200, headers: Vec::new(), trailers: Vec::new(), body: Vec::new(), raw: None, fault: None }
    }
}

/// One thing that must hold, with its place in the file.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Check {
    /// The value in the file.
    pub(in crate::cli) span: Range<usize>,
    pub(in crate::cli) what: What,
}

/// What must hold.
#[derive(Clone, Debug)]
pub(in crate::cli) enum What {
    Status(u64),
    Code(String),
    Message(String),
    MessageContains(String),
    /// Field errors: exactly these.
    Fields(Value),
    Header(String, Wanted),
    Trailer(String, Wanted),
    /// The body has at least these members.
    Json(Value),
    Body(String),
    BodyContains(String),
    /// Stands nowhere in the response.
    Absent(String),
    Language(String),
    ContentType(String),
    Route(String),
    Backend(String),
    Attempts(u64),
    Reason(String),
    /// The log keeps this of the upstream error.
    Original(String),
    /// The response is cut off.
    Cut(bool),
    UpstreamMethod(String),
    UpstreamPath(String),
    UpstreamHeader(String, Wanted),
    UpstreamJson(Value),
    UpstreamBody(String),
}

/// What must hold of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Wanted {
    /// Lines with these values.
    Exact(Vec<String>),
    Contains(String),
    Present,
    Absent,
}
