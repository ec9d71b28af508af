//! Scans a request head on arrival, and prepares it for the upstream.
//!
//! One scan finds all headers of interest, and only those found are removed. Rules: RFC 9110 7.6.1 (hop-by-hop), 7.6.3 (Via), and
//! `X-Forwarded-*` by trust: only trusted peers may convey information about a client. Knows nothing of routes or bodies.

use std::net::IpAddr;

use http::Method;
use http::header::{self, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::forwarding::{dashed, forwarded_for, hop_address, is_forwarding_header, is_odd, is_spoofed};
use super::trace_context::{new_trace, trace_id};
use crate::context::{ClientPreferences, Dialect, Peer, RequestId, TraceId};
use crate::header::{HeaderList, Value, names};

/// Flags for what must be removed or rewritten before the request is forwarded.
mod found {
    pub(super) const FORWARDED: u32 = 1;
    /// Names that some servers confuse with others.
    pub(super) const ODD: u32 = 1 << 1;
    pub(super) const COOKIE_CRUMBS: u32 = 1 << 2;
}

/// The result of scanning a request's headers.
#[derive(Debug, Default)]
pub struct HeaderScan {
    bits: u32,
    /// Bit set of the [`HOP`] headers that are present.
    hop: u32,
    /// The last `Host`.
    pub host: Option<Box<[u8]>>,
    /// Number of `Host` lines.
    pub hosts: u32,
    /// `Authorization` is NTLM or Negotiate, so the upstream connection will belong to this client.
    pub connection_auth: bool,
    /// `Via` names this instance.
    pub looped: bool,
    /// `traceparent` is present, valid or not.
    traced: bool,
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
    id: Option<HeaderValue>,
    forwarded_for: Vec<HeaderValue>,
    forwarded: Option<HeaderValue>,
    /// `X-Forwarded-Proto` is present.
    pub forwarded_proto: bool,
    forwarded_host: bool,
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
};

/// Scans the headers once, for forwarding and for the client's preferences. `via` is this instance's pseudonym.
pub fn scan(headers: &HeaderList, via: &str) -> (HeaderScan, ClientPreferences) {
    let (mut seen, mut wanted) = (HeaderScan::default(), ClientPreferences::default());
    for (name, value) in headers.iter() {
        seen.bytes += name.as_str().len() + value.as_bytes().len() + 4;
        seen.fields += 1;
        seen.record(name, value, via, &mut wanted);
    }
    if seen.cookies > 1 {
        seen.bits |= found::COOKIE_CRUMBS;
    }
    (seen, wanted)
}

impl HeaderScan {
    /// Returns the headers that few requests have.
    pub fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NO_RARE)
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn record(&mut self, name: &HeaderName, value: Value<'_>, via: &str, wanted: &mut ClientPreferences) {
        match name.as_str() {
            "host" => {
                self.hosts += 1;
                self.host = Some(value.as_bytes().into());
            }
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
            "forwarded" => self.rare_mut().forwarded = Some(value.to_header()),
            _ if is_odd(name) => self.bits |= found::ODD,
            _ => {}
        }
        if matches!(name.as_bytes().first(), Some(b'x' | b'f' | b't' | b'p' | b'c')) && is_forwarding_header(name) {
            self.bits |= found::FORWARDED;
        }
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
        let mut client = direct;
        let hops = self.rare().forwarded_for.iter().flat_map(|value| value.to_str().unwrap_or("?").split(','));
        let mut hops: Vec<&str> = hops.collect();
        if hops.is_empty() {
            let elements = self.rare().forwarded.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
            hops = elements.split(',').filter_map(forwarded_for).collect();
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

/// What the gateway adds to every request.
#[derive(Debug)]
pub struct Additions<'a> {
    /// The peer of the client connection.
    pub peer: &'a Peer,
    /// The client's address, as far as it can be trusted.
    pub client: IpAddr,
    /// The request ID.
    pub id: &'a RequestId,
    /// `1.1 lockgate-...`
    pub via: &'a HeaderValue,
    /// The host that the client requested, from `Host`, `:authority` or an absolute target.
    pub host: Option<&'a [u8]>,
    /// Scheme of the client's connection.
    pub scheme: &'static str,
}

/// Headers that `Connection` cannot remove, because the gateway sets them or relies on them, or because they protect the client or the
/// origin.
const PROTECTED: &[&str] = &[
    "authorization",
    "cookie",
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "origin",
    "accept",
    "cache-control",
    "range",
    "via",
];

/// Hop-by-hop headers (RFC 9110 7.6.1). `Connection` is first, because `prepare` tests its bit to remove the headers that it names. `Proxy`
/// is removed because CGI turns it into HTTP_PROXY (httpoxy).
const HOP: [&str; 11] = [
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

/// Prepares the headers for the upstream: removes hop-by-hop headers, adds identity and forwarding headers. `Host` is left to the caller.
/// Returns the trace of the request.
pub fn prepare(headers: &mut HeaderList, seen: &HeaderScan, add: &Additions<'_>) -> TraceId {
    if seen.hop & 1 != 0 {
        remove_named_by_connection(headers);
    }
    for (at, name) in HOP.iter().enumerate() {
        if seen.hop & 1 << at != 0 {
            headers.remove(*name);
        }
    }
    if seen.has_odd_names() {
        headers.retain(|name| !(is_odd(name.as_str()) && is_spoofed(name.as_str())));
    }
    if seen.bits & found::COOKIE_CRUMBS != 0 {
        join_cookies(headers);
    }
    forwarding(headers, seen, add);
    if seen.rare().id.is_some() {
        headers.remove(names::X_REQUEST_ID);
    }
    headers.append(names::X_REQUEST_ID, add.id);
    headers.append(header::VIA, add.via);
    if let Some(continued) = seen.traced.then(|| trace(headers)).flatten() {
        return continued;
    }
    let (begun, traceparent) = new_trace();
    if seen.traced {
        headers.remove(names::TRACEPARENT);
    }
    // Hexadecimal digits and dashes are a valid value.
    let _ = headers.try_append(names::TRACEPARENT, &traceparent);
    begun
}

/// Removes headers that some servers would confuse with one of `names`, so that a client can neither forge a header that the operator sets
/// nor restore one that the operator removes.
pub fn remove_twins<'n>(headers: &mut HeaderList, names: impl Iterator<Item = &'n HeaderName>) {
    let own: Vec<(String, &HeaderName)> = names.map(|name| (dashed(name.as_str()), name)).collect();
    let is_twin = |name: &HeaderName| {
        let read_as = dashed(name.as_str());
        own.iter().any(|(own, exact)| *own == read_as && *exact != name)
    };
    headers.retain(|name| !is_twin(name));
}

/// Removes the headers that `Connection` names, except the protected ones.
fn remove_named_by_connection(headers: &mut HeaderList) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.eq_ignore_ascii_case(b"keep-alive") && !token.eq_ignore_ascii_case(b"close"))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| headers.contains(name))
        .filter(|name| !PROTECTED.contains(&name.as_str()) && !name.as_str().starts_with("sec-websocket-"))
        .filter(|name| !name.as_str().starts_with("x-forwarded-") && *name != header::FORWARDED)
        .collect();
    headers.remove_all(&named);
}

