//! Formats the access line of a request as JSON with all fields, directly into the buffer of the core. `selection` writes some of the
//! fields, `template` other forms, and `pretty` the form for a terminal.
//!
//! Bytes that a client controls are escaped, the values of a query are masked, and every field is bounded. Must not write to a sink;
//! `recorder` does.

use super::access_record::{End, Facts, WouldBe};
use super::field::level;
use super::fields;
use super::line::{LineContext, host, path};
use crate::context::RequestContext;
use crate::context::protocol;
use crate::redact;
use crate::write::{self, json_string};

/// Appends the access line of a request.
pub(super) fn append(out: &mut Vec<u8>, context: &RequestContext, facts: &Facts, line: &LineContext<'_>) {
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
    if let Some(would_be) = &facts.dry_run {
        out.extend_from_slice(b",\"dryRun\":");
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

/// Appends what the client sent.
fn request_fields(out: &mut Vec<u8>, context: &RequestContext) {
    out.extend_from_slice(b"\",\"client\":\"");
    fields::address(out, context.client);
    text(out, "\",\"protocol\":\"", protocol(context.version));
    if let Some(tls) = context.tls {
        text(out, "\",\"tls\":\"", tls);
    }
    text(out, "\",\"method\":\"", context.method.as_str());
    if let Some(host) = host(context) {
        out.extend_from_slice(b"\",\"host\":");
        json_bytes(out, host);
        out.extend_from_slice(b",\"path\":");
    } else {
        out.extend_from_slice(b"\",\"path\":");
    }
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
pub(super) fn masked_query(out: &mut Vec<u8>, query: &str) {
    let begin = out.len();
    out.push(b'"');
    redact::masked_query(out, query.as_bytes());
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
#[inline(always)]
pub(super) fn json_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => json_string(out, text),
        Err(_) => json_string(out, &String::from_utf8_lossy(bytes)),
    }
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

/// Appends what the client would have been told as a JSON object.
pub(super) fn dry_run(out: &mut Vec<u8>, would_be: &WouldBe) {
    number(out, "{\"status\":", u64::from(would_be.status));
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
