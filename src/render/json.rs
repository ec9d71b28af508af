//! The JSON shapes: envelope, problem (RFC 9457) and flat. Members have a fixed order, and strings are escaped. Knows no other shape.

use super::values::phrase;
use crate::envelope::{Debug, Envelope, Item};
use crate::failure::ViolatedPolicy;
use crate::policy::Details;
use crate::write::{self, json_string as string};

/// The initial capacity of an object, in bytes. Most objects are shorter.
const TYPICAL_LEN: usize = 384;

/// Writes one JSON object, member by member.
pub(super) struct Object {
    out: Vec<u8>,
    first: bool,
}

impl Object {
    pub(super) fn new() -> Self {
        let mut out = Vec::with_capacity(TYPICAL_LEN);
        out.push(b'{');
        Self { out, first: true }
    }

    /// Starts a member with a constant name, which needs no escape.
    fn key(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        &mut self.out
    }

    fn comma(&mut self) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
    }

    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        string(self.key(name), value);
    }

    pub(super) fn number(&mut self, name: &'static str, value: u64) {
        write::number(self.key(name), value);
    }

    pub(super) fn raw(&mut self, name: &'static str, value: &[u8]) {
        self.key(name).extend_from_slice(value);
    }

    /// Adds a member with an arbitrary name, which is escaped.
    fn raw_with_name(&mut self, name: &str, value: &[u8]) {
        self.comma();
        string(&mut self.out, name);
        self.out.push(b':');
        self.out.extend_from_slice(value);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

fn list(items: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut out = vec![b'['];
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&item);
    }
    out.push(b']');
    out
}

pub(super) fn quoted(value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    string(&mut out, value);
    out
}

/// Returns an array of JSON values.
pub(super) fn array(items: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    list(items.into_iter())
}

/// Renders the envelope format (contract section 3).
pub(super) fn envelope(e: &Envelope) -> Vec<u8> {
    let mut error = Object::new();
    error.text("code", &e.code);
    error.text("message", e.message.as_str());
    if let Some(details) = details(e) {
        error.raw("details", &details);
    }
    let mut root = Object::new();
    root.raw("error", &error.finish());
    root.number("statusCode", u64::from(e.status.as_u16()));
    root.text("timestamp", &super::values::timestamp(e.timestamp));
    root.text("requestId", e.request_id.as_str());
    root.text("method", e.method.as_str());
    root.text("path", &e.path);
    append_debug(&mut root, e);
    root.finish()
}

/// Renders the flat format.
pub(super) fn flat(e: &Envelope) -> Vec<u8> {
    let mut root = Object::new();
    root.number("statusCode", u64::from(e.status.as_u16()));
    root.text("error", phrase(e));
    root.text("message", e.message.as_str());
    root.text("code", &e.code);
    root.text("timestamp", &super::values::timestamp(e.timestamp));
    root.text("path", &e.path);
    root.text("method", e.method.as_str());
    root.text("requestId", e.request_id.as_str());
    if let Some(details) = details(e) {
        root.raw("details", &details);
    }
    append_debug(&mut root, e);
    root.finish()
}

/// Renders a problem document (RFC 9457 3.1) with the extensions of the contract.
pub(super) fn problem(e: &Envelope) -> Vec<u8> {
    let mut root = Object::new();
    root.text("type", e.problem_type.as_deref().unwrap_or("about:blank"));
    root.text("title", phrase(e));
    root.number("status", u64::from(e.status.as_u16()));
    root.text("detail", e.message.as_str());
    if is_uuid(e.request_id.as_str()) {
        root.text("instance", &format!("urn:uuid:{}", e.request_id.as_str()));
    }
    root.text("code", &e.code);
    root.text("requestId", e.request_id.as_str());
    if !e.errors.is_empty() {
        root.raw("errors", &list(e.errors.iter().map(problem_item)));
    }
    if let Some(seconds) = e.retry_after {
        root.number("retryAfterSeconds", seconds);
    }
    if !e.violated.is_empty() {
        root.raw("violatedPolicies", &violated(&e.violated));
    }
    append_debug(&mut root, e);
    root.finish()
}

