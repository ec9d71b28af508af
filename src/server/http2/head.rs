//! Checks what HTTP/2 lets through of a request's head: what a parser of HTTP/1 could read in another way is refused.
//!
//! Knows nothing of how a request is answered.

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use crate::http1::is_token;

/// Most digits of a length.
const MAX_DIGITS: usize = 18;

/// Returns the rule that the header fields violate, if there is one.
pub(super) fn violation(headers: &HeaderMap) -> Option<&'static str> {
    for (name, value) in headers {
        // RFC 9113 8.2.1. The `http` crate allows quotes in names.
        if !name.as_str().bytes().all(is_token) {
            return Some("the name of a header is no token");
        }
        if let [b' ' | b'\t', ..] | [.., b' ' | b'\t'] = value.as_bytes() {
            return Some("a header value begins or ends with a blank");
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter().map(http::HeaderValue::as_bytes);
    match (lengths.next(), lengths.next()) {
        (_, Some(_)) => Some("more than one Content-Length"),
        (Some(length), None) if !is_number(length) => Some("Content-Length is not a number"),
        (Some(_) | None, None) => None,
    }
}

fn is_number(value: &[u8]) -> bool {
    (1..=MAX_DIGITS).contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn what_http_1_could_read_differently_is_refused() {
        let of = |lines: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(HeaderName::from_lowercase(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
            }
            violation(&headers).is_some()
        };
        assert!(
            of(&[("content-length", "5"), ("content-length", "5")]) && of(&[("content-length", "")]) && of(&[("content-length", "+5")])
        );
        assert!(of(&[("\"x\"", "v")]) && of(&[("a", " b")]) && of(&[("a", "b\t")]) && of(&[("a", "\t")]));
        assert!(!of(&[("content-length", "5"), ("a", ""), ("x-b", "c d")]) && !of(&[]));
    }
}
