//! Prepares a request head for the upstream.
//!
//! The scan has found all headers of interest, and only those found are removed. Rules: RFC 9110 7.6.1 (hop-by-hop), 7.6.3 (Via), and
//! `X-Forwarded-*` by trust: only trusted peers may convey information about a client. Knows nothing of routes or bodies.

use std::net::IpAddr;

use http::Method;
use http::header::{self, HeaderName, HeaderValue};

use super::forwarding::{dashed, is_forwarding_header, is_odd, is_spoofed};
use super::scan::{HOP, HeaderScan, found};
use super::trace_context::{new_trace, trace_id};
use crate::context::{Peer, RequestId, TraceId};
use crate::header::{HeaderList, Value, names};

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
    "traceparent",
];

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
        // It belongs to the trace that was not understood (https://www.w3.org/TR/trace-context/#tracestate-header).
        headers.remove("tracestate");
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
    if !(rare.forwarded_port && add.peer.trusted) {
        append_port(headers, seen, add);
    }
    if rare.real_ip && add.peer.trusted {
        return;
    }
    if add.client == add.peer.address.ip().to_canonical() {
        headers.append(names::X_REAL_IP, &add.peer.forwarded_for);
    } else {
        // An address is a valid value.
        let _ = headers.try_append(names::X_REAL_IP, add.client.to_string().as_bytes());
    }
}

/// Adds the port that the client used: that of its host, or the default port of its scheme.
fn append_port(headers: &mut HeaderList, seen: &HeaderScan, add: &Additions<'_>) {
    let colon = add.host.and_then(|host| host.iter().rposition(|b| *b == b':').map(|at| &host[at + 1..]));
    if let Some(port) = colon.filter(|port| !port.is_empty() && port.iter().all(u8::is_ascii_digit)) {
        // Digits are a valid value.
        let _ = headers.try_append(names::X_FORWARDED_PORT, port);
        return;
    }
    let told = seen.rare().forwarded_proto && add.peer.trusted;
    let is_https = if told {
        let told = headers.get(names::X_FORWARDED_PROTO).map_or(&b""[..], Value::as_bytes);
        told.split(|b| *b == b',').next().is_some_and(|first| first.trim_ascii().eq_ignore_ascii_case(b"https"))
    } else {
        add.scheme == "https"
    };
    headers.append(names::X_FORWARDED_PORT, HeaderValue::from_static(if is_https { "443" } else { "80" }));
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
    use super::super::scan::*;
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
        let (seen, ..) = scan(&map, "lockgate-x");
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
        for gone in ["x_forwarded_for", "forwarded"] {
            assert!(!map.contains(gone), "{gone}");
        }
        assert_eq!(map.get("x-real-ip").unwrap(), "192.0.2.1");
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
        let trusted: Vec<ipnet::IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
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
        let (seen, ..) = scan(&headers(&[("via", "1.1 a, 1.1 lockgate-x"), ("authorization", "NTLM abc")]), "lockgate-x");
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