/// Joins the cookie crumbs of HTTP/2 into one line for HTTP/1 (RFC 9113 8.2.3).
fn join_cookies(headers: &mut HeaderList) {
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).map(Value::as_bytes).collect();
    let joined = crumbs.join(&b"; "[..]);
    // Valid values are joined.
    let _ = headers.try_insert(header::COOKIE, &joined);
}

/// Sets `X-Forwarded-*`, and extends `Forwarded` if a trusted peer sent it.
fn forwarding(headers: &mut HeaderList, seen: &HeaderScan, add: &Additions<'_>) {
    if seen.bits & found::FORWARDED != 0 && !add.peer.trusted {
        headers.retain(|name| !is_forwarding_header(name.as_str()));
    }
    let rare = seen.rare();
    let chain = match rare.forwarded_for.as_slice() {
        _ if !add.peer.trusted => None,
        // The proxy sent only `Forwarded` (RFC 7239); the upstream gets the client's address in both headers.
        [] if rare.forwarded.is_some() => HeaderValue::from_str(&format!("{}, {}", add.client, add.peer.address.ip().to_canonical())).ok(),
        [] => None,
        values => {
            let mut chain: Vec<&[u8]> = values.iter().map(HeaderValue::as_bytes).collect();
            chain.push(add.peer.forwarded_for.as_bytes());
            HeaderValue::from_bytes(&chain.join(&b", "[..])).ok()
        }
    };
    if let Some(forwarded) = rare.forwarded.as_ref().filter(|_| add.peer.trusted) {
        let hop = match add.peer.address.ip().to_canonical() {
            IpAddr::V4(ip) => format!(", for={ip}"),
            IpAddr::V6(ip) => format!(", for=\"[{ip}]\""),
        };
        // An address is added to a valid value.
        let _ = headers.try_insert(header::FORWARDED, &[forwarded.as_bytes(), hop.as_bytes()].concat());
    }
    if !rare.forwarded_for.is_empty() {
        headers.remove(names::X_FORWARDED_FOR);
    }
    headers.append(names::X_FORWARDED_FOR, chain.as_ref().unwrap_or(&add.peer.forwarded_for));
    // What an untrusted peer sent is removed, so that each of these is absent unless a trusted peer sent it.
    if !(rare.forwarded_proto && add.peer.trusted) {
        headers.append(names::X_FORWARDED_PROTO, HeaderValue::from_static(add.scheme));
    }
    if !(rare.forwarded_host && add.peer.trusted)
        && let Some(host) = add.host
    {
        // A host that is not valid was refused before.
        let _ = headers.try_append(names::X_FORWARDED_HOST, host);
    }
}

