//! Headers by which a proxy conveys information about its client: recognizes their names in every spelling, and parses the addresses in
//! them.
//!
//! Does not change headers; `request` does.

use std::net::IpAddr;

/// Returns the `for=` parameter of a `Forwarded` element (RFC 7239 5.2).
pub(super) fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// Parses an address with or without port and brackets.
pub(super) fn hop_address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|rest| rest.split(']').next());
    let address = bare.unwrap_or(hop).parse::<IpAddr>().ok();
    address.or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|a| a.ip())).map(|a| a.to_canonical())
}

/// Returns true for a name that a CGI-style server may confuse with another one: WSGI and PHP turn `-` and `.` into `_`, and some servers
/// turn every character that is neither a letter nor a digit into `_`, so that `X_Auth_User` and `X.Auth.User` arrive as `X-Auth-User`
/// does.
pub fn is_odd(name: &str) -> bool {
    !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Returns the name as such a server reads it, written with dashes.
pub fn dashed(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// Returns true for an alternative spelling of a header that the gateway sets or relies on.
pub(super) fn is_spoofed(name: &str) -> bool {
    let dashed = dashed(name);
    is_forwarding_header(&dashed)
        || matches!(dashed.as_str(), "x-request-id" | "host" | "content-length" | "transfer-encoding" | "authorization" | "proxy" | "via")
}

/// Returns true for a header by which a proxy conveys information about its client. They are removed from requests of untrusted peers.
pub fn is_forwarding_header(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("x-") else {
        return matches!(
            name,
            "forwarded"
                | "client-ip"
                | "true-client-ip"
                | "cf-connecting-ip"
                | "fastly-client-ip"
                | "proxy-status"
                | "client-cert"
                | "client-cert-chain"
                | "forwarded-for"
                | "front-end-https"
                | "proxy-client-ip"
                | "wl-proxy-client-ip"
                | "cf-connecting-ipv6"
        );
    };
    rest.starts_with("forwarded")
        || rest.starts_with("original-")
        || rest.starts_with("ssl-client-")
        || matches!(
            rest,
            "remote-ip"
                | "remote-addr"
                | "originating-ip"
                | "proxyuser-ip"
                | "azure-clientip"
                | "appengine-user-ip"
                | "url-scheme"
                | "scheme"
                | "client-cert"
                | "envoy-original-path"
                | "http-host-override"
        )
        || matches!(rest, "real-ip" | "client-ip" | "cluster-client-ip" | "rewrite-url" | "host" | "envoy-external-address")
}
