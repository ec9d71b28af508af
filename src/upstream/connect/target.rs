//! An endpoint as configured: where to connect, and with which TLS settings.
//!
//! Knows nothing of the endpoint's connections, load or health.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use http::uri::Authority;

use super::proxy_header::{Addresses, ProxyVersion};
use super::stream::Stream;
use super::tls::Tls;

/// The version of HTTP that an endpoint is spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1; over TLS, HTTP/2 if the endpoint chooses it (ALPN).
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: by prior knowledge in clear text (RFC 9113 3.3), by ALPN over TLS.
    Http2,
}

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
    /// The version of HTTP.
    pub protocol: Protocol,
    /// Connections begin with a PROXY header of this version, so that each is for one client.
    pub send_proxy: Option<ProxyVersion>,
    /// Weight in load balancing, at least 1.
    pub weight: u32,
    /// The endpoint is being drained: it gets no new requests.
    pub drains: bool,
}

impl Target {
    /// Creates the target of a URL.
    pub fn new(scheme: &str, authority: &Authority, security: (Option<Tls>, Protocol), weight: u32, drains: bool) -> Self {
        let (tls, protocol) = security;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let default = if tls.is_some() { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default);
        // An authority without user information is always a valid header value.
        let header = HeaderValue::from_str(authority.as_str()).unwrap_or(HeaderValue::from_static("upstream"));
        Self {
            url: format!("{scheme}://{authority}").into(),
            host,
            port,
            authority: header,
            tls,
            protocol,
            send_proxy: None,
            weight: weight.max(1),
            drains,
        }
    }

    /// Returns true if a connection may turn out to speak HTTP/2.
    pub const fn may_speak_http2(&self) -> bool {
        match self.protocol {
            Protocol::Auto => self.tls.is_some(),
            Protocol::Http1 => false,
            Protocol::Http2 => true,
        }
    }

    /// Returns true if this connection to the endpoint speaks HTTP/2.
    pub fn speaks_http2(&self, stream: &Stream) -> bool {
        match self.protocol {
            Protocol::Auto => stream.chose_http2(),
            Protocol::Http1 => false,
            // What takes the place of the network speaks HTTP/1.
            Protocol::Http2 => !matches!(stream, Stream::Other(_)),
        }
    }

    /// Returns what a connection begins with: a PROXY header with these addresses, or nothing.
    pub fn proxy_header(&self, addresses: Option<Addresses>) -> Vec<u8> {
        self.send_proxy.map(|version| version.header(addresses)).unwrap_or_default()
    }

    /// Returns the address, if the host is an address literal.
    pub fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}
