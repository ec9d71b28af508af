//! Prepares a response head for the client: validates it, removes what must not reach a client, and reports what `mapping` has to map.
//!
//! Knows nothing of bodies.

use http::StatusCode;
use http::header::{self, HeaderName};

use super::scan::is_connection_auth;
use crate::context::Dialect;
use crate::failure::{Failure, Kind};
use crate::header::{HeaderList, Value, is_banner, keep_trailer};

/// Maximum size of the header section, in bytes.
const MAX_SECTION: usize = 128 * 1024;
/// Maximum size of a single header, in bytes.
const MAX_HEADER: usize = 64 * 1024;

/// What the scan found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// The connection was authenticated (NTLM, Negotiate) and now belongs to one client.
    pub connection_auth: bool,
    /// The head may contain addresses or paths of the upstream; see [`Mapping`](super::mapping::Mapping).
    pub refers: bool,
    /// A value may contain the address of an endpoint.
    pub may_name: bool,
    /// The protocol of the body.
    pub dialect: Option<Dialect>,
    /// The head contains a gRPC status.
    pub grpc_status: bool,
}

/// The state of a scan.
#[derive(Default)]
struct Scan {
    traits: Traits,
    upgrade_required: bool,
    bytes: usize,
    length: bool,
    coding: bool,
    /// `Connection` and `Server` are in nearly every head, so they are removed without being listed in `remove`.
    connection: bool,
    server: bool,
    has_trailer: bool,
    remove: Vec<HeaderName>,
}

/// Validates and cleans the headers of a response with this status. `keep_banners` is set in development mode.
///
/// # Errors
/// Returns a failure of the upstream for conflicting framing (`Content-Length` beside `Transfer-Encoding`) and for oversized headers.
pub fn prepare(headers: &mut HeaderList, status: StatusCode, keep_banners: bool) -> Result<Traits, Failure> {
    let mut scan = Scan { upgrade_required: status == StatusCode::UPGRADE_REQUIRED, ..Scan::default() };
    for (name, value) in headers.iter() {
        scan.scan(name, value, keep_banners)?;
    }
    if scan.length && scan.coding {
        return Err(Failure::because(Kind::ResponseMalformed, "Content-Length beside Transfer-Encoding"));
    }
    if scan.bytes > MAX_SECTION {
        return Err(Failure::because(Kind::ResponseHeadersTooLarge, format!("{} bytes of headers", scan.bytes)));
    }
    if status == StatusCode::NO_CONTENT && scan.length {
        // RFC 9110 8.6: a 204 has no Content-Length. Over HTTP/2, a client would wait for the body.
        headers.remove(header::CONTENT_LENGTH);
    }
    if scan.connection {
        headers.remove(header::CONNECTION);
    }
    if scan.server {
        headers.remove(header::SERVER);
    }
    if !scan.remove.is_empty() {
        headers.remove_all(&scan.remove);
    }
    if scan.has_trailer {
        filter_trailer_header(headers);
    }
    Ok(scan.traits)
}

