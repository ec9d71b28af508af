//! Rejects requests that no route may get: too large, malformed, looped, or while the gateway shuts down.

use http::{HeaderValue, Version};

use super::request::Request;
use super::state::{Client, Gateway};
use crate::context::{MAX_REQUEST_FIELDS, MAX_REQUEST_TARGET};
use crate::failure::{Failure, Kind};
use crate::upstream::heads::{request as heads, scan};

/// Rejects requests that no route may get.
pub(super) fn check(gateway: &Gateway, client: &Client, request: Request<'_>) -> Result<(), Failure> {
    let seen = request.seen;
    if gateway.core.lifecycle.is_closing() {
        return Err(Kind::ShuttingDown.into());
    }
    if client.surplus {
        return Err(Failure::because(Kind::Overloaded, "listen.max_connections is reached"));
    }
    if seen.looped {
        return Err(Kind::LoopDetected.into());
    }
    method(request)?;
    let (bytes, fields) = seen.size();
    if bytes > gateway.plan.listen.max_header_size || fields > MAX_REQUEST_FIELDS {
        return Err(Kind::HeadersTooLarge.into());
    }
    if request.context.uri.path_and_query().map_or(0, |target| target.as_str().len()) > MAX_REQUEST_TARGET {
        return Err(Kind::UriTooLong.into());
    }
    match &seen.rare().expect {
        Some(expect) if !scan::is_continue(expect) => return Err(Kind::ExpectationFailed.into()),
        _ => {}
    }
    host(request)
}

/// Rejects methods that are never forwarded.
pub(super) fn method(request: Request<'_>) -> Result<(), Failure> {
    if heads::is_forbidden(&request.context.method) {
        return Err(Failure {
            allow: Some(HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
            ..Failure::new(Kind::MethodNotAllowed)
        });
    }
    Ok(())
}

/// Requires exactly one valid host (RFC 9112 3.2), which agrees with an absolute form or `:authority`.
pub(super) fn host(request: Request<'_>) -> Result<(), Failure> {
    let bad = |why: &str| Err(Failure::because(Kind::BadRequest, why));
    let authority = request.context.uri.authority();
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return bad("user information in the authority");
    }
    match (request.seen.hosts, authority, request.context.named.host()) {
        (0, None, _) if request.version == Version::HTTP_10 => Ok(()),
        (0, None, _) => bad("no Host"),
        (0 | 1, Some(authority), _) if !is_host(authority.as_str().as_bytes()) => bad("the authority of the target is no host"),
        (0, Some(_), _) => Ok(()),
        (1, None, Some(host)) if is_host(host) => Ok(()),
        (1, Some(authority), Some(host)) if is_same_host(authority.as_str(), host, request.context.uri.scheme_str()) => Ok(()),
        (1, ..) => bad("the Host is not valid or not the authority of the target"),
        _ => bad("more than one Host"),
    }
}

/// Returns true for the same host and port. The default port of the scheme may be left out (RFC 9110 4.2.3).
fn is_same_host(authority: &str, host: &[u8], scheme: Option<&str>) -> bool {
    let port = if scheme == Some("https") { ":443" } else { ":80" };
    let bare = |text: &str| text.strip_suffix(port).or(text.strip_suffix(':')).unwrap_or(text).to_ascii_lowercase();
    let is_equal = host.eq_ignore_ascii_case(authority.as_bytes());
    is_equal || std::str::from_utf8(host).is_ok_and(|host| bare(host) == bare(authority))
}

/// Returns true for a valid host with an optional port (RFC 9110 7.2).
fn is_host(host: &[u8]) -> bool {
    // An empty label has no meaning, and some parsers remove it: the host would be another one for the routes than for the backend.
    let has_empty_label = host.first() == Some(&b'.') || memchr::memmem::find(host, b"..").is_some();
    !has_empty_label && has_host_syntax(host)
}

fn has_host_syntax(host: &[u8]) -> bool {
    is_plain_host(host) || std::str::from_utf8(host).is_ok_and(|host| host.is_ascii() && is_authority(host))
}

/// Returns true for the usual host: letters, digits, dots and dashes, with an optional port.
fn is_plain_host(host: &[u8]) -> bool {
    let name = host.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')).count();
    match &host[name..] {
        [] => name > 0,
        [b':', digits @ ..] => name > 0 && digits.len() < 6 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn is_authority(text: &str) -> bool {
    let Ok(authority) = text.parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let port = authority.as_str().get(name.len()..).unwrap_or_default();
    // The `http` crate accepts anything behind the colon; RFC 3986 3.2.3 allows digits only.
    let port_is_sound = port.is_empty() || (port.len() <= 6 && port.starts_with(':') && port[1..].bytes().all(|b| b.is_ascii_digit()));
    let bracketed = name.strip_prefix('[').map(|rest| rest.strip_suffix(']').is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok()));
    // RFC 3986 allows sub-delimiters, but no host has them, and some parsers end a host at a comma.
    !name.is_empty()
        && bracketed != Some(false)
        && port_is_sound
        && !authority.as_str().contains(['@', ',', ';', '!', '$', '&', '\'', '(', ')', '*', '+', '='])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_validated() {
        let host = |text: &'static str| is_host(text.as_bytes());
        assert!(host("shop.example.com:8080") && host("[::1]:80") && host("a_b") && host("h:"));
        for list in ["h,evil", ",", "h;x", "a=b", "h, evil", "h*"] {
            assert!(!host(list), "{list}");
        }
        for empty in ["a..", "..", ".a", ".", "[evil]", "[]"] {
            assert!(!host(empty), "{empty}");
        }
        let same = |authority, host: &'static str, scheme| is_same_host(authority, host.as_bytes(), Some(scheme));
        assert!(same("shop.example:80", "shop.example", "http") && same("SHOP.example", "shop.example:80", "http"));
        assert!(same("shop.example:443", "shop.example", "https") && !same("shop.example:443", "shop.example", "http"));
        assert!(!same("shop.example:8080", "shop.example", "http") && !same("a", "b", "http"));
        assert!(!host("") && !host("a b") && !host("a/b") && !host("u@h") && !host("h:x") && !host(":80") && !host("h:123456"));
    }

    proptest::proptest! {
        #[test]
        fn a_plain_host_is_an_authority(text in "[a-zA-Z0-9.:@_-]{0,12}") {
            proptest::prop_assert!(!is_plain_host(text.as_bytes()) || is_authority(&text));
        }
    }
}
