//! Makes an entry of an observation: masks credentials, bounds every part, and finds the group.
//!
//! Runs on the journal's thread. Nothing leaves this file unmasked.

use super::entry::{AttemptEntry, Entry, Headers, Millis};
use super::fingerprint;
use super::observation::{Attempt, Observation, Said, Told};
use super::payload;
use super::rules::{MASK, Rules};
use crate::context::protocol;
use crate::header::HeaderList;
use crate::redact;
use crate::report;
use crate::text::{Untrusted, plain_host};

/// The most of a body that the client got, in bytes.
const MAX_ANSWER: usize = 16 * 1024;
/// The most of a single header value, in bytes.
const MAX_VALUE: usize = 1024;
/// The most headers of a message.
const MAX_HEADERS: usize = 100;
/// The most of a path, a message or another short text, in bytes.
const MAX_TEXT: usize = 2 * 1024;
/// The most of a stack trace, in bytes.
const MAX_STACK: usize = 32 * 1024;
/// Headers whose value is a credential as a whole.
const CREDENTIALS: [&str; 10] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-amz-security-token",
    "client-cert",
    "x-csrf-token",
];

impl Rules {
    fn short(&self, text: &Untrusted) -> String {
        self.text(text.raw(), MAX_TEXT)
    }

    fn headers(&self, list: &HeaderList) -> Headers {
        let one = |(name, value): (&http::HeaderName, crate::header::Value<'_>)| {
            let (name, value) = (name.as_str(), value.as_bytes());
            let value = if name == "host" { plain_host(value) } else { value };
            let secret = CREDENTIALS.contains(&name) || self.headers.iter().any(|header| header == name);
            let value = if secret { MASK.to_owned() } else { self.text(&String::from_utf8_lossy(value), MAX_VALUE) };
            (name.to_owned(), value)
        };
        list.iter().take(MAX_HEADERS).map(one).collect()
    }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn attempt(attempt: &Attempt) -> AttemptEntry {
    AttemptEntry {
        endpoint: attempt.endpoint.as_deref().map(str::to_owned),
        begin_us: micros(attempt.begin),
        connect_us: micros(attempt.connect),
        took_us: micros(attempt.took),
        status: attempt.status,
        reason: attempt.kind.map(|kind| kind.row().reason.to_owned()),
    }
}

/// Returns a query without its values.
fn masked_query(query: &str) -> String {
    let mut masked = Vec::new();
    redact::masked_query(&mut masked, query.as_bytes());
    String::from_utf8_lossy(&masked).into_owned()
}

/// Makes the entry.
pub(super) fn entry(observed: Observation, rules: &Rules) -> Entry {
    let at = observed.at.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut entry = Entry {
        request_id: observed.id.as_str().to_owned(),
        trace_id: observed.trace.map(|trace| String::from_utf8_lossy(&trace).into_owned()),
        at: u64::try_from(at.as_millis()).unwrap_or(Millis::MAX),
        duration_us: micros(observed.took),
        upstream_us: observed.upstream_time.map(micros),
        client: observed.client.to_string(),
        method: observed.method.as_str().to_owned(),
        host: observed.host.map(|host| rules.text(&String::from_utf8_lossy(plain_host(&host)), MAX_VALUE)),
        path: rules.text(observed.uri.path(), MAX_TEXT),
        query: observed.uri.query().map(masked_query),
        protocol: protocol(observed.version).to_owned(),
        request_headers: rules.headers(&observed.headers),
        route: observed.route.to_string(),
        backend: observed.backend.to_string(),
        endpoint: observed.endpoint.map(|endpoint| endpoint.to_string()),
        attempts: observed.attempts.iter().map(attempt).collect(),
        status: observed.status,
        received: observed.received,
        code: rules.text(&observed.code, MAX_VALUE),
        reason: observed.kind.row().reason.to_owned(),
        cause: observed.cause.map(|cause| rules.text(&cause, MAX_TEXT)),
        config: observed.config.to_string(),
        gateway: rules.gateway.clone(),
        ..Entry::default()
    };
    if let Some(body) = &observed.body {
        let payload::Shown { text, truncated } = payload::shown(body, rules);
        (entry.request_body, entry.request_truncated) = (text, truncated);
    }
    if let Some(said) = observed.said {
        add_said(&mut entry, *said, rules);
    }
    if let Some(Told { headers, body }) = observed.told.map(|told| *told) {
        entry.answer_headers = rules.headers(&headers);
        entry.answer_body = Some(rules.text(&String::from_utf8_lossy(&body), MAX_ANSWER));
    }
    (entry.fingerprint, entry.title) = fingerprint::of(&entry);
    entry
}

fn add_said(entry: &mut Entry, said: Said, rules: &Rules) {
    let Said { headers, body, truncated, report: read } = said;
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
    // The request itself reads a body only if the client is told of it.
    let read = read.unwrap_or_else(|| report::read_as(&body, content_type.as_deref(), crate::language::Languages::new(None, &[])));
    let short = |text: &Option<Untrusted>| text.as_ref().map(|text| rules.short(text));
    entry.exception = short(&read.exception);
    entry.message = short(&read.message);
    entry.caused_by = short(&read.cause);
    entry.stack = read.stack.as_ref().map(|stack| rules.text(stack.raw(), MAX_STACK));
    entry.upstream_headers = rules.headers(&headers);
    entry.upstream_truncated = truncated || body.len() > rules.body_limit;
    entry.upstream_body = Some(rules.text(&body, rules.body_limit));
}
