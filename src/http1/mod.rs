//! HTTP/1 as both sides of the gateway use it: strict parsing of request heads, parsing of response heads, framing of bodies, and writing of
//! heads (RFC 9110, RFC 9112).
//!
//! Pure functions over bytes: no sockets, no clocks. Each byte of a message is parsed once, into what the gateway uses. Knows nothing of
//! routes, clients or upstreams.
//!
//! | file | what it does |
//! |---|---|
//! | `request` | parses a request head, and refuses what two parsers could read differently |
//! | `response` | parses a response head, and repairs what RFC 9112 tells a proxy to repair |
//! | `framing` | finds the data of a body: by length, by chunks, until the connection closes |
//! | `chunked` | the chunked transfer coding |
//! | `write` | writes heads and chunks |
//! | `sending` | what is still to be written of a message |
//! | `target` | request targets |
//! | `syntax` | tokens, lines and white space |

pub mod chunked;
pub mod framing;
pub mod request;
pub mod response;
pub mod sending;
mod syntax;
pub mod target;
pub mod write;

pub use syntax::{is_token, skip_empty_lines};

use crate::failure::{Failure, Kind};

/// A rule of HTTP/1 that a message violates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The kind of failure.
    pub kind: Kind,
    /// The violated rule, for the log.
    pub rule: &'static str,
    /// The byte that violates it, where it is one.
    pub byte: Option<u8>,
}

impl Violation {
    const fn bad_request(rule: &'static str) -> Self {
        Self { kind: Kind::BadRequest, rule, byte: None }
    }

    const fn bad_response(rule: &'static str) -> Self {
        Self { kind: Kind::ResponseMalformed, rule, byte: None }
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        match violation.byte {
            None => Self::because(violation.kind, violation.rule),
            Some(byte) if byte.is_ascii_graphic() => Self::because(violation.kind, format!("{}: `{}`", violation.rule, char::from(byte))),
            Some(byte) => Self::because(violation.kind, format!("{}: 0x{byte:02x}", violation.rule)),
        }
    }
}
