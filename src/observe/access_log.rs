//! Formats the access line of a request, as JSON or as text, directly into the buffer of the core.
//!
//! Bytes that a client controls are escaped, the path has no query, and every field is bounded. Must not write to a sink; `recorder` does.

use std::io::Write;
use std::time::Duration;

use super::access_record::{End, Facts, WouldBe};
use super::fields;
use super::metrics::RouteMetrics;
use crate::context::RequestContext;
use crate::failure::catalog::Severity;
use crate::text::bounded;
use crate::write::{self, json_string};

/// The format of access lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One JSON object per line.
    Json,
    /// Human-readable text.
    Pretty,
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

/// Appends the access line of a request. Writing to memory cannot fail, so errors are ignored.
pub(super) fn append(out: &mut Vec<u8>, context: &RequestContext, facts: &Facts, line: &LineContext<'_>) {
    match line.style {
        Style::Json => json(out, context, facts, line),
        Style::Pretty => pretty(out, context, facts, line),
    }
}

fn level(facts: &Facts) -> &'static str {
    match facts.kind.map(|kind| kind.row().severity) {
        Some(Severity::Error) => "ERROR",
        Some(Severity::Warn) => "WARN",
        Some(Severity::Info) | None => "INFO",
    }
}

fn path(context: &RequestContext) -> &str {
    bounded(context.path(), MAX_PATH)
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
    out.extend_from_slice(b"\",\"client\":\"");
    fields::address(out, context.client);
    text(out, "\",\"method\":\"", context.method.as_str());
    out.extend_from_slice(b"\",\"path\":");
    json_string(out, path(context));
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
    if let Some(would_be) = &facts.dry_run {
        dry_run(out, would_be);
    }
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
    let Some(kind) = facts.kind else { return };
    let row = kind.row();
    if !row.code.is_empty() {
        text(out, ",\"code\":\"", row.code);
        out.push(b'"');
    }
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

fn dry_run(out: &mut Vec<u8>, would_be: &WouldBe) {
    number(out, ",\"dryRun\":{\"status\":", u64::from(would_be.status));
    for (name, value) in [(",\"code\":", would_be.code.as_deref()), (",\"message\":", would_be.message.as_deref())] {
        if let Some(value) = value {
            out.extend_from_slice(name.as_bytes());
            json_string(out, value);
        }
    }
    out.extend_from_slice(b",\"redactions\":{");
    for (at, (family, count)) in would_be.redactions.iter().enumerate() {
        text(out, if at == 0 { "\"" } else { ",\"" }, family);
        number(out, "\":", *count as u64);
    }
    out.extend_from_slice(b"}}");
}

fn pretty(out: &mut Vec<u8>, context: &RequestContext, facts: &Facts, line: &LineContext<'_>) {
    write::timestamp(out, context.wall);
    let (level, status, method) = (level(facts), facts.logged_status(), &context.method);
    let _ = write!(out, " {level:>5} {status} {method} {} ", path(context).escape_debug());
    fields::millis(out, line.took);
    let _ = write!(out, "ms route={} id={}", line.route.name, context.id.as_str());
    if let Some(received) = facts.received {
        let _ = write!(out, " received={received}");
    }
    if let Some(kind) = facts.kind {
        let row = kind.row();
        let _ = write!(out, " code={} reason={}", row.code, row.reason);
    }
    if facts.end == End::Aborted {
        out.extend_from_slice(b" aborted");
    }
    if let Some(would_be) = &facts.dry_run {
        let _ = write!(out, " dryRun={} wouldBe={}", would_be.status, would_be.code.as_deref().unwrap_or("-"));
    }
    if let Some(end) = facts.tunnel_end {
        let _ = write!(out, " tunnelEnd={}", end.as_str());
    }
    if let Some(cause) = &facts.cause {
        let _ = write!(out, " cause=\"{}\"", cause.escape_debug());
    }
    if let Some(original) = &facts.original {
        let _ = write!(out, " original=\"{}\"", original.text.escape_debug());
    }
    out.push(b'\n');
}
