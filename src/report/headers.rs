//! Finds the machine code of an error in the headers of its response. Knows header names, and no body.

use http::header::WWW_AUTHENTICATE;

use crate::header::HeaderList;
use crate::text::Untrusted;

/// Headers that hold nothing but the code, best first.
const CODES: &[&str] = &["x-amzn-errortype", "x-ms-error-code", "x-error-code", "x-application-error-code", "x-errorcode"];
/// The maximum length of a code, in bytes.
const MAX_CODE: usize = 64;

/// Returns the code in the headers: that of a header for codes, or the `error` of a Bearer challenge (RFC 6750 3).
pub fn code_in(headers: &HeaderList) -> Option<Untrusted> {
    let named = CODES.iter().filter_map(|name| headers.get(*name)?.to_str().ok()).find_map(token);
    let challenge = || headers.get_all(WWW_AUTHENTICATE).filter_map(|value| value.to_str().ok()).find_map(bearer_error);
    named.or_else(challenge).map(Untrusted::new)
}

/// A code, without the URI or the namespace that AWS adds: `ValidationException:http://internal.amazon.com/...`.
fn token(value: &str) -> Option<&str> {
    let code = value.split(':').next().unwrap_or(value).rsplit('#').next().unwrap_or(value).trim();
    let is_token =
        (1..=MAX_CODE).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    (is_token && !code.bytes().all(|b| b.is_ascii_digit())).then_some(code)
}

fn bearer_error(challenge: &str) -> Option<&str> {
    let scheme = challenge.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "))?;
    challenge[scheme.len()..].split(',').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        token(value.trim().trim_matches('"')).filter(|_| name.trim().eq_ignore_ascii_case("error"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(name: &'static str, value: &'static str) -> Option<String> {
        let mut headers = HeaderList::new();
        headers.insert(http::HeaderName::from_static(name), http::HeaderValue::from_static(value));
        code_in(&headers).map(|code| code.raw().to_owned())
    }

    #[test]
    fn codes_in_headers_are_found() {
        assert_eq!(code("x-amzn-errortype", "ValidationException:http://internal.amazon.com/x/").as_deref(), Some("ValidationException"));
        assert_eq!(code("x-ms-error-code", "BlobNotFound").as_deref(), Some("BlobNotFound"));
        let expired = "Bearer realm=\"shop\", error=\"invalid_token\", error_description=\"It expired\"";
        assert_eq!(code("www-authenticate", expired).as_deref(), Some("invalid_token"));
        for (name, value) in [("x-error-code", "404"), ("x-error-code", "not a code"), ("www-authenticate", "Basic realm=\"error=x\"")] {
            assert_eq!(code(name, value), None, "{name}: {value}");
        }
    }
}