impl Scan {
    fn scan(&mut self, name: &HeaderName, value: Value<'_>, keep_banners: bool) -> Result<(), Failure> {
        let size = name.as_str().len() + value.as_bytes().len() + 4;
        self.bytes += size;
        if size > MAX_HEADER {
            return Err(Failure::because(Kind::ResponseHeaderTooLarge, format!("`{name}` has {size} bytes")));
        }
        match name.as_str() {
            "content-length" => {
                if self.length || value.as_bytes().is_empty() || !value.as_bytes().iter().all(u8::is_ascii_digit) {
                    return Err(Failure::because(Kind::ResponseMalformed, "Content-Length is not one number"));
                }
                self.length = true;
            }
            "transfer-encoding" => {
                if self.coding || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                    return Err(Failure::because(Kind::ResponseCoding, "Transfer-Encoding is not `chunked`"));
                }
                self.coding = true;
                self.remove.push(name.clone());
            }
            "connection" => {
                let kept = self.upgrade_required;
                self.remove.extend(named_by_connection(value).filter(|name| !(kept && *name == header::UPGRADE)));
                self.connection = true;
            }
            "server" => self.server = !keep_banners,
            // A 426 names the protocol to upgrade to (RFC 9110 15.5.22).
            "upgrade" if self.upgrade_required => {}
            "keep-alive"
            | "host"
            | "proxy-connection"
            | "te"
            | "upgrade"
            | "x-request-id"
            | "proxy-status"
            | "proxy-authentication-info"
            | "x_request_id"
            | "proxy_status" => self.remove.push(name.clone()),
            "trailer" => self.has_trailer = true,
            "content-type" => self.traits.dialect = self.traits.dialect.or_else(|| Dialect::of_content_type(value.as_bytes())),
            "grpc-status" => self.traits.grpc_status = true,
            "location" | "refresh" | "content-location" | "set-cookie" | "link" => self.traits.refers = true,
            "www-authenticate" => self.traits.connection_auth |= is_connection_auth(value),
            // Dates have colons, and nothing else in them.
            "date" | "expires" | "last-modified" => {}
            other if !keep_banners && is_banner(other) => self.remove.push(name.clone()),
            _ => self.traits.may_name |= memchr::memchr2(b'.', b':', value.as_bytes()).is_some(),
        }
        Ok(())
    }
}

/// Reduces `Trailer` to the names that may be forwarded (RFC 9110 6.6.2). The server sends no trailer that is not named there.
fn filter_trailer_header(headers: &mut HeaderList) {
    let named = headers.get_all(header::TRAILER).filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let kept: Vec<String> = named
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(keep_trailer)
        .map(|name| name.to_string())
        .take(32)
        .collect();
    headers.remove(header::TRAILER);
    if !kept.is_empty() {
        // Names joined with commas are a valid value.
        let _ = headers.try_append(header::TRAILER, kept.join(", ").as_bytes());
    }
}

/// Returns the headers that `Connection` names, except those that frame the message or must reach the client. All of them count, however
/// many there are: the size of a header bounds them.
fn named_by_connection(connection: Value<'_>) -> impl Iterator<Item = HeaderName> {
    let tokens = connection.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii);
    tokens
        .filter(|token| !token.eq_ignore_ascii_case(b"keep-alive") && !token.eq_ignore_ascii_case(b"close"))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !matches!(*name, header::CONTENT_LENGTH | header::CONTENT_TYPE | header::SET_COOKIE | header::TRANSFER_ENCODING))
}

/// Returns true for a header of an upstream error that is kept when a 5xx is rewritten (contract section 5).
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

/// Returns true for a header that describes the body, and is removed when the body is replaced.
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
    use http::HeaderValue;

    use super::*;

    #[test]
    fn conflicting_framing_is_refused() {
        let mut headers = HeaderList::new();
        headers.insert(HeaderName::from_static("content-length"), HeaderValue::from_static("1"));
        headers.insert(HeaderName::from_static("transfer-encoding"), HeaderValue::from_static("chunked"));
        let failure = prepare(&mut headers, StatusCode::OK, false).unwrap_err();
        assert_eq!(failure.kind, Kind::ResponseMalformed);
    }

    #[test]
    fn every_header_that_connection_names_is_removed() {
        let mut headers = HeaderList::new();
        let names: Vec<String> = (0..100).map(|n| format!("x-hop-{n}")).collect();
        headers.insert(header::CONNECTION, HeaderValue::from_str(&names.join(", ")).unwrap());
        for name in &names {
            headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("1"));
        }
        prepare(&mut headers, StatusCode::OK, false).unwrap();
        assert!(headers.is_empty(), "{headers:?}");
    }

    #[test]
    fn banners_and_spoofed_headers_are_removed() {
        let mut headers = HeaderList::new();
        for name in ["server", "x-powered-by", "x-request-id", "x-debug-token-link", "connection", "x-hop"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x-hop"));
        }
        headers.insert(HeaderName::from_static("x-useful"), HeaderValue::from_static("1"));
        prepare(&mut headers, StatusCode::OK, false).unwrap();
        assert_eq!(headers.names().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-useful"]);
    }
}
