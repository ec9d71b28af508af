//! The response's head: read once, cleaned of what must not reach a client, mapped back to the client's view.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::mapping::Mapping;
use super::request_head::is_connection_auth;
use crate::failure::{Failure, Kind};
use crate::header::{is_banner, keep_trailer};

/// The largest header section that is forwarded, in bytes.
const MAX_SECTION: usize = 128 * 1024;
/// The largest single header that is forwarded, in bytes.
const MAX_HEADER: usize = 64 * 1024;

/// What the scan found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// The connection carries an authentication (NTLM, Negotiate) and belongs to one client now.
    pub connection_auth: bool,
}

/// Cleans and maps the headers. `keep_banners` in development mode.
///
/// # Errors
/// Conflicting framing (`Content-Length` beside `Transfer-Encoding`) and oversized headers are failures of the upstream.
pub fn prepare(headers: &mut HeaderMap, mapping: &Mapping<'_>, keep_banners: bool) -> Result<Traits, Failure> {
    let mut traits = Traits::default();
    let (mut bytes, mut length, mut coding) = (0, false, false);
    let mut remove: Vec<HeaderName> = Vec::new();
    let (mut map, mut announced) = (false, false);
    for (name, value) in headers.iter() {
        let size = name.as_str().len() + value.len() + 4;
        bytes += size;
        if size > MAX_HEADER {
            return Err(Failure::because(Kind::ResponseHeaderTooLarge, format!("`{name}` has {size} bytes")));
        }
        match name.as_str() {
            "content-length" => {
                if length || value.is_empty() || !value.as_bytes().iter().all(u8::is_ascii_digit) {
                    return Err(Failure::because(Kind::ResponseMalformed, "Content-Length is not one number"));
                }
                length = true;
            }
            "transfer-encoding" => {
                if coding || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                    return Err(Failure::because(Kind::ResponseCoding, "Transfer-Encoding is not `chunked`"));
                }
                coding = true;
                remove.push(name.clone());
            }
            "x_request_id" | "proxy_status" => remove.push(name.clone()),
            "connection" => {
                remove.extend(named_by(value));
                remove.push(name.clone());
            }
            "keep-alive" | "proxy-connection" | "te" | "upgrade" | "x-request-id" | "proxy-status" | "proxy-authentication-info" => {
                remove.push(name.clone());
            }
            "trailer" => announced = true,
            "location" | "refresh" | "content-location" | "set-cookie" => map = true,
            "www-authenticate" => traits.connection_auth |= is_connection_auth(value),
            name_text if !keep_banners && is_banner(name_text) => remove.push(name.clone()),
            _ => {}
        }
    }
    if length && coding {
        return Err(Failure::because(Kind::ResponseMalformed, "Content-Length beside Transfer-Encoding"));
    }
    if bytes > MAX_SECTION {
        return Err(Failure::because(Kind::ResponseHeadersTooLarge, format!("{bytes} bytes of headers")));
    }
    for name in remove {
        headers.remove(name);
    }
    if announced {
        keep_announced_trailers(headers);
    }
    if map {
        mapping.apply(headers);
    }
    Ok(traits)
}

/// `Trailer` names only what will pass (RFC 9110 6.6.2); hyper sends no field that it does not name.
fn keep_announced_trailers(headers: &mut HeaderMap) {
    let named = headers.get_all(header::TRAILER).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let kept: Vec<String> = named
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(keep_trailer)
        .map(|name| name.to_string())
        .take(32)
        .collect();
    headers.remove(header::TRAILER);
    if let (false, Ok(value)) = (kept.is_empty(), HeaderValue::from_str(&kept.join(", "))) {
        headers.insert(header::TRAILER, value);
    }
}

/// Headers named by `Connection`, but for those that frame the message or belong to the client's view.
fn named_by(connection: &HeaderValue) -> Vec<HeaderName> {
    let tokens = connection.to_str().unwrap_or_default().split(',');
    let names = tokens.filter_map(|token| HeaderName::from_bytes(token.trim().as_bytes()).ok());
    names
        .filter(|name| !matches!(*name, header::CONTENT_LENGTH | header::CONTENT_TYPE | header::SET_COOKIE | header::TRANSFER_ENCODING))
        .take(32)
        .collect()
}

/// Headers of an upstream error that survive a rewritten 5xx (contract section 5).
pub fn survives_server_error(name: &str) -> bool {
    matches!(
        name,
        "retry-after"
            | "www-authenticate"
            | "proxy-authenticate"
            | "allow"
            | "set-cookie"
            | "vary"
            | "link"
            | "deprecation"
            | "sunset"
            | "accept-patch"
            | "accept-post"
            | "accept-encoding"
            | "upgrade"
            | "sec-websocket-version"
            | "traceparent"
            | "tracestate"
            | "b3"
            | "date"
    ) || name.starts_with("access-control-")
        || name.starts_with("ratelimit")
        || name.starts_with("x-ratelimit-")
        || name.starts_with("x-b3-")
}

/// Headers that describe the body that is no longer sent.
pub fn describes_body(name: &str) -> bool {
    matches!(
        name,
        "content-encoding"
            | "content-length"
            | "content-type"
            | "content-language"
            | "content-disposition"
            | "content-md5"
            | "accept-ranges"
            | "etag"
            | "last-modified"
            | "digest"
            | "content-digest"
            | "repr-digest"
            | "want-digest"
            | "trailer"
            | "cache-control"
            | "age"
            | "x-content-type-options"
            | "transfer-encoding"
            | "signature"
            | "signature-input"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicting_framing_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert("content-length", HeaderValue::from_static("1"));
        headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        let failure = prepare(&mut headers, &Mapping::none(), false).unwrap_err();
        assert_eq!(failure.kind, Kind::ResponseMalformed);
    }

    #[test]
    fn banners_and_spoofs_go() {
        let mut headers = HeaderMap::new();
        for name in ["server", "x-powered-by", "x-request-id", "x-debug-token-link", "connection", "x-hop"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x-hop"));
        }
        headers.insert("x-useful", HeaderValue::from_static("1"));
        prepare(&mut headers, &Mapping::none(), false).unwrap();
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-useful"]);
    }
}
