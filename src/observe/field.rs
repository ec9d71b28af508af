//! The fields of an access line: their names, and the value that each has for a request.
//!
//! Templates and selections of fields look names up here when the configuration is compiled. Must not know how a value is written; `template`
//! and `selection` do.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::access_record::{End, Facts, Original, WouldBe};
use super::line::{LineContext, host, path};
use crate::context::RequestContext;
use crate::context::protocol;
use crate::failure::catalog::Severity;

/// A field of an access line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "docs/operations.md explains the fields")]
pub enum Field {
    Timestamp,
    Level,
    Message,
    RequestId,
    TraceId,
    Client,
    Protocol,
    Tls,
    Method,
    Host,
    Path,
    Query,
    UserAgent,
    Route,
    Backend,
    Endpoint,
    Status,
    Received,
    Aborted,
    TunnelEnd,
    Code,
    Reason,
    Cause,
    Original,
    DryRun,
    Attempts,
    DurationMs,
    UpstreamMs,
    BytesIn,
    BytesOut,
}

/// All fields with their names, in the order of a JSON line.
pub const FIELDS: [(&str, Field); 30] = [
    ("timestamp", Field::Timestamp),
    ("level", Field::Level),
    ("message", Field::Message),
    ("requestId", Field::RequestId),
    ("traceId", Field::TraceId),
    ("client", Field::Client),
    ("protocol", Field::Protocol),
    ("tls", Field::Tls),
    ("method", Field::Method),
    ("host", Field::Host),
    ("path", Field::Path),
    ("query", Field::Query),
    ("userAgent", Field::UserAgent),
    ("route", Field::Route),
    ("backend", Field::Backend),
    ("endpoint", Field::Endpoint),
    ("status", Field::Status),
    ("received", Field::Received),
    ("aborted", Field::Aborted),
    ("tunnelEnd", Field::TunnelEnd),
    ("code", Field::Code),
    ("reason", Field::Reason),
    ("cause", Field::Cause),
    ("original", Field::Original),
    ("dryRun", Field::DryRun),
    ("attempts", Field::Attempts),
    ("durationMs", Field::DurationMs),
    ("upstreamMs", Field::UpstreamMs),
    ("bytesIn", Field::BytesIn),
    ("bytesOut", Field::BytesOut),
];

impl Field {
    /// Returns the field with this name.
    pub fn named(name: &str) -> Option<Self> {
        FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
    }
}

/// The value of a field.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// The request has none.
    Nothing,
    /// Bytes of which none must be escaped in any format, and which have no spaces.
    Plain(&'a [u8]),
    /// Bytes from anywhere.
    Text(&'a [u8]),
    /// A query with its values, which may be secrets.
    Query(&'a str),
    Number(u64),
    Duration(Duration),
    Time(SystemTime),
    Address(IpAddr),
    True,
    Original(&'a Original),
    DryRun(&'a WouldBe),
}

fn text<'a>(text: Option<&'a (impl AsRef<[u8]> + ?Sized)>) -> Value<'a> {
    match text.map(AsRef::as_ref) {
        None | Some([]) => Value::Nothing,
        Some(text) => Value::Text(text),
    }
}

const fn plain(text: &str) -> Value<'_> {
    if text.is_empty() { Value::Nothing } else { Value::Plain(text.as_bytes()) }
}

/// Returns the word for the severity of a request.
#[inline(always)]
pub(super) fn level(facts: &Facts) -> &'static str {
    match facts.kind.map(|kind| kind.row().severity) {
        Some(Severity::Error) => "ERROR",
        Some(Severity::Warn) => "WARN",
        Some(Severity::Info) | None => "INFO",
    }
}

/// Returns the value that a field has for a request.
pub(super) fn value<'a>(field: Field, context: &'a RequestContext, facts: &'a Facts, line: &LineContext<'a>) -> Value<'a> {
    match field {
        Field::Timestamp => Value::Time(context.wall),
        Field::Level => plain(level(facts)),
        Field::Message => plain("request"),
        Field::RequestId => Value::Plain(context.id.as_bytes()),
        Field::TraceId => facts.trace.as_ref().map_or(Value::Nothing, |trace| Value::Plain(trace)),
        Field::Client => Value::Address(context.client),
        Field::Protocol => plain(protocol(context.version)),
        Field::Tls => plain(context.tls.unwrap_or_default()),
        // A token (RFC 9110 5.6.2) has no byte that must be escaped.
        Field::Method => plain(context.method.as_str()),
        Field::Host => host(context).map_or(Value::Nothing, Value::Text),
        Field::Path => Value::Text(path(context).as_bytes()),
        Field::Query => context.uri.query().map_or(Value::Nothing, Value::Query),
        Field::UserAgent => text(Some(context.named.user_agent())),
        Field::Route => Value::Text(line.route.name.as_bytes()),
        Field::Backend if facts.dispatched => Value::Text(line.route.backend.as_bytes()),
        Field::Backend => Value::Nothing,
        Field::Endpoint => facts.trail.endpoint.as_deref().map_or(Value::Nothing, |endpoint| Value::Text(endpoint.as_bytes())),
        Field::Status => Value::Number(u64::from(facts.logged_status())),
        Field::Received => facts.received.map_or(Value::Nothing, |status| Value::Number(u64::from(status))),
        Field::Aborted if facts.end == End::Aborted => Value::True,
        Field::Aborted => Value::Nothing,
        Field::TunnelEnd => plain(facts.tunnel_end.map_or("", |end| end.as_str())),
        Field::Code => text(Some(facts.logged_code())),
        Field::Reason => plain(facts.kind.map_or("", |kind| kind.row().reason)),
        // Only a failure has a cause and an original.
        Field::Cause => facts.kind.and(facts.cause.as_deref()).map_or(Value::Nothing, |cause| Value::Text(cause.as_bytes())),
        Field::Original => facts.kind.and(facts.original.as_deref()).map_or(Value::Nothing, Value::Original),
        Field::DryRun => facts.dry_run.as_deref().map_or(Value::Nothing, Value::DryRun),
        Field::Attempts => Value::Number(u64::from(facts.trail.attempts)),
        Field::DurationMs => Value::Duration(line.took),
        Field::UpstreamMs => facts.upstream_time.map_or(Value::Nothing, Value::Duration),
        Field::BytesIn => Value::Number(facts.bytes_in()),
        Field::BytesOut => Value::Number(facts.bytes_out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_that_of_one_field() {
        for (at, (name, field)) in FIELDS.iter().enumerate() {
            assert_eq!(Field::named(name), Some(*field));
            assert_eq!(*field as usize, at, "{name}");
        }
        assert_eq!(Field::named("Status"), None);
    }
}