/// Returns the trace that a valid `traceparent` names.
pub fn trace(headers: &HeaderList) -> Option<TraceId> {
    headers.get(names::TRACEPARENT).and_then(|value| trace_id(value.as_bytes()))
}

/// Returns true for methods that are never forwarded: CONNECT opens a tunnel, TRACE reflects the request's secrets (RFC 9110 9.3.6, 9.3.8).
pub fn is_forbidden(method: &Method) -> bool {
    *method == Method::CONNECT || *method == Method::TRACE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderList {
        let mut map = HeaderList::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn peer(address: &str, trusted: bool) -> Peer {
        let address: std::net::SocketAddr = address.parse().unwrap();
        Peer { address, forwarded_for: HeaderValue::from_str(&address.ip().to_string()).unwrap(), trusted }
    }

    fn prepared(pairs: &[(&str, &str)], trusted: bool) -> HeaderList {
        let mut map = headers(pairs);
        let (seen, _) = scan(&map, "lockgate-x");
        let peer = peer("192.0.2.1:5", trusted);
        let id = RequestId::generate(std::time::SystemTime::now());
        let via = HeaderValue::from_static("1.1 lockgate-x");
        let host = map.get("host").map(|host| host.as_bytes().to_vec());
        prepare(
            &mut map,
            &seen,
            &Additions { peer: &peer, client: peer.address.ip(), id: &id, via: &via, host: host.as_deref(), scheme: "http" },
        );
        map
    }

    #[test]
    fn hop_by_hop_headers_are_removed_and_protected_ones_kept() {
        let map = prepared(
            &[
                ("connection", "keep-alive, X-Hop, Authorization, x-forwarded-for"),
                ("x-hop", "1"),
                ("authorization", "a"),
                ("te", "gzip"),
                ("upgrade", "h2c"),
                ("proxy", "x"),
            ],
            false,
        );
        for gone in ["connection", "x-hop", "te", "upgrade", "proxy"] {
            assert!(!map.contains(gone), "{gone}");
        }
        assert!(map.contains("authorization"));
        assert_eq!(map.get("x-forwarded-for").unwrap(), "192.0.2.1");
    }

    #[test]
    fn every_hop_by_hop_name_is_seen_and_removed() {
        for name in HOP {
            assert!(!prepared(&[(name, "x")], true).contains(name), "{name}");
        }
    }

    #[test]
    fn an_upgrade_is_seen() {
        assert!(scan(&headers(&[("upgrade", "h2c")]), "x").0.has_upgrade());
        assert!(!HOP.iter().filter(|name| **name != "upgrade").any(|name| scan(&headers(&[(name, "x")]), "x").0.has_upgrade()));
    }

    #[test]
    fn untrusted_peers_cannot_set_forwarding_headers() {
        let map = prepared(
            &[
                ("x-forwarded-for", "6.6.6.6"),
                ("x-real-ip", "6.6.6.6"),
                ("x_forwarded_for", "6.6.6.6"),
                ("forwarded", "for=6.6.6.6"),
                ("host", "h"),
            ],
            false,
        );
        assert_eq!(map.get("x-forwarded-for").unwrap(), "192.0.2.1");
        for gone in ["x-real-ip", "x_forwarded_for", "forwarded"] {
            assert!(!map.contains(gone), "{gone}");
        }
        assert_eq!(map.get("x-forwarded-host").unwrap(), "h");
        assert!(trace(&map).is_some());
    }

    #[test]
    fn trusted_peers_set_forwarding_headers() {
        let map = prepared(&[("x-forwarded-for", "198.51.100.7"), ("x-forwarded-proto", "https")], true);
        assert_eq!(map.get("x-forwarded-for").unwrap(), "198.51.100.7, 192.0.2.1");
        assert_eq!(map.get("x-forwarded-proto").unwrap(), "https");
    }

    #[test]
    fn the_right_most_untrusted_hop_is_the_client() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let client =
            |value: &str| scan(&headers(&[("x-forwarded-for", value)]), "x").0.client(&peer("10.0.0.1:1", true), &trusted).to_string();
        assert_eq!(client("6.6.6.6, 198.51.100.7, 10.1.1.1"), "198.51.100.7");
        assert_eq!(client("6.6.6.6, garbage, 10.1.1.1"), "10.1.1.1");
        assert_eq!(client("[2001:db8::1]:443"), "2001:db8::1");
        let forwarded = scan(&headers(&[("forwarded", "for=6.6.6.6, for=\"[2001:db8::2]:1\";proto=https")]), "x").0;
        assert_eq!(forwarded.client(&peer("10.0.0.1:1", true), &trusted).to_string(), "2001:db8::2");
        assert_eq!(
            scan(&headers(&[("x-forwarded-for", "6.6.6.6")]), "x").0.client(&peer("192.0.2.9:1", false), &trusted).to_string(),
            "192.0.2.9"
        );
    }

    #[test]
    fn loops_and_cookies_and_connection_auth_are_seen() {
        let (seen, _) = scan(&headers(&[("via", "1.1 a, 1.1 lockgate-x"), ("authorization", "NTLM abc")]), "lockgate-x");
        assert!(seen.looped && seen.connection_auth);
        assert_eq!(prepared(&[("cookie", "a=1"), ("cookie", "b=2")], false).get("cookie").unwrap(), "a=1; b=2");
    }

    proptest::proptest! {
        #[test]
        fn no_hop_by_hop_header_survives(pairs in proptest::collection::vec(("(connection|te|upgrade|keep-alive|x-[a-z]{1,3}|cookie|via|x-forwarded-(for|proto|host)|forwarded|x-request-id|traceparent)", "[a-zA-Z,; -]{0,20}"), 0..12), trusted: bool) {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let map = prepared(&pairs, trusted);
            for own in ["x-forwarded-for", "x-forwarded-proto", "traceparent"] {
                let sent = pairs.iter().filter(|(name, _)| trusted && *name == own && own == "x-forwarded-proto").count();
                proptest::prop_assert_eq!(map.get_all(own).count(), sent.max(1), "{}", own);
            }
            for gone in ["connection", "te", "upgrade", "keep-alive"] {
                proptest::prop_assert!(!map.contains(gone));
            }
            proptest::prop_assert_eq!(map.get_all("x-request-id").count(), 1);
        }
    }
}