fn problem_item(item: &Item) -> Vec<u8> {
    let mut error = Object::new();
    error.text("detail", item.message.as_str());
    if let Some(field) = &item.field {
        error.text("pointer", &pointer(field));
    }
    if let Some(code) = &item.code {
        error.text("code", code);
    }
    error.finish()
}

fn details_item(item: &Item) -> Vec<u8> {
    let mut error = Object::new();
    if let Some(field) = &item.field {
        error.text("field", field);
    }
    error.text("message", item.message.as_str());
    if let Some(code) = &item.code {
        error.text("code", code);
    }
    error.finish()
}

/// Converts a path to a JSON pointer (RFC 6901 6): `items[0].qty` becomes `#/items/0/qty`.
fn pointer(path: &str) -> String {
    let mut out = String::from("#");
    for segment in path.split(['.', '[']).map(|s| s.trim_end_matches(']')).filter(|s| !s.is_empty()) {
        out.push('/');
        out.push_str(&segment.replace('~', "~0").replace('/', "~1"));
    }
    out
}

fn is_uuid(id: &str) -> bool {
    id.len() == 36 && id.bytes().enumerate().all(|(at, b)| if matches!(at, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() })
}

/// Returns the `details` object, or `None` if it would be empty.
pub(super) fn details(e: &Envelope) -> Option<Vec<u8>> {
    let mut details = Object::new();
    let has_fields = e.errors.iter().any(|item| item.field.is_some());
    let errors: Vec<&Item> = match e.details {
        Details::Map => e.general_errors().collect(),
        Details::List => e.errors.iter().collect(),
    };
    if has_fields && e.details == Details::Map {
        details.raw("fields", &fields(e));
    }
    if !errors.is_empty() {
        details.raw("errors", &list(errors.into_iter().map(details_item)));
    }
    if let Some(seconds) = e.retry_after {
        details.number("retryAfterSeconds", seconds);
    }
    if !e.violated.is_empty() {
        details.raw("violatedPolicies", &violated(&e.violated));
    }
    (!details.first).then(|| details.finish())
}

/// Returns an object of field paths to their messages.
pub(super) fn fields(e: &Envelope) -> Vec<u8> {
    let mut fields = Object::new();
    for (path, texts) in e.fields() {
        fields.raw_with_name(path, &list(texts.into_iter().map(quoted)));
    }
    fields.finish()
}

fn violated(policies: &[ViolatedPolicy]) -> Vec<u8> {
    list(policies.iter().map(|policy| {
        let mut object = Object::new();
        object.text("name", &policy.name);
        object.number("limit", u64::from(policy.limit));
        object.number("windowSeconds", policy.window);
        object.finish()
    }))
}

pub(super) fn append_debug(root: &mut Object, e: &Envelope) {
    if let Some(debug) = &e.debug {
        root.raw("debug", &debug_object(debug));
    }
}

pub(super) fn debug_object(d: &Debug) -> Vec<u8> {
    let mut debug = Object::new();
    debug.text("reason", &d.reason);
    if let Some(status) = d.upstream_status {
        debug.number("upstreamStatus", u64::from(status));
    }
    let texts = [("backend", d.backend.as_deref()), ("endpoint", d.endpoint.as_deref())];
    for (name, value) in texts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        debug.text(name, value);
    }
    debug.number("attempts", u64::from(d.attempts));
    if let Some(certainty) = d.certainty {
        debug.text("certainty", certainty);
    }
    let foreign = [("exception", &d.exception), ("cause", &d.cause), ("stack", &d.stack), ("body", &d.body)];
    for (name, value) in foreign.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        debug.text(name, value.as_str());
    }
    debug.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_follow_rfc_6901() {
        assert_eq!(pointer("items[0].qty"), "#/items/0/qty");
        assert_eq!(pointer("a/b"), "#/a~1b");
        assert_eq!(pointer("email"), "#/email");
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(quoted("a\"\n\u{1}"), br#""a\"\n\u0001""#);
    }
}
