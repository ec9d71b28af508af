//! An endpoint as configured: where to connect, and with which TLS settings.
//!
//! Knows nothing of the endpoint's connections, load or health.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use http::uri::Authority;

use super::tls::Tls;

/// An endpoint as configured.
#[derive(Debug)]
pub struct Target {
    /// The URL as configured, without credentials; for logs.
    pub url: Arc<str>,
    /// Host name or address literal, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The `Host` header of requests to it.
    pub authority: HeaderValue,
    /// Set for `https`.
    pub tls: Option<Tls>,
    /// Weight in load balancing, at least 1.
    pub weight: u32,
    /// The endpoint is being drained: it gets no new requests.
    pub drains: bool,
}

impl Target {
    /// Creates the target of a URL.
    pub fn new(scheme: &str, authority: &Authority, tls: Option<Tls>, weight: u32, drains: bool) -> Self {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let default = if tls.is_some() { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default);
        // An authority without user information is always a valid header value.
        let header = HeaderValue::from_str(authority.as_str()).unwrap_or(HeaderValue::from_static("upstream"));
        Self { url: format!("{scheme}://{authority}").into(), host, port, authority: header, tls, weight: weight.max(1), drains }
    }

    /// Returns the address, if the host is an address literal.
    pub fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}
