//! Headers by which somebody speaks for somebody else: their names in every spelling, and the addresses in them. What is done with
//! them is `request_head`'s.

use std::net::IpAddr;

/// `for=` of one `Forwarded` element (RFC 7239 5.2).
pub(super) fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address with or without port and brackets.
pub(super) fn hop_address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|rest| rest.split(']').next());
    let address = bare.unwrap_or(hop).parse::<IpAddr>().ok();
    address.or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|a| a.ip())).map(|a| a.to_canonical())
}

/// True for a name that CGI-style servers read as another one: WSGI and PHP turn `-` and `.` into `_`, some servers every character that
/// is no letter or digit, so `X_Auth_User` and `X.Auth.User` arrive as `X-Auth-User` does.
pub fn is_odd(name: &str) -> bool {
    !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The name that such a server makes of it, written with dashes.
pub fn dashed(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// A second way to write a header that the gateway owns.
pub(super) fn spoofs(name: &str) -> bool {
    let dashed = dashed(name);
    speaks_for_others(&dashed)
        || matches!(dashed.as_str(), "x-request-id" | "host" | "content-length" | "transfer-encoding" | "authorization" | "proxy" | "via")
}

/// Headers by which a proxy speaks for its client, or for us: a stranger's are dropped.
pub(super) fn speaks_for_others(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("x-") else {
        return matches!(name, "forwarded" | "true-client-ip" | "cf-connecting-ip" | "fastly-client-ip" | "proxy-status");
    };
    rest.starts_with("forwarded")
        || rest.starts_with("original-")
        || matches!(rest, "real-ip" | "client-ip" | "cluster-client-ip" | "rewrite-url" | "host" | "envoy-external-address")
}
