//! The context of a request, known from its arrival: id, time, peer, and the formats and languages that the client accepts.
//!
//! The context is immutable. The [`Trail`] is updated while the request is served; it is here because `upstream` writes it and `observe`
//! reads it. Must not know routes, plans or responses.

pub mod spans;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, Uri, Version};
use tokio::time::Instant;

use self::spans::{AttemptEnd, Spans, TraceParent};
use crate::header::ValidValue;
use crate::write::hex;

/// An id that is safe in a header, a log line and a JSON string: 1-128 of `[A-Za-z0-9._~-]`.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(IdText);

/// The text of an id.
#[derive(Clone, PartialEq, Eq)]
enum IdText {
    Generated([u8; 36]),
    Accepted(Box<[u8]>),
}

/// The id of a trace: 32 lower-case hexadecimal digits (<https://www.w3.org/TR/trace-context/#trace-id>).
pub type TraceId = [u8; 32];

/// The maximum length of a request target, in bytes.
pub const MAX_REQUEST_TARGET: usize = 16 * 1024;
/// The maximum number of header lines of a request.
pub const MAX_REQUEST_FIELDS: usize = 100;
/// The maximum length of a request id that is accepted from a trusted peer, in bytes.
const MAX_ID: usize = 128;

impl RequestId {
    /// Generates a UUIDv7 (RFC 9562 5.7): 48 bits of milliseconds, 74 random bits.
    pub fn generate(now: SystemTime) -> Self {
        let millis = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let random = fastrand::u128(..);
        let high = (millis << 16) | 0x7000 | (random as u64 & 0x0fff);
        let low = ((random >> 64) as u64 & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        let mut text = [b'-'; 36];
        let groups = [(0..4, 0), (4..6, 9), (6..8, 14), (8..10, 19), (10..16, 24)];
        for (group, at) in groups {
            hex(&bytes[group], &mut text[at..]);
        }
        Self(IdText::Generated(text))
    }

    /// Accepts the id that a trusted peer sent, if it has only safe characters.
    pub fn accept(bytes: &[u8]) -> Option<Self> {
        let safe = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-');
        ((1..=MAX_ID).contains(&bytes.len()) && bytes.iter().all(safe)).then(|| Self(IdText::Accepted(bytes.into())))
    }

    /// Returns the id as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            IdText::Generated(text) => text,
            IdText::Accepted(text) => text,
        }
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl ValidValue for RequestId {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl std::fmt::Debug for RequestId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "RequestId({})", self.as_str())
    }
}

/// Derives wall time from the monotonic clock, so that one clock reading gives both. It must be set again from time to time, because the
/// wall clock of the system may be changed.
#[derive(Debug)]
pub struct WallClock {
    base: Instant,
    /// Nanoseconds of wall time at `base`.
    at_base: AtomicU64,
}

impl WallClock {
    /// Creates a clock and sets it.
    pub fn new() -> Self {
        let clock = Self { base: Instant::now(), at_base: AtomicU64::new(0) };
        clock.set();
        clock
    }

    /// Sets the clock to the wall time of the system.
    pub fn set(&self) {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at_base = wall.saturating_sub(self.base.elapsed());
        self.at_base.store(u64::try_from(at_base.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns the wall time at an instant.
    pub fn at(&self, instant: Instant) -> SystemTime {
        let at_base = Duration::from_nanos(self.at_base.load(Ordering::Relaxed));
        SystemTime::UNIX_EPOCH + at_base + instant.saturating_duration_since(self.base)
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}

/// The peer of a client connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address and port of the socket.
    pub address: SocketAddr,
    /// The IP address as a header value, created once per connection.
    pub forwarded_for: HeaderValue,
    /// Whether the peer may set forwarding headers and request ids.
    pub trusted: bool,
}

/// The request headers from which the format and the language of an error response are negotiated; they are parsed only for an error.
/// A value that is not ASCII counts as missing.
#[derive(Clone, Debug, Default)]
pub struct ClientPreferences {
    /// `Accept`
    pub accept: Option<Box<str>>,
    /// `Accept-Language`
    pub language: Option<Box<str>>,
    /// `Origin`, for CORS.
    pub origin: Option<Box<str>>,
    /// The protocol of the request, if it is more than plain HTTP.
    pub dialect: Option<Dialect>,
    /// Whether `Sec-Fetch-*` headers show that the client is a browser.
    pub browser: bool,
}

/// A protocol over HTTP whose clients read errors in one format only, recognized by the headers of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `SOAPAction` (SOAP 1.1 section 6.1.1).
    Soap11,
    /// `application/soap+xml` (RFC 3902).
    Soap12,
    /// `application/grpc` (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
    Grpc,
    /// `application/grpc-web` (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>).
    GrpcWeb,
    /// `application/grpc-web-text`: the same in base64.
    GrpcWebText,
}

impl Dialect {
    /// Returns the protocol that a content type indicates.
    pub fn of_content_type(value: &[u8]) -> Option<Self> {
        let begins = |prefix: &[u8]| value.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
        if begins(b"application/grpc-web-text") {
            Some(Self::GrpcWebText)
        } else if begins(b"application/grpc-web") {
            Some(Self::GrpcWeb)
        } else if begins(b"application/grpc") {
            Some(Self::Grpc)
        } else if begins(b"application/soap+xml") {
            Some(Self::Soap12)
        } else {
            None
        }
    }
}

/// What the head of a request says of its target and its client, as it is read.
#[derive(Debug, Default)]
pub struct Said<'l> {
    /// The formats and languages that the client accepts.
    pub wanted: ClientPreferences,
    /// The last `Host`.
    pub host: Option<&'l [u8]>,
    /// `User-Agent`, or nothing.
    pub user_agent: &'l [u8],
    /// `Referer`, or nothing.
    pub referer: &'l [u8],
}

/// The texts by which a request names its target and its client: `Host`, `User-Agent` and `Referer`, in one allocation.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// The host, behind it the user agent, and behind that the referrer.
    text: Box<[u8]>,
    /// The length of the host, if there is one.
    host: Option<u32>,
    /// The end of the user agent.
    agent_end: u32,
}

