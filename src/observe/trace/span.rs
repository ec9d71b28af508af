//! Makes the spans of a request by the semantic conventions of OpenTelemetry for HTTP
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>), encoded as fields of a `ScopeSpans`.
//!
//! A span shows what the access line shows, masked and bounded in the same way, and nothing else of the request. For this reason a client
//! span has no `url.full`: a rewritten path can hold what the log masks. Must not decide what is exported.

use std::time::{Duration, UNIX_EPOCH};

use http::{Method, Version};
use tokio::time::Instant;

use super::wire;
use crate::context::RequestContext;
use crate::context::spans::{AttemptEnd, AttemptSpan, Spans};
use crate::failure::{Kind, Origin};
use crate::observe::access_record::{End, Facts};
use crate::observe::fields;
use crate::observe::line::{LineContext, host, path};
use crate::redact;

/// The field of a `ScopeSpans` that holds its spans.
const SPANS: u32 = 2;
/// `SPAN_KIND_SERVER` and `SPAN_KIND_CLIENT`.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
/// `STATUS_CODE_ERROR`.
const ERROR: u64 = 2;
/// The flags of a span that say whether its parent is in another process.
const LOCAL_PARENT: u32 = 0x100;
const REMOTE_PARENT: u32 = 0x300;

/// A request whose spans are made.
pub(super) struct Ended<'a> {
    pub(super) context: &'a RequestContext,
    pub(super) facts: &'a Facts,
    pub(super) spans: &'a Spans,
    pub(super) line: &'a LineContext<'a>,
}

/// Appends all spans of a request. Returns their number.
pub(super) fn append(out: &mut Vec<u8>, ended: &Ended<'_>) -> usize {
    wire::message(out, SPANS, |out| server(out, ended));
    for (number, attempt) in ended.spans.attempts.iter().enumerate() {
        wire::message(out, SPANS, |out| client(out, ended, attempt, number));
    }
    1 + ended.spans.attempts.len()
}

impl Ended<'_> {
    /// The wall time in nanoseconds since 1970.
    fn nanos(&self, at: Instant) -> u64 {
        let arrival = self.context.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        nanos(arrival + at.saturating_duration_since(self.context.arrival))
    }

    fn end(&self) -> u64 {
        let arrival = self.context.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        nanos(arrival + self.line.took)
    }
}

fn nanos(since: Duration) -> u64 {
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Appends the fields that every span begins with.
fn begin(out: &mut Vec<u8>, ended: &Ended<'_>, (id, parent): (u64, Option<u64>), kind: u64) {
    let spans = ended.spans;
    wire::bytes(out, 1, &spans.own.trace.to_be_bytes());
    wire::bytes(out, 2, &id.to_be_bytes());
    if let Some(parent) = parent {
        wire::bytes(out, 4, &parent.to_be_bytes());
    }
    let parent = if kind == SERVER && parent.is_some() { REMOTE_PARENT } else { LOCAL_PARENT };
    wire::fixed32(out, 16, parent | u32::from(spans.own.flags));
    wire::number(out, 6, kind);
    name(out, &ended.context.method, ended.spans.route.as_deref().filter(|_| kind == SERVER));
}

/// Appends the name: the method, and the paths of the route. Neither is chosen by the client.
fn name(out: &mut Vec<u8>, method: &Method, route: Option<&str>) {
    wire::message(out, 5, |out| {
        out.extend_from_slice(known(method).unwrap_or("HTTP").as_bytes());
        if let Some(route) = route {
            out.push(b' ');
            out.extend_from_slice(route.as_bytes());
        }
    });
}

/// Returns the method if the conventions know it: others are bounded in no way.
fn known(method: &Method) -> Option<&str> {
    let known = matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::DELETE
            | Method::CONNECT
            | Method::OPTIONS
            | Method::TRACE
            | Method::PATCH
    );
    known.then_some(method.as_str())
}

