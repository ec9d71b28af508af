//! The JSON shapes: envelope, problem (RFC 9457) and flat. Members have a fixed order, and strings are escaped. Knows no other shape.

use std::time::SystemTime;

use super::values::phrase;
use crate::envelope::{Debug, Envelope, Item};
use crate::failure::ViolatedPolicy;
use crate::policy::Details;
use crate::write::{self, json_string as string};

/// The length of a response without its texts, in bytes. Most are shorter.
const TYPICAL_LEN: usize = 384;

/// Writes one JSON object, member by member, to the end of a buffer.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

/// Returns the object whose members `members` writes.
pub(super) fn object(members: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(TYPICAL_LEN);
    append_object(&mut out, members);
    out
}

/// Returns the object whose members `members` writes, with room for the texts of an envelope.
fn response(e: &Envelope, members: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(TYPICAL_LEN + e.message.as_str().len() + e.path.len());
    append_object(&mut out, members);
    out
}

fn append_object(out: &mut Vec<u8>, members: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    members(&mut Object { out, first: true });
    out.push(b'}');
}

impl Object<'_> {
    /// Starts a member with a constant name, which needs no escape.
    fn key(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
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

    pub(super) fn timestamp(&mut self, name: &'static str, value: SystemTime) {
        let out = self.key(name);
        out.push(b'"');
        write::timestamp(out, value);
        out.push(b'"');
    }

    pub(super) fn raw(&mut self, name: &'static str, value: &[u8]) {
        self.key(name).extend_from_slice(value);
    }

    pub(super) fn object(&mut self, name: &'static str, members: impl FnOnce(&mut Object<'_>)) {
        append_object(self.key(name), members);
    }

    /// Adds a list of objects.
    pub(super) fn objects<T>(&mut self, name: &'static str, items: impl IntoIterator<Item = T>, members: impl Fn(&mut Object<'_>, T)) {
        list(self.key(name), items, |out, item| append_object(out, |object| members(object, item)));
    }
}

fn list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

pub(super) fn quoted(value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    string(&mut out, value);
    out
}

/// Renders the envelope format (contract section 3).
pub(super) fn envelope(e: &Envelope) -> Vec<u8> {
    response(e, |root| {
        root.object("error", |error| {
            error.text("code", &e.code);
            error.text("message", e.message.as_str());
            append_details(error, e);
        });
        root.number("statusCode", u64::from(e.status.as_u16()));
        root.timestamp("timestamp", e.timestamp);
        root.text("requestId", e.request_id.as_str());
        root.text("method", e.method.as_str());
        root.text("path", &e.path);
        append_debug(root, e);
    })
}

/// Renders the flat format.
pub(super) fn flat(e: &Envelope) -> Vec<u8> {
    response(e, |root| {
        root.number("statusCode", u64::from(e.status.as_u16()));
        root.text("error", phrase(e));
        root.text("message", e.message.as_str());
        root.text("code", &e.code);
        root.timestamp("timestamp", e.timestamp);
        root.text("path", &e.path);
        root.text("method", e.method.as_str());
        root.text("requestId", e.request_id.as_str());
        append_details(root, e);
        append_debug(root, e);
    })
}

/// Renders a problem document (RFC 9457 3.1) with the extensions of the contract.
pub(super) fn problem(e: &Envelope) -> Vec<u8> {
    response(e, |root| {
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
            root.objects("errors", &e.errors, problem_item);
        }
        append_limits(root, e);
        append_upstream(root, e);
        append_debug(root, e);
    })
}

fn problem_item(error: &mut Object<'_>, item: &Item) {
    error.text("detail", item.message.as_str());
    if let Some(field) = &item.field {
        error.text("pointer", &pointer(field));
    }
    if let Some(code) = &item.code {
        error.text("code", code);
    }
}

fn details_item(error: &mut Object<'_>, item: &Item) {
    if let Some(field) = &item.field {
        error.text("field", field);
    }
    error.text("message", item.message.as_str());
    if let Some(code) = &item.code {
        error.text("code", code);
    }
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

/// Adds the `details` object, unless it would be empty.
pub(super) fn append_details(root: &mut Object<'_>, e: &Envelope) {
    if has_details(e) {
        root.object("details", |details| append_details_to(details, e));
    }
}

/// Returns the `details` object, or `None` if it would be empty.
pub(super) fn details(e: &Envelope) -> Option<Vec<u8>> {
    has_details(e).then(|| object(|details| append_details_to(details, e)))
}

const fn has_details(e: &Envelope) -> bool {
    !e.errors.is_empty() || e.retry_after.is_some() || !e.violated.is_empty() || e.upstream.is_some()
}

fn append_details_to(details: &mut Object<'_>, e: &Envelope) {
    match e.details {
        Details::Map => {
            if e.errors.iter().any(|item| item.field.is_some()) {
                append_fields(details.key("fields"), e);
            }
            if e.general_errors().next().is_some() {
                details.objects("errors", e.general_errors(), details_item);
            }
        }
        Details::List if e.errors.is_empty() => {}
        Details::List => details.objects("errors", &e.errors, details_item),
    }
    append_limits(details, e);
    append_upstream(details, e);
}

fn append_upstream(root: &mut Object<'_>, e: &Envelope) {
    if let Some(upstream) = &e.upstream {
        root.raw("upstream", upstream.as_bytes());
    }
}

/// Returns an object of field paths to their messages.
pub(super) fn fields(e: &Envelope) -> Vec<u8> {
    let mut out = Vec::new();
    append_fields(&mut out, e);
    out
}

fn append_fields(out: &mut Vec<u8>, e: &Envelope) {
    append_object(out, |fields| {
        for (path, texts) in e.fields() {
            // The path is the client's, so it is escaped.
            fields.comma();
            string(fields.out, path);
            fields.out.push(b':');
            list(fields.out, texts, string);
        }
    });
}

fn append_limits(root: &mut Object<'_>, e: &Envelope) {
    if let Some(seconds) = e.retry_after {
        root.number("retryAfterSeconds", seconds);
    }
    if !e.violated.is_empty() {
        root.objects("violatedPolicies", &e.violated, |object, policy: &ViolatedPolicy| {
            object.text("name", &policy.name);
            object.number("limit", u64::from(policy.limit));
            object.number("windowSeconds", policy.window);
        });
    }
}

pub(super) fn append_debug(root: &mut Object<'_>, e: &Envelope) {
    if let Some(debug) = &e.debug {
        root.object("debug", |object| append_debug_to(object, debug));
    }
}

pub(super) fn debug_object(d: &Debug) -> Vec<u8> {
    object(|debug| append_debug_to(debug, d))
}

fn append_debug_to(debug: &mut Object<'_>, d: &Debug) {
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