impl Named {
    /// The maximum length of a user agent that is kept, in bytes.
    pub const MAX_USER_AGENT: usize = 256;
    /// The maximum length of a referrer that is kept, in bytes.
    pub const MAX_REFERER: usize = 1024;

    /// Copies the values of three headers. Of a long user agent or referrer the beginning is kept.
    pub fn new(said: &Said<'_>) -> Self {
        let user_agent = &said.user_agent[..said.user_agent.len().min(Self::MAX_USER_AGENT)];
        let referer = &said.referer[..said.referer.len().min(Self::MAX_REFERER)];
        let (named, host) = (said.host.unwrap_or_default(), said.host.map(|host| host.len() as u32));
        let agent_end = (named.len() + user_agent.len()) as u32;
        if user_agent.is_empty() && referer.is_empty() {
            return Self { text: named.into(), host, agent_end };
        }
        let mut text = Vec::with_capacity(agent_end as usize + referer.len());
        text.extend_from_slice(named);
        text.extend_from_slice(user_agent);
        text.extend_from_slice(referer);
        Self { text: text.into_boxed_slice(), host, agent_end }
    }

    /// Returns the value of the last `Host`.
    pub fn host(&self) -> Option<&[u8]> {
        self.host.map(|end| self.text.get(..end as usize).unwrap_or_default())
    }

    /// Returns the beginning of the user agent. It is empty if the client sent none.
    pub fn user_agent(&self) -> &[u8] {
        self.text.get(self.host.unwrap_or(0) as usize..self.agent_end as usize).unwrap_or_default()
    }

    /// Returns the beginning of the referrer. It is empty if the client sent none. It may hold secrets, like every URL of a client.
    pub fn referer(&self) -> &[u8] {
        self.text.get(self.agent_end as usize..).unwrap_or_default()
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The id that client, upstream and log receive.
    pub id: RequestId,
    /// The monotonic time of arrival, from which all timeouts of the request are measured.
    pub arrival: Instant,
    /// The wall time of arrival.
    pub wall: SystemTime,
    /// The method as the client sent it.
    pub method: Method,
    /// The target as the client sent it. Only its path may be shown, because queries can hold secrets.
    pub uri: Uri,
    /// The version of HTTP that the client speaks.
    pub version: Version,
    /// The version of TLS, such as `TLSv1.3`; `None` for a plain connection.
    pub tls: Option<&'static str>,
    /// `Host`, `User-Agent` and `Referer`.
    pub named: Named,
    /// The query as the client sent it, if it has bytes that no URI has. In `uri` they are percent-encoded.
    pub raw_query: Option<Box<[u8]>>,
    /// The address of the client: the peer, or the address that trusted proxies report.
    pub client: IpAddr,
    /// The formats and languages that the client accepts.
    pub wanted: ClientPreferences,
}

impl RequestContext {
    /// Returns the path without the query, because queries can hold secrets.
    pub fn path(&self) -> &str {
        // The authority form of CONNECT has no path.
        if self.uri.path().is_empty() { "/" } else { self.uri.path() }
    }

    /// Returns the host that the client named, as bytes of a header value: `:authority` or absolute form before `Host` (RFC 9112 3.2.2).
    pub fn host(&self) -> Option<&[u8]> {
        let authority = self.uri.authority().map(|authority| authority.as_str().as_bytes());
        authority.or_else(|| self.named.host())
    }
}

/// The attempts of a request: updated during dispatch, so that the record has them even if the client closes the connection.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// The URL of the endpoint of the latest attempt, as configured.
    pub endpoint: Option<Arc<str>>,
    /// The number of attempts, including those that got no connection.
    pub attempts: u32,
    /// The spans of the request, if it is traced.
    pub spans: Option<Box<Spans>>,
    /// How long the latest attempt has taken to get a connection, if that was not open.
    pub connect: Duration,
    /// The attempts that failed, in the order in which they ended; at most 16 of them.
    pub failed: Vec<FailedAttempt>,
}

