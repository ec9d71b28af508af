//! One endpoint as the configuration names it: where to connect, and with which TLS settings.
//!
//! Knows nothing of the connections, load or health of the endpoint.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use http::uri::Authority;

use super::tls::Tls;

/// One endpoint as configured.
#[derive(Debug)]
pub struct Target {
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
    /// Its share of the requests, against the others'. At least 1.
    pub weight: u32,
    /// Gets no new requests.
    pub drains: bool,
}

impl Target {
    /// A target of this URL.
    pub fn new(scheme: &str, authority: &Authority, tls: Option<Tls>, weight: u32, drains: bool) -> Self {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let default = if tls.is_some() { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default);
        // An authority without user information is always a valid header value.
        let header = HeaderValue::from_str(authority.as_str()).unwrap_or(HeaderValue::from_static("upstream"));
        Self { url: format!("{scheme}://{authority}").into(), host, port, authority: header, tls, weight: weight.max(1), drains }
    }

    /// The address, where it is written as one.
    pub fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}