fn server(out: &mut Vec<u8>, ended: &Ended<'_>) {
    let Ended { context, facts, spans, line } = ended;
    begin(out, ended, (spans.own.span, spans.parent), SERVER);
    wire::fixed64(out, 7, ended.nanos(context.arrival));
    wire::fixed64(out, 8, ended.end());
    method(out, &context.method);
    text(out, "url.scheme", if spans.secure { b"https" } else { b"http" });
    text(out, "url.path", path(context).as_bytes());
    if let Some(query) = context.uri.query() {
        attribute(out, "url.query", |out| wire::message(out, 1, |out| redact::masked_query(out, query.as_bytes())));
    }
    if let Some(host) = host(context) {
        address(out, &String::from_utf8_lossy(host), spans.secure);
    }
    attribute(out, "client.address", |out| wire::message(out, 1, |out| fields::address(out, context.client)));
    text(out, "network.protocol.version", version(context.version));
    if let agent @ [_, ..] = context.named.user_agent() {
        text(out, "user_agent.original", String::from_utf8_lossy(agent).as_bytes());
    }
    if let Some(route) = &spans.route {
        text(out, "http.route", route.as_bytes());
    }
    if facts.status != 0 {
        number(out, "http.response.status_code", u64::from(facts.status));
    }
    text(out, "lockgate.request_id", context.id.as_bytes());
    text(out, "lockgate.route", line.route.name.as_bytes());
    if facts.dispatched {
        text(out, "lockgate.backend", line.route.backend.as_bytes());
    }
    let code = facts.logged_code();
    if !code.is_empty() {
        text(out, "lockgate.code", code.as_bytes());
    }
    if let Some(kind) = facts.kind {
        error_type(out, kind, facts.status);
    } else if facts.status >= 500 {
        status_as_error(out, facts.status);
    }
    events(out, ended);
    if failed(facts) {
        wire::message(out, 15, |out| {
            if let Some(cause) = &facts.cause {
                wire::bytes(out, 2, cause.as_bytes());
            }
            wire::number(out, 3, ERROR);
        });
    }
}

/// Returns true if the gateway failed to serve a request: a 5xx, or a response that was cut off. An error of the client is none of these.
pub(super) fn failed(facts: &Facts) -> bool {
    match facts.end {
        End::Open => false,
        End::Aborted => true,
        End::Complete => facts.status >= 500,
    }
}

fn client(out: &mut Vec<u8>, ended: &Ended<'_>, attempt: &AttemptSpan, resends: usize) {
    let Ended { context, spans, .. } = ended;
    begin(out, ended, (attempt.id, Some(spans.own.span)), CLIENT);
    wire::fixed64(out, 7, ended.nanos(attempt.begin));
    wire::fixed64(out, 8, attempt.end.map_or_else(|| ended.end(), |end| ended.nanos(end)));
    method(out, &context.method);
    endpoint(out, &attempt.endpoint);
    if resends > 0 {
        number(out, "http.request.resend_count", resends as u64);
    }
    if attempt.hedge {
        flag(out, "lockgate.hedge");
    }
    let failed = match attempt.outcome {
        AttemptEnd::Abandoned => {
            flag(out, "lockgate.abandoned");
            false
        }
        AttemptEnd::Answered(status) => {
            text(out, "network.protocol.version", if attempt.http2 { b"2" } else { b"1.1" });
            number(out, "http.response.status_code", u64::from(status));
            if status >= 400 {
                status_as_error(out, status);
            }
            status >= 400
        }
        AttemptEnd::Failed(kind) => {
            error_type(out, kind, 0);
            true
        }
    };
    if failed {
        wire::message(out, 15, |out| wire::number(out, 3, ERROR));
    }
}

/// Appends the events of a request: further attempts, endpoints that were ejected, and internals that were removed.
fn events(out: &mut Vec<u8>, ended: &Ended<'_>) {
    let Ended { facts, spans, .. } = ended;
    for (number, attempt) in spans.attempts.iter().enumerate() {
        if number > 0 {
            event(out, ended.nanos(attempt.begin), if attempt.hedge { "hedge" } else { "retry" }, |out| {
                attribute_of_event(out, "http.request.resend_count", |out| wire::number(out, 3, number as u64));
            });
        }
        if attempt.ejected {
            event(out, attempt.end.map_or_else(|| ended.end(), |end| ended.nanos(end)), "ejection", |out| {
                attribute_of_event(out, "lockgate.endpoint", |out| wire::bytes(out, 1, attempt.endpoint.as_bytes()));
            });
        }
    }
    // What a backend says of a 5xx never reaches a client, except where the route lets it pass.
    let rewritten = facts.kind.is_some_and(|kind| kind.origin() == Origin::UpstreamServerError) && facts.dry_run.is_none();
    let masked = spans.masked.as_ref().is_some_and(|masked| masked.load(std::sync::atomic::Ordering::Relaxed));
    for (what, _) in [("error", rewritten), ("body", masked)].into_iter().filter(|(_, happened)| *happened) {
        event(out, ended.end(), "redaction", |out| {
            attribute_of_event(out, "lockgate.redacted", |out| wire::bytes(out, 1, what.as_bytes()))
        });
    }
}

