//! What a route does with a request, as Rust types with their places in the file. Must not know how they are read.

use http::{HeaderName, HeaderValue, StatusCode};

use super::section::At;

/// What a route does with a request.
#[derive(Debug)]
pub enum ActionKeys {
    /// `backend = "..."`, or several with their weights.
    Backends(Vec<BackendUse>),
    /// `redirect = {...}`
    Redirect(RedirectKeys),
    /// `respond = {...}`
    Respond(RespondKeys),
}

/// An entry of `backend`.
#[derive(Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct BackendUse {
    pub name: At<String>,
    pub weight: u32,
}

/// `sticky`: what keeps a client on one of several backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StickyBy {
    /// A cookie that the gateway sets.
    Cookie(String),
    /// The value of a request header.
    Header(HeaderName),
    /// The address of the client.
    ClientIp,
}

/// `redirect = {...}`
#[derive(Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct RedirectKeys {
    pub to: At<String>,
    pub status: StatusCode,
}

/// `respond = {...}`
#[derive(Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct RespondKeys {
    pub status: StatusCode,
    pub body: Option<String>,
    pub content_type: Option<HeaderValue>,
}
