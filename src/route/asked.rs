//! The parts of a request that decide which rule matches. Knows nothing of rules.

use std::net::IpAddr;

use http::Method;

use crate::header::HeaderList;
use crate::policy::Scheme;

/// The parts of a request that decide which rule matches.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The host as sent, possibly with a port.
    pub host: Option<&'a str>,
    /// The path as sent.
    pub path: &'a str,
    /// The query as sent.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a HeaderList,
    /// The address of the client.
    pub client: IpAddr,
    /// The scheme that the client used.
    pub scheme: Scheme,
}
