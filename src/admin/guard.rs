//! Decides who may use the admin listener, by the token, the `Host`, and what a browser says of the page that asks.
//!
//! Pure functions of a request's headers.

use std::net::IpAddr;

use base64::Engine as _;
use http::header::{self, HeaderMap, HeaderValue};
use subtle::ConstantTimeEq as _;

/// Returns the token in a value of `Authorization`: that of the scheme `Bearer`, or the password of `Basic` (RFC 7617), which is what
/// curl and browsers have for it.
pub(super) fn token_of(authorization: &HeaderValue) -> Option<Vec<u8>> {
    // The scheme is not case-sensitive (RFC 9110 11.1).
    let bearer = authorization.as_bytes().split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    bearer.map(|(_, given)| given.to_vec()).or_else(|| basic_password(authorization))
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
    one.ct_eq(other).into()
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

/// Returns true if the request is one of a page in a browser, whose own dialog for a password would come between the page and its viewer.
pub(super) fn is_of_browser(headers: &HeaderMap) -> bool {
    headers.contains_key("sec-fetch-mode")
}

/// Returns true if the client asks for a page to show to a person.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

/// Returns true if a browser says that the request follows from a page of another site. A strict cookie is not sent with it.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

/// Returns true if a browser says that a page of another site sends the request. Without a token, nothing else would keep such a page from
/// changing the gateway.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    let is_foreign = is_from_elsewhere(headers);
    let own = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let of_other_host = origin.is_some_and(|origin| origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://")) != own);
    is_foreign || of_other_host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_equal() {
        assert!(is_equal(b"", b"") && is_equal(b"token", b"token"));
        for other in ["", "t", "toke", "tokem", "token ", "Token"] {
            assert!(!is_equal(b"token", other.as_bytes()), "{other}");
        }
        // A comparison that ends at the first difference is only in the operators of slices; this file must not use them for tokens.
        let own = include_str!("guard.rs");
        let body = own.split("fn is_equal").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap();
        assert!(body.contains(".ct_eq(") && !body.contains("==") && !body.contains("memcmp"), "{body}");
    }

    #[test]
    fn hosts_that_could_be_rebound_are_refused() {
        let safe = |host: &'static str| is_safe_host(Some(&HeaderValue::from_static(host)));
        assert!(safe("127.0.0.1:9090") && safe("[::1]:9090") && safe("localhost") && safe("lockgate:9090"));
        assert!(!safe("evil.example:9090") && !safe(""));
        assert!(!is_safe_host(None));
    }
}
