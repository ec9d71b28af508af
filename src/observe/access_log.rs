//! The access line: one per request, JSON or text, formatted once into a buffer that is there.
//!
//! Attacker bytes are escaped, the path has no query, everything is bounded.

use std::io::Write;
use std::time::Duration;

use super::visit::{End, Visit};
use crate::failure::catalog::Severity;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

/// The longest path that is shown, in bytes.
const MAX_PATH: usize = 1024;

/// Appends the line of a visit. Writing to memory cannot fail, so results are not looked at.
pub(super) fn line(out: &mut Vec<u8>, visit: &Visit, route: &str, took: Duration, style: Style) {
    match style {
        Style::Json => json(out, visit, route, took),
        Style::Pretty => pretty(out, visit, route, took),
    }
}

fn level(visit: &Visit) -> &'static str {
    match visit.kind.map(|kind| kind.row().severity) {
        Some(Severity::Error) => "ERROR",
        Some(Severity::Warn) => "WARN",
        Some(Severity::Info) | None => "INFO",
    }
}

fn path(visit: &Visit) -> &str {
    let path = visit.context.path();
    let mut end = path.len().min(MAX_PATH);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    &path[..end]
}

fn json(out: &mut Vec<u8>, visit: &Visit, route: &str, took: Duration) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    timestamp(out, visit.context.wall);
    let _ = write!(out, "\",\"level\":\"{}\",\"message\":\"request\",\"requestId\":\"{}\"", level(visit), visit.context.id.as_str());
    if let Some(trace) = visit.trace.as_ref().and_then(|value| value.to_str().ok()?.get(3..35)) {
        let _ = write!(out, ",\"traceId\":\"{trace}\"");
    }
    let _ = write!(out, ",\"client\":\"{}\",\"method\":\"{}\",\"path\":", visit.context.client, visit.context.method);
    string(out, path(visit));
    out.extend_from_slice(b",\"route\":");
    string(out, route);
    if let Some((backend, _)) = &visit.backend {
        out.extend_from_slice(b",\"backend\":");
        string(out, backend);
    }
    if let Some(endpoint) = &visit.endpoint {
        out.extend_from_slice(b",\"endpoint\":");
        string(out, endpoint);
    }
    let _ = write!(out, ",\"status\":{}", visit.logged_status());
    if let Some(received) = visit.received {
        let _ = write!(out, ",\"received\":{received}");
    }
    if visit.end == End::Aborted {
        out.extend_from_slice(b",\"aborted\":true");
    }
    failure_fields(out, visit);
    let _ = write!(out, ",\"attempts\":{},\"durationMs\":{}", visit.attempts, millis(took));
    if let Some(upstream) = visit.upstream_time {
        let _ = write!(out, ",\"upstreamMs\":{}", millis(upstream));
    }
    let _ = writeln!(out, ",\"bytesIn\":{},\"bytesOut\":{}}}", visit.bytes_in, visit.bytes_out);
}

fn failure_fields(out: &mut Vec<u8>, visit: &Visit) {
    let Some(kind) = visit.kind else { return };
    let row = kind.row();
    if !row.code.is_empty() {
        let _ = write!(out, ",\"code\":\"{}\"", row.code);
    }
    if !row.reason.is_empty() {
        let _ = write!(out, ",\"reason\":\"{}\"", row.reason);
    }
    if let Some(cause) = &visit.cause {
        out.extend_from_slice(b",\"cause\":");
        string(out, cause);
    }
    if let Some(original) = &visit.original {
        out.extend_from_slice(b",\"original\":");
        string(out, &original.text);
        if original.truncated {
            out.extend_from_slice(b",\"truncated\":true");
        }
    }
}

fn pretty(out: &mut Vec<u8>, visit: &Visit, route: &str, took: Duration) {
    timestamp(out, visit.context.wall);
    let _ = write!(
        out,
        " {:>5} {} {} {} {}ms",
        level(visit),
        visit.logged_status(),
        visit.context.method,
        path(visit).escape_debug(),
        millis(took)
    );
    let _ = write!(out, " route={route} id={}", visit.context.id.as_str());
    if let Some(received) = visit.received {
        let _ = write!(out, " received={received}");
    }
    if let Some(kind) = visit.kind {
        let row = kind.row();
        let _ = write!(out, " code={} reason={}", row.code, row.reason);
    }
    if visit.end == End::Aborted {
        out.extend_from_slice(b" aborted");
    }
    if let Some(cause) = &visit.cause {
        let _ = write!(out, " cause=\"{}\"", cause.escape_debug());
    }
    if let Some(original) = &visit.original {
        let _ = write!(out, " original=\"{}\"", original.text.escape_debug());
    }
    out.push(b'\n');
}

fn string(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text);
}

/// Milliseconds with microseconds behind the point, without a float's digits.
fn millis(duration: Duration) -> impl std::fmt::Display {
    struct Millis(u128);
    impl std::fmt::Display for Millis {
        fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(out, "{}.{:03}", self.0 / 1000, self.0 % 1000)
        }
    }
    Millis(duration.as_micros())
}

/// RFC 3339 in UTC with milliseconds.
fn timestamp(out: &mut Vec<u8>, at: std::time::SystemTime) {
    if let Ok(at) = jiff::Timestamp::try_from(at) {
        let _ = write!(out, "{at:.3}");
    }
}
