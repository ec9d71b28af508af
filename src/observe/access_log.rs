//! Formats the access line of a request as JSON, directly into the buffer of the core. `pretty` is the form for a terminal.
//!
//! Bytes that a client controls are escaped, the values of a query are masked, and every field is bounded. Must not write to a sink;
//! `recorder` does.

use std::time::Duration;

use http::Version;

use super::access_record::{End, Facts};
use super::metrics::RouteMetrics;
use super::{fields, pretty};
use crate::context::RequestContext;
use crate::failure::catalog::Severity;
use crate::text::bounded;
use crate::write::{self, json_string};

/// The format of access lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One JSON object per line.
    Json,
    /// Human-readable text: one line per request, and a block of lines per error.
    Pretty {
        /// Whether it has the colors of a terminal.
        color: bool,
    },
}

/// The parts of an access line that only the recorder knows.
pub(super) struct LineContext<'a> {
    /// The route of the request, or the placeholder for requests without a route.
    pub(super) route: &'a RouteMetrics,
    /// The time from arrival to the end of the request.
    pub(super) took: Duration,
    /// The format of the line.
    pub(super) style: Style,
}

/// The maximum length of the path in a line, in bytes.
const MAX_PATH: usize = 1024;
/// The maximum length of the host in a line, in bytes: that of a domain name (RFC 1035 2.3.4) with a port.
const MAX_HOST: usize = 262;

/// Appends the access line of a request. Writing to memory cannot fail, so errors are ignored.
pub(super) fn append(out: &mut Vec<u8>, context: &RequestContext, facts: &Facts, line: &LineContext<'_>) {
    match line.style {
        Style::Json => json(out, context, facts, line),
        Style::Pretty { color } => pretty::append(out, context, facts, line, color),
    }
}

fn level(facts: &Facts) -> &'static str {
    match facts.kind.map(|kind| kind.row().severity) {
        Some(Severity::Error) => "ERROR",
        Some(Severity::Warn) => "WARN",
        Some(Severity::Info) | None => "INFO",
    }
}

pub(super) fn path(context: &RequestContext) -> &str {
    bounded(context.path(), MAX_PATH)
}

/// Returns the host that the client named, bounded; `None` if it named none.
pub(super) fn host(context: &RequestContext) -> Option<&[u8]> {
    context.host().map(|host| &host[..host.len().min(MAX_HOST)])
}

/// Returns the version of HTTP as in a request line.
pub(super) const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn json(out: &mut Vec<u8>, context: &RequestContext, facts: &Facts, line: &LineContext<'_>) {
    let route = line.route;
    out.extend_from_slice(b"{\"timestamp\":\"");
    write::timestamp(out, context.wall);
    text(out, "\",\"level\":\"", level(facts));
    out.extend_from_slice(b"\",\"message\":\"request\",\"requestId\":\"");
    // Neither needs escapes: a request id has only safe characters, and a trace id is hexadecimal.
    out.extend_from_slice(context.id.as_bytes());
    if let Some(trace) = &facts.trace {
        out.extend_from_slice(b"\",\"traceId\":\"");
        out.extend_from_slice(trace);
    }
    request_fields(out, context);
    out.extend_from_slice(b",\"route\":");
    json_string(out, &route.name);
    if facts.dispatched {
        out.extend_from_slice(b",\"backend\":");
        json_string(out, &route.backend);
    }
    if let Some(endpoint) = &facts.trail.endpoint {
        out.extend_from_slice(b",\"endpoint\":");
        json_string(out, endpoint);
    }
    number(out, ",\"status\":", u64::from(facts.logged_status()));
    if let Some(received) = facts.received {
        number(out, ",\"received\":", u64::from(received));
    }
    if facts.end == End::Aborted {
        out.extend_from_slice(b",\"aborted\":true");
    }
    if let Some(end) = facts.tunnel_end {
        text(out, ",\"tunnelEnd\":\"", end.as_str());
        out.push(b'"');
    }
    failure_fields(out, facts);
    number(out, ",\"attempts\":", u64::from(facts.trail.attempts));
    out.extend_from_slice(b",\"durationMs\":");
    fields::millis(out, line.took);
    if let Some(upstream) = facts.upstream_time {
        out.extend_from_slice(b",\"upstreamMs\":");
        fields::millis(out, upstream);
    }
    number(out, ",\"bytesIn\":", facts.bytes_in());
    number(out, ",\"bytesOut\":", facts.bytes_out);
    out.extend_from_slice(b"}\n");
}

/// Appends what the client sent.
fn request_fields(out: &mut Vec<u8>, context: &RequestContext) {
    out.extend_from_slice(b"\",\"client\":\"");
    fields::address(out, context.client);
    text(out, "\",\"protocol\":\"", protocol(context.version));
    if let Some(tls) = context.tls {
        text(out, "\",\"tls\":\"", tls);
    }
    text(out, "\",\"method\":\"", context.method.as_str());
    out.push(b'"');
    if let Some(host) = host(context) {
        out.extend_from_slice(b",\"host\":");
        json_bytes(out, host);
    }
    out.extend_from_slice(b",\"path\":");
    json_string(out, path(context));
    if let Some(query) = context.uri.query() {
        out.extend_from_slice(b",\"query\":");
        masked_query(out, query);
    }
    if let agent @ [_, ..] = context.named.user_agent() {
        out.extend_from_slice(b",\"userAgent\":");
        json_bytes(out, agent);
    }
}

/// Appends a query without its values as a JSON string.
fn masked_query(out: &mut Vec<u8>, query: &str) {
    let begin = out.len();
    out.push(b'"');
    fields::masked_query(out, query);
    // Few queries have a byte that must be escaped, so they are written in place first.
    if out[begin + 1..].iter().any(|byte| matches!(byte, b'"' | b'\\' | ..b' ')) {
        let masked = String::from_utf8_lossy(&out.split_off(begin + 1)).into_owned();
        out.truncate(begin);
        json_string(out, &masked);
    } else {
        out.push(b'"');
    }
}

/// Appends bytes of a header as a JSON string.
fn json_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    json_string(out, &String::from_utf8_lossy(bytes));
}

/// Appends `before` and a text that needs no escapes.
fn text(out: &mut Vec<u8>, before: &str, text: &str) {
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn number(out: &mut Vec<u8>, before: &str, value: u64) {
    out.extend_from_slice(before.as_bytes());
    write::number(out, value);
}

fn failure_fields(out: &mut Vec<u8>, facts: &Facts) {
    let code = facts.logged_code();
    if !code.is_empty() {
        out.extend_from_slice(b",\"code\":");
        json_string(out, code);
    }
    let Some(kind) = facts.kind else { return };
    let row = kind.row();
    if !row.reason.is_empty() {
        text(out, ",\"reason\":\"", row.reason);
        out.push(b'"');
    }
    if let Some(cause) = &facts.cause {
        out.extend_from_slice(b",\"cause\":");
        json_string(out, cause);
    }
    if let Some(original) = &facts.original {
        out.extend_from_slice(b",\"original\":");
        json_string(out, &original.text);
        if original.truncated {
            out.extend_from_slice(b",\"truncated\":true");
        }
    }
}
