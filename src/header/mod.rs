//! Header names that the `http` crate does not define, classes of names that several modules share, and header values. Knows nothing of a
//! particular request.

mod list;

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http::header::InvalidHeaderValue;

pub use list::{Edit, HeaderList, InvalidValue, Name, NotAscii, ValidValue, Value};

/// Header names that the `http` crate does not define.
pub mod names {
    use http::HeaderName;
    /// The request id, on every request and response.
    pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    /// The chain of client addresses.
    pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    /// The scheme of the client's request.
    pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    /// The host of the client's request.
    pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
    /// The path prefix that a proxy removed.
    pub const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
    /// `X-Forwarded-Port`
    pub const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
    /// `X-Real-IP`
    pub const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
    /// The deadline of the client or the route (RFC 3339).
    pub const X_REQUEST_DEADLINE: HeaderName = HeaderName::from_static("x-request-deadline");
    /// The key that makes a request safe to repeat (<https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header>).
    pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
    /// The W3C trace context.
    pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    /// The rate limit policies (<https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-10.html>).
    pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
    /// The remaining quota of the rate limits.
    pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
    /// The method of a request, for the service that decides whether it may enter.
    pub const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
    /// The path and the query of a request, likewise.
    pub const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
    /// The certificate of the client (RFC 9440).
    pub const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
    /// The certificates that signed it (RFC 9440).
    pub const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
    /// The target of `COPY` and `MOVE` (RFC 4918 10.3).
    pub const DESTINATION: HeaderName = HeaderName::from_static("destination");
    /// The status of proxies (RFC 9209).
    pub const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
}

/// Returns true for headers that disclose the software or the host of the upstream.
pub fn is_banner(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("x-") else {
        return matches!(
            name,
            "server"
                | "via"
                | "alt-svc"
                | "powered-by"
                | "liferay-portal"
                | "microsoftsharepointteamservices"
                | "server-timing"
                | "sourcemap"
        );
    };
    is_banner_name(rest)
        || ["debug", "php-", "accel-", "drupal-", "jenkins", "symfony-", "error-detail", "exception", "stack", "trace-dump"]
            .iter()
            .any(|begin| rest.starts_with(begin))
}

/// Returns true for such headers by the part of their name after `x-`.
fn is_banner_name(rest: &str) -> bool {
    matches!(
        rest,
        "powered-by"
            | "powered-cms"
            | "aspnet-version"
            | "aspnetmvc-version"
            | "runtime"
            | "generator"
            | "served-by"
            | "server"
            | "server-name"
            | "host"
            | "hostname"
            | "node"
            | "pod"
            | "pod-name"
            | "instance"
            | "instance-id"
            | "container-id"
            | "upstream-addr"
            | "upstream-address"
            | "rails-version"
            | "framework"
            | "application"
            // Instructions to a web server in front of the application, which hold paths that clients have no use for.
            | "sendfile"
            | "lighttpd-send-file"
            | "mod-pagespeed"
            | "backend"
            | "backend-server"
            | "upstream"
            | "varnish"
            | "litespeed-cache"
            | "owa-version"
            | "php-version"
            | "sourcemap"
            | "application-context"
            | "version"
            | "app-version"
            | "rack-cache"
            | "turbo-charged-by"
            | "cf-powered-by"
            | "envoy-upstream-service-time"
            | "clacks-overhead"
    )
}

/// Returns true for trailer fields that may pass: all except those for framing, routing, authentication and content (RFC 9110 6.5.1), those
/// of this gateway, and debug output.
pub fn keep_trailer(name: &http::HeaderName) -> bool {
    let name = name.as_str();
    !(is_banner(name)
        || name.starts_with("access-control-")
        || name.starts_with("content-")
        || matches!(
            name,
            "transfer-encoding"
                | "trailer"
                | "te"
                | "host"
                | "connection"
                | "keep-alive"
                | "upgrade"
                | "cache-control"
                | "expires"
                | "age"
                | "date"
                | "location"
                | "retry-after"
                | "vary"
                | "warning"
                | "authorization"
                | "www-authenticate"
                | "proxy-authenticate"
                | "set-cookie"
                | "x-request-id"
                | "proxy-status"
                | "server"
                | "x-powered-by"
        ))
}

/// The size of the block from which the small values of one thread are cut, so that one allocation serves dozens of requests. A value keeps
/// its whole block alive, so blocks are small.
const BLOCK_SIZE: usize = 4 * 1024;

thread_local! {
    static VALUE_BUFFER: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// Returns bytes that are cheap to clone, for a value that is made once per request.
pub fn shared(value: &[u8]) -> Bytes {
    if value.len() > BLOCK_SIZE / 4 {
        return Bytes::copy_from_slice(value);
    }
    VALUE_BUFFER.with_borrow_mut(|block| {
        if block.capacity() < value.len() {
            *block = BytesMut::with_capacity(BLOCK_SIZE);
        }
        block.extend_from_slice(value);
        block.split().freeze()
    })
}

/// Returns a header value that is cheap to clone.
///
/// # Errors
/// Returns an error if the bytes are not a valid header value.
pub fn header_value(value: &[u8]) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_maybe_shared(shared(value))
}

/// Parses a `Retry-After`: seconds, or a date (RFC 9110 10.2.3). Returns `None` if it is neither.
pub fn retry_after_of(value: Value<'_>) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Returns whole seconds for `Retry-After`, rounded up and at least 1, so that the client does not retry too early.
pub fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_keep_their_bytes() {
        let values: Vec<HeaderValue> = (0..500u32).map(|n| header_value(format!("value {n}").as_bytes()).unwrap()).collect();
        assert!(values.iter().enumerate().all(|(n, value)| value.to_str().unwrap() == format!("value {n}")));
        assert!(header_value(b"a\nb").is_err());
        assert_eq!(header_value(&[b'a'; 2 * BLOCK_SIZE]).unwrap().len(), 2 * BLOCK_SIZE);
    }

    #[test]
    fn retry_after_reads_seconds_and_dates() {
        let retry_after_of = |text: &str| {
            let mut headers = HeaderList::new();
            headers.try_append(http::header::RETRY_AFTER, text.as_bytes()).unwrap();
            super::retry_after_of(headers.get("retry-after").unwrap())
        };
        assert_eq!(retry_after_of("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after_of("99999999999999999999999"), Some(Duration::from_secs(u64::from(u32::MAX))));
        assert_eq!(retry_after_of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after_of("soon"), None);
    }

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(3)), 3);
    }
}
