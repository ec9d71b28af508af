//! Decides who may use the admin listener, by the token, the `Host`, and what a browser says of the page that asks.
//!
//! Pure functions of a request's headers.

use std::net::IpAddr;

use base64::Engine as _;
use http::header::{self, HeaderMap, HeaderValue};

/// Returns true if the value of `Authorization` is this bearer token, or the token is the password of a browser's own login (RFC 7617).
pub(super) fn has_token(authorization: Option<&HeaderValue>, token: &str) -> bool {
    if let Some(password) = authorization.and_then(basic_password) {
        return is_equal(&password, token.as_bytes());
    }
    // The scheme is not case-sensitive (RFC 9110 11.1).
    let given = authorization.map(HeaderValue::as_bytes).and_then(|value| value.split_at_checked(7));
    given.is_some_and(|(scheme, given)| scheme.eq_ignore_ascii_case(b"bearer ") && is_equal(given, token.as_bytes()))
}

/// Returns the password of `Basic` credentials.
fn basic_password(authorization: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, encoded) = authorization.as_bytes().split_at_checked(6)?;
    let decoded = scheme.eq_ignore_ascii_case(b"basic ").then(|| base64::engine::general_purpose::STANDARD.decode(encoded).ok())??;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

/// Compares two byte strings in a time that depends only on their lengths, so that a token cannot be guessed byte by byte.
pub(super) fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |differing, (one, other)| std::hint::black_box(differing | (one ^ other)));
    one.len() == other.len() && differing == 0
}

/// Returns true if `Host` is an address literal or a name without a dot. A DNS rebinding attack needs a public name, which has a dot.
pub(super) fn is_safe_host(host: Option<&HeaderValue>) -> bool {
    let Some(authority) = host.and_then(|host| host.to_str().ok()?.parse::<http::uri::Authority>().ok()) else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    name.parse::<IpAddr>().is_ok() || !name.contains('.')
}

/// Returns true if a browser says that the request is a navigation, such as a followed link (Fetch Metadata). The page that has the link
/// cannot read the response.
pub(super) fn is_navigation(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &[u8]| headers.get(name).is_some_and(|found| found.as_bytes() == value);
    is("sec-fetch-mode", b"navigate") && is("sec-fetch-dest", b"document") && !headers.contains_key(header::ORIGIN)
}

/// Returns true if a browser says that a page of another site sends the request. Without a token, nothing else would keep such a page from
/// changing the gateway.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let is_foreign = site.is_some_and(|site| !matches!(site, b"same-origin" | b"none"));
    let own = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let of_other_host = origin.is_some_and(|origin| origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://")) != own);
    is_foreign || of_other_host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_could_be_rebound_are_refused() {
        let safe = |host: &'static str| is_safe_host(Some(&HeaderValue::from_static(host)));
        assert!(safe("127.0.0.1:9090") && safe("[::1]:9090") && safe("localhost") && safe("lockgate:9090"));
        assert!(!safe("evil.example:9090") && !safe(""));
        assert!(!is_safe_host(None));
    }
}