fn event(out: &mut Vec<u8>, at: u64, name: &str, attributes: impl FnOnce(&mut Vec<u8>)) {
    wire::message(out, 11, |out| {
        wire::fixed64(out, 1, at);
        wire::bytes(out, 2, name.as_bytes());
        attributes(out);
    });
}

fn method(out: &mut Vec<u8>, method: &Method) {
    text(out, "http.request.method", known(method).unwrap_or("_OTHER").as_bytes());
    if known(method).is_none() {
        text(out, "http.request.method_original", method.as_str().as_bytes());
    }
}

/// Appends the host and the port that a client named.
fn address(out: &mut Vec<u8>, host: &str, secure: bool) {
    let (host, port) = split_port(host);
    text(out, "server.address", host.as_bytes());
    number(out, "server.port", port.unwrap_or(if secure { 443 } else { 80 }));
}

/// Appends an endpoint: `http://host:port`, and behind it ` (address)` if the host is a name.
fn endpoint(out: &mut Vec<u8>, label: &str) {
    let (url, resolved) = label.split_once(' ').unwrap_or((label, ""));
    let (scheme, authority) = url.split_once("://").unwrap_or(("http", url));
    text(out, "url.scheme", scheme.as_bytes());
    address(out, authority, scheme == "https");
    if !resolved.is_empty() {
        text(out, "network.peer.address", resolved.trim_matches(['(', ')']).as_bytes());
    }
}

/// Splits an authority. An IPv6 address loses its brackets.
fn split_port(authority: &str) -> (&str, Option<u64>) {
    let name_end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority[name_end..].find(':') {
        Some(colon) => (&authority[..name_end + colon], authority[name_end + colon + 1..].parse().ok()),
        None => (authority, None),
    };
    (host.trim_matches(['[', ']']), port)
}

/// Appends `error.type`: the reason of `Proxy-Status`, else the status that was sent.
fn error_type(out: &mut Vec<u8>, kind: Kind, status: u16) {
    let row = kind.row();
    if !row.reason.is_empty() {
        text(out, "error.type", row.reason.as_bytes());
    } else if kind == Kind::ClientClosed {
        text(out, "error.type", b"client_closed");
    } else if status >= 500 {
        status_as_error(out, status);
    }
}

fn status_as_error(out: &mut Vec<u8>, status: u16) {
    attribute(out, "error.type", |out| wire::message(out, 1, |out| crate::write::number(out, u64::from(status))));
}

const fn version(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b"1.0",
        Version::HTTP_2 => b"2",
        _ => b"1.1",
    }
}

fn text(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    attribute(out, key, |out| wire::bytes(out, 1, value));
}

fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    attribute(out, key, |out| wire::number(out, 3, value));
}

fn flag(out: &mut Vec<u8>, key: &str) {
    attribute(out, key, |out| wire::number(out, 2, 1));
}

/// Appends an attribute of a span.
fn attribute(out: &mut Vec<u8>, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
    key_value(out, 9, key, value);
}

fn attribute_of_event(out: &mut Vec<u8>, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
    key_value(out, 3, key, value);
}

/// Appends a `KeyValue`.
pub(super) fn key_value(out: &mut Vec<u8>, field: u32, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
    wire::message(out, field, |out| {
        wire::bytes(out, 1, key.as_bytes());
        wire::message(out, 2, value);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_split() {
        let split = |text| split_port(text);
        assert_eq!(split("a.example:8080"), ("a.example", Some(8080)));
        assert_eq!(split("a.example"), ("a.example", None));
        assert_eq!(split("[2001:db8::1]:443"), ("2001:db8::1", Some(443)));
        assert_eq!(split("[::1]"), ("::1", None));
        assert_eq!(split("a:"), ("a", None));
    }

    proptest::proptest! {
        #[test]
        fn any_host_is_split(text in "\\PC{0,40}|[\\[\\]:a0]{0,12}") {
            split_port(&text);
        }
    }
}