/// The failed attempts that a trail keeps.
const MAX_FAILED_ATTEMPTS: usize = 16;

/// An attempt that got no response, or an error.
#[derive(Clone, Debug)]
pub struct FailedAttempt {
    /// The endpoint, as configured.
    pub endpoint: Option<Arc<str>>,
    /// When it began.
    pub begin: Instant,
    /// How long it took to get a connection; zero for one that was open.
    pub connect: Duration,
    /// When it ended.
    pub end: Instant,
    /// How it ended.
    pub outcome: AttemptEnd,
}

impl Trail {
    /// Begins an attempt at an endpoint. Returns its place in the trace, if the request is traced.
    pub fn attempt(&mut self, endpoint: &Arc<str>, now: Instant, hedge: bool) -> Option<TraceParent> {
        self.endpoint = Some(Arc::clone(endpoint));
        self.attempts += 1;
        self.spans.as_mut().map(|spans| spans.attempt(endpoint, now, hedge))
    }

    /// Says that the latest attempt, which began at `begin`, has got a connection or has given up. Returns the current time.
    pub fn connected(&mut self, begin: Instant) -> Instant {
        let now = Instant::now();
        self.connect = now.saturating_duration_since(begin);
        now
    }

    /// Ends the latest attempt, which began at `begin`.
    pub fn ended(&mut self, begin: Instant, now: Instant, outcome: AttemptEnd, http2: bool, ejected: bool) {
        if !matches!(outcome, AttemptEnd::Answered(..400)) && self.failed.len() < MAX_FAILED_ATTEMPTS {
            let connect = std::mem::take(&mut self.connect);
            self.failed.push(FailedAttempt { endpoint: self.endpoint.clone(), begin, connect, end: now, outcome });
        }
        if let Some(spans) = &mut self.spans {
            spans.ended(now, outcome, http2, ejected);
        }
    }
}

/// Returns the version of HTTP as in a request line.
pub const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// Returns the value of a weight parameter (RFC 9110 12.4.2): `0.8` for ` q=0.8`. The name of the parameter is not case-sensitive.
pub fn weight(parameter: &str) -> Option<&str> {
    let parameter = parameter.trim();
    parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))
}

/// Returns the thousandths of a quality value (RFC 9110 12.4.2): 800 for `0.8`, 0 for an invalid value.
pub fn quality(text: &str) -> u32 {
    text.trim().parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q)).map_or(0, |q| (q * 1000.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_are_uuid_v7() {
        let id = RequestId::generate(SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(0x0193_8c6e_6f7a));
        let text = id.as_str();
        assert!(text.starts_with("01938c6e-6f7a-7"), "{text}");
        assert_eq!(text.len(), 36);
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{text}");
        assert_ne!(id, RequestId::generate(SystemTime::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn wall_time_follows_the_monotonic_clock() {
        let clock = WallClock::new();
        let now = Instant::now();
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(clock.at(Instant::now()).duration_since(clock.at(now)).unwrap(), Duration::from_secs(7));
        assert!(SystemTime::now().duration_since(clock.at(now)).unwrap() < Duration::from_secs(60));
    }

    #[test]
    fn dialects_are_recognized_by_content_types() {
        assert_eq!(Dialect::of_content_type(b"application/grpc+proto"), Some(Dialect::Grpc));
        assert_eq!(Dialect::of_content_type(b"application/grpc-web-text"), Some(Dialect::GrpcWebText));
        assert_eq!(Dialect::of_content_type(b"Application/SOAP+xml; charset=utf-8"), Some(Dialect::Soap12));
        assert_eq!(Dialect::of_content_type(b"application/json"), None);
    }

    #[test]
    fn names_of_a_request_are_kept_apart_and_bounded() {
        let of = |host, user_agent, referer| Named::new(&Said { host, user_agent, referer, ..Said::default() });
        let named = of(Some(b"shop.example"), &[b'x'; 999], &[b'r'; 9999]);
        assert_eq!((named.host(), named.user_agent().len()), (Some(&b"shop.example"[..]), Named::MAX_USER_AGENT));
        assert_eq!(named.referer(), [b'r'; Named::MAX_REFERER]);
        let named = of(None, b"curl/8", b"");
        assert_eq!((named.host(), named.user_agent(), named.referer()), (None, &b"curl/8"[..], &b""[..]));
        let named = of(Some(b""), b"", b"http://a/");
        assert_eq!((named.host(), named.user_agent(), named.referer()), (Some(&b""[..]), &b""[..], &b"http://a/"[..]));
        let named = of(Some(b"a"), b"", b"");
        assert_eq!((named.host(), named.user_agent(), named.referer()), (Some(&b"a"[..]), &b""[..], &b""[..]));
    }

    #[test]
    fn only_safe_ids_are_accepted() {
        let accept = |text: &'static str| RequestId::accept(text.as_bytes()).is_some();
        assert!(accept("abc-1.2_3~4"));
        assert!(!accept(""));
        assert!(!accept("a b"));
        assert!(!accept("a\"b"));
        assert!(RequestId::accept("a".repeat(129).as_bytes()).is_none());
    }
}
