//! Backends and their endpoints: identity, addresses, limits and the connections that belong to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use http::uri::Authority;

use super::pool::{Pool, PoolSettings};
use super::tls::Tls;

/// What the `Host` header says upstream.
#[derive(Clone, Debug)]
pub enum HostHeader {
    /// The endpoint's own authority.
    Upstream,
    /// What the client sent.
    Client,
    /// A literal.
    Literal(HeaderValue),
}

/// One address of a backend.
#[derive(Debug)]
pub struct Endpoint {
    /// As configured, without credentials; for logs.
    pub url: Arc<str>,
    /// Host name or address literal, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// For the `Host` header.
    pub authority: HeaderValue,
    /// Present for `https`.
    pub tls: Option<Tls>,
    /// Its connections.
    pub pool: Pool,
}

impl Endpoint {
    /// Makes an endpoint without connections. `cores` is the number of workers that will use it.
    pub fn new(scheme: &str, authority: &Authority, tls: Option<Tls>, pool: PoolSettings, cores: usize) -> Self {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let default = if tls.is_some() { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default);
        // An authority without user information is always a valid header value.
        let header = HeaderValue::from_str(authority.as_str()).unwrap_or(HeaderValue::from_static("upstream"));
        Self { url: format!("{scheme}://{authority}").into(), host, port, authority: header, tls, pool: Pool::new(pool, cores) }
    }
}

/// A named group of endpoints.
#[derive(Debug)]
pub struct Backend {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// Never empty.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// `Host` upstream.
    pub host_header: HostHeader,
    /// Turn of the next request.
    pub turn: AtomicUsize,
}

impl Backend {
    /// The endpoint whose turn it is, and the number of the turn. Starting from there, `nth` gives the others.
    pub fn next(&self) -> usize {
        if self.endpoints.len() == 1 { 0 } else { self.turn.fetch_add(1, Ordering::Relaxed) }
    }

    /// What `Host` an endpoint gets, given what the client sent.
    pub fn host_for<'a>(&'a self, endpoint: &'a Endpoint, client: Option<&'a HeaderValue>) -> &'a HeaderValue {
        match (&self.host_header, client) {
            (HostHeader::Literal(value), _) => value,
            (HostHeader::Client, Some(client)) => client,
            (HostHeader::Client | HostHeader::Upstream, _) => &endpoint.authority,
        }
    }

    /// The endpoint at a turn.
    pub fn nth(&self, turn: usize) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(turn % self.endpoints.len().max(1))
    }
}
