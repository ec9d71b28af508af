//! Scans a request head on arrival: one pass finds all headers of interest, for forwarding and for the client's preferences.
//!
//! Changes nothing; `request` does. Knows nothing of routes or bodies.

use std::net::IpAddr;

use http::header::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::forwarding::{forwarded_for, hop_address, is_forwarding_header, is_odd};
use crate::context::{ClientPreferences, Dialect, Named, Peer, RequestId, Said};
use crate::header::{HeaderList, Value};

/// Hop-by-hop headers (RFC 9110 7.6.1). `Connection` is first, because `prepare` tests its bit to remove the headers that it names. `Proxy`
/// is removed because CGI turns it into HTTP_PROXY (httpoxy).
pub(super) const HOP: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "proxy",
    "proxy-authorization",
    "expect",
];

/// The bit of `Upgrade` in the set of [`HOP`] headers.
const UPGRADE: u32 = 1 << 6;

/// Flags for what must be removed or rewritten before the request is forwarded.
pub(super) mod found {
    pub(in super::super) const FORWARDED: u32 = 1;
    /// Names that some servers confuse with others.
    pub(in super::super) const ODD: u32 = 1 << 1;
    pub(in super::super) const COOKIE_CRUMBS: u32 = 1 << 2;
}

/// The result of scanning a request's headers.
#[derive(Debug, Default)]
pub struct HeaderScan {
    pub(super) bits: u32,
    /// Bit set of the [`HOP`] headers that are present.
    pub(super) hop: u32,
    /// Number of `Host` lines.
    pub hosts: u32,
    /// `Authorization` is NTLM or Negotiate, so the upstream connection will belong to this client.
    pub connection_auth: bool,
    /// `Via` names this instance.
    pub looped: bool,
    /// `traceparent` is present, valid or not.
    pub(super) traced: bool,
    /// The declared body length.
    pub content_length: Option<u64>,
    /// Headers that few requests have.
    rare: Option<Box<Rare>>,
    cookies: u32,
    bytes: usize,
    fields: usize,
}

/// Headers that few requests have, kept apart to make [`HeaderScan`] small.
#[derive(Debug, Default)]
pub struct Rare {
    /// `Expect`
    pub expect: Option<HeaderValue>,
    /// `Access-Control-Request-Method`; with `OPTIONS` and `Origin` it marks a preflight.
    pub preflight_method: Option<HeaderValue>,
    /// `Access-Control-Request-Headers`
    pub preflight_headers: Option<HeaderValue>,
    /// `X-Request-Deadline`
    pub deadline: Option<HeaderValue>,
    /// `grpc-timeout`
    pub grpc_timeout: Option<HeaderValue>,
    pub(super) id: Option<HeaderValue>,
    pub(super) forwarded_for: Vec<HeaderValue>,
    pub(super) forwarded: Option<HeaderValue>,
    /// `X-Forwarded-Proto` is present.
    pub forwarded_proto: bool,
    pub(super) forwarded_host: bool,
    pub(super) forwarded_port: bool,
    pub(super) real_ip: bool,
}

/// The value for requests without any.
static NO_RARE: Rare = Rare {
    expect: None,
    preflight_method: None,
    preflight_headers: None,
    deadline: None,
    grpc_timeout: None,
    id: None,
    forwarded_for: Vec::new(),
    forwarded: None,
    forwarded_proto: false,
    forwarded_host: false,
    forwarded_port: false,
    real_ip: false,
};

/// Scans the headers once, for forwarding, for the client's preferences, and for what the request names. `via` is this instance's
/// pseudonym.
pub fn scan(headers: &HeaderList, via: &str) -> (HeaderScan, ClientPreferences, Named) {
    let (mut seen, mut said) = (HeaderScan::default(), Said::default());
    for (name, value) in headers.iter() {
        seen.bytes += name.as_str().len() + value.as_bytes().len() + 4;
        seen.fields += 1;
        seen.record(name, value, via, &mut said);
    }
    if seen.cookies > 1 {
        seen.bits |= found::COOKIE_CRUMBS;
    }
    let named = Named::new(&said);
    (seen, said.wanted, named)
}

