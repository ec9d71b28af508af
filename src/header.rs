//! Header names that the `http` crate has no constants for, classes of names that several rooms must agree on, and the making
//! of small values.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use http::HeaderValue;
use http::header::InvalidHeaderValue;

/// Names that are not constants of the `http` crate.
pub mod names {
    use http::HeaderName;
    /// The request id, on every request and answer.
    pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    /// Chain of client addresses.
    pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    /// Scheme the client used.
    pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    /// Host the client asked for.
    pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
    /// `X-Forwarded-Prefix`
    pub const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
    /// When the client, or the route, stops waiting (RFC 3339).
    pub const X_REQUEST_DEADLINE: HeaderName = HeaderName::from_static("x-request-deadline");
    /// A key by which a request may be repeated
    /// (<https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header>).
    pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
    /// W3C trace context.
    pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    /// What rate limits there are
    /// (<https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-10.html>).
    pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
    /// What is left of them.
    pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
    /// RFC 9209.
    pub const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
}

/// Headers that tell what software or host answered.
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

/// The same for what stands behind `x-`.
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
            // What a server in front of the application does for it: our clients have no use for the paths.
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

/// Trailer fields that may pass: none that frames, routes, authenticates or describes the content (RFC 9110 6.5.1), no
/// field of this gateway, no debug output.
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

/// Bytes that small values of one thread are cut from: an allocation for dozens of requests instead of two for each. A value
/// that lives long holds its whole block, so blocks are small.
const BLOCK: usize = 4 * 1024;

thread_local! {
    static MINT: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// A header value that is cheap to clone, for what is made once per request.
///
/// # Errors
/// When the bytes are no header value.
pub fn header_value(value: &[u8]) -> Result<HeaderValue, InvalidHeaderValue> {
    MINT.with_borrow_mut(|block| {
        if block.capacity() < value.len() {
            *block = BytesMut::with_capacity(BLOCK.max(value.len()));
        }
        block.extend_from_slice(value);
        HeaderValue::from_maybe_shared(block.split().freeze())
    })
}

/// What a `Retry-After` says: seconds, or a date (RFC 9110 10.2.3). `None` where it is neither.
pub fn retry_after_of(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Whole seconds for `Retry-After`, rounded up and at least 1: a client that waits this long is never too early.
pub fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_values_are_what_was_given() {
        let values: Vec<HeaderValue> = (0..500u32).map(|n| header_value(format!("value {n}").as_bytes()).unwrap()).collect();
        assert!(values.iter().enumerate().all(|(n, value)| value.to_str().unwrap() == format!("value {n}")));
        assert!(header_value(b"a\nb").is_err());
        assert_eq!(header_value(&[b'a'; 2 * BLOCK]).unwrap().len(), 2 * BLOCK);
    }

    #[test]
    fn retry_after_reads_seconds_and_dates() {
        assert_eq!(retry_after_of(&HeaderValue::from_static("7")), Some(Duration::from_secs(7)));
        assert_eq!(retry_after_of(&HeaderValue::from_static("99999999999999999999999")), Some(Duration::from_secs(u64::from(u32::MAX))));
        assert_eq!(retry_after_of(&HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT")), Some(Duration::ZERO));
        assert_eq!(retry_after_of(&HeaderValue::from_static("soon")), None);
    }

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(3)), 3);
    }
}