impl HeaderScan {
    /// Returns the headers that few requests have.
    pub fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NO_RARE)
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn record<'l>(&mut self, name: &HeaderName, value: Value<'l>, via: &str, said: &mut Said<'l>) {
        let wanted = &mut said.wanted;
        match name.as_str() {
            "host" => {
                self.hosts += 1;
                said.host = Some(value.as_bytes());
            }
            "user-agent" => said.user_agent = value.as_bytes(),
            "referer" => said.referer = value.as_bytes(),
            "accept" => wanted.accept = text(value),
            // A content type is more specific than a `SOAPAction` beside it.
            "content-type" => wanted.dialect = Dialect::of_content_type(value.as_bytes()).or(wanted.dialect),
            "soapaction" => wanted.dialect = wanted.dialect.or(Some(Dialect::Soap11)),
            "accept-language" => wanted.language = text(value),
            "sec-fetch-mode" => wanted.browser = true,
            "origin" => wanted.origin = text(value),
            "content-length" => self.content_length = value.to_str().ok().and_then(|text| text.parse().ok()),
            "cookie" => self.cookies += 1,
            "authorization" => self.connection_auth |= is_connection_auth(value),
            hop @ ("connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "proxy"
            | "proxy-authorization") => self.record_hop(hop),
            "expect" => {
                self.record_hop("expect");
                // An expectation that cannot be met takes precedence.
                let rare = self.rare_mut();
                if rare.expect.as_ref().is_none_or(is_continue) {
                    rare.expect = Some(value.to_header());
                }
            }
            "traceparent" => self.traced = true,
            "x-request-deadline" => self.rare_mut().deadline = Some(value.to_header()),
            "grpc-timeout" => self.rare_mut().grpc_timeout = Some(value.to_header()),
            "x-request-id" => self.rare_mut().id = Some(value.to_header()),
            "via" => self.looped |= contains_pseudonym(value, via),
            "access-control-request-method" => self.rare_mut().preflight_method = Some(value.to_header()),
            "access-control-request-headers" => self.rare_mut().preflight_headers = Some(value.to_header()),
            other => self.record_forwarding(other, value),
        }
    }

    fn record_hop(&mut self, name: &str) {
        self.hop |= HOP.iter().position(|hop| *hop == name).map_or(0, |at| 1 << at);
    }

    /// Records a header by which a proxy conveys information about its client.
    fn record_forwarding(&mut self, name: &str, value: Value<'_>) {
        match name {
            "x-forwarded-for" => self.rare_mut().forwarded_for.push(value.to_header()),
            "x-forwarded-proto" => self.rare_mut().forwarded_proto = true,
            "x-forwarded-host" => self.rare_mut().forwarded_host = true,
            "x-forwarded-port" => self.rare_mut().forwarded_port = true,
            "x-real-ip" => self.rare_mut().real_ip = true,
            "forwarded" => self.rare_mut().forwarded = Some(value.to_header()),
            _ if is_odd(name) => self.bits |= found::ODD,
            _ => {}
        }
        if matches!(name.as_bytes().first(), Some(b'x' | b'f' | b't' | b'p' | b'c' | b'w')) && is_forwarding_header(name) {
            self.bits |= found::FORWARDED;
        }
    }

    /// Records that the headers have a `traceparent` now.
    pub const fn set_traced(&mut self) {
        self.traced = true;
    }

    /// Returns true if there are names that some servers confuse with others.
    pub const fn has_odd_names(&self) -> bool {
        self.bits & found::ODD != 0
    }

    /// Returns true if there is an `Upgrade`.
    pub const fn has_upgrade(&self) -> bool {
        self.hop & UPGRADE != 0
    }

    /// Returns the bytes and the number of all header fields, as HTTP/1.1 would write them.
    pub const fn size(&self) -> (usize, usize) {
        (self.bytes, self.fields)
    }

    /// Returns the peer's request ID if the peer is trusted and the ID is safe.
    pub fn accepted_id(&self, peer: &Peer) -> Option<RequestId> {
        self.rare().id.as_ref().filter(|_| peer.trusted).and_then(|id| RequestId::accept(id.as_bytes()))
    }

    /// Returns the client's address: the peer's, or from a trusted peer the right-most hop that is not trusted itself.
    pub fn client(&self, peer: &Peer, trusted: &[IpNet]) -> IpAddr {
        let direct = peer.address.ip().to_canonical();
        if !peer.trusted {
            return direct;
        }
        let lines = self.rare().forwarded_for.iter().map(|value| value.to_str().unwrap_or("?"));
        let forwarded = self.rare().forwarded.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        client_behind(direct, lines, forwarded, trusted)
    }
}

/// Returns the right-most address in the values of `X-Forwarded-For`, or else of `Forwarded`, that is not one of a trusted proxy. `direct` is
/// the address of the peer, which is trusted; it is returned if the headers name nobody.
pub fn client_behind<'v>(direct: IpAddr, lines: impl Iterator<Item = &'v str>, forwarded: &str, trusted: &[IpNet]) -> IpAddr {
    let mut client = direct;
    let mut hops: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
    if hops.is_empty() {
        hops = forwarded.split(',').filter_map(forwarded_for).collect();
    }
    for hop in hops.iter().rev() {
        // An invalid hop ends the chain; the hops to its left cannot be trusted.
        let Some(address) = hop_address(hop) else { break };
        client = address;
        if !is_trusted(address, trusted) {
            break;
        }
    }
    client
}

/// Returns the value as text, if it is ASCII.
fn text(value: Value<'_>) -> Option<Box<str>> {
    value.to_str().ok().map(Box::from)
}

/// Returns true for `100-continue`, the only expectation defined (RFC 9110 10.1.1).
pub fn is_continue(expect: &HeaderValue) -> bool {
    expect.as_bytes().eq_ignore_ascii_case(b"100-continue")
}

/// Returns true if the address belongs to one of the networks.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// Returns true for NTLM and Negotiate ([MS-NTHT], RFC 4559), which authenticate the connection and not the request.
pub fn is_connection_auth(value: Value<'_>) -> bool {
    let begins = |text: &[u8], word: &[u8]| text.len() >= word.len() && text[..word.len()].eq_ignore_ascii_case(word);
    // A header line may list several challenges (RFC 9110 11.6.1).
    value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii).any(|scheme| begins(scheme, b"ntlm") || begins(scheme, b"negotiate"))
}

/// Returns true if a `Via` contains the pseudonym.
fn contains_pseudonym(via: Value<'_>, pseudonym: &str) -> bool {
    via.as_bytes().windows(pseudonym.len().max(1)).any(|part| part == pseudonym.as_bytes())
}
