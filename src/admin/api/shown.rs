//! What each role sees of entries and groups.
//!
//! Pure functions. What is not in a list here is hidden from viewers, so that a new member tells them nothing.

use serde_json::{Map, Value};

use crate::admin::page::public_title;
use crate::admin::role::Role;

/// A member of an entry.
struct Member {
    name: &'static str,
    /// True if viewers see the member, because it holds nothing that an upstream said or a client sent.
    is_of_viewer: bool,
    /// It is a short text or a number.
    is_fact: bool,
}

const fn open(name: &'static str, is_fact: bool) -> Member {
    Member { name, is_of_viewer: true, is_fact }
}

const fn original(name: &'static str, is_fact: bool) -> Member {
    Member { name, is_of_viewer: false, is_fact }
}

/// All members of an entry, in the order in which people read them.
const OF_ENTRY: [Member; 36] = [
    open("request_id", true),
    open("trace_id", true),
    open("at", false),
    open("duration_us", false),
    open("upstream_us", false),
    open("method", true),
    open("path", true),
    open("query", true),
    open("host", true),
    open("protocol", false),
    open("client", true),
    open("route", true),
    open("backend", true),
    open("endpoint", true),
    open("gateway", true),
    open("attempts", false),
    open("status", true),
    open("received", true),
    open("code", true),
    open("reason", true),
    original("cause", true),
    original("exception", true),
    original("message", true),
    original("caused_by", true),
    original("title", false),
    original("stack", false),
    original("request_headers", false),
    original("request_body", false),
    original("request_truncated", false),
    original("upstream_headers", false),
    original("upstream_body", false),
    original("upstream_truncated", false),
    open("answer_headers", false),
    open("answer_body", false),
    open("config", true),
    open("fingerprint", true),
];

/// Returns true for a member of an entry that a viewer gets.
pub(super) fn is_of_viewer(name: &str) -> bool {
    OF_ENTRY.iter().any(|member| member.name == name && member.is_of_viewer)
}

/// Returns the names of the members of an entry that are short texts or numbers, in the order in which people read them.
pub fn facts() -> impl Iterator<Item = &'static str> {
    OF_ENTRY.iter().filter(|member| member.is_fact).map(|member| member.name)
}

/// The members of an entry in a list that a viewer gets.
pub(super) const OF_SUMMARY: &[&str] = &[
    "request_id",
    "at",
    "duration_us",
    "method",
    "path",
    "route",
    "backend",
    "endpoint",
    "status",
    "received",
    "code",
    "reason",
    "fingerprint",
];
/// The same of a group.
pub(super) const OF_GROUP: &[&str] =
    &["fingerprint", "route", "backend", "code", "reason", "first_seen", "last_seen", "count", "state", "first_config", "last_request_id"];

/// Returns a value as a role may see it. A viewer gets the members that are `of_viewer`: `hidden` names the others, and the title has
/// only the code and the reason.
pub(super) fn shown(value: &impl serde::Serialize, role: Role, of_viewer: impl Fn(&str) -> bool) -> Value {
    let whole = serialized(value);
    let Value::Object(members) = whole else { return whole };
    if role.shows_originals() {
        return Value::Object(members);
    }
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let title = public_title(text("code"), text("reason"));
    let (mut kept, mut hidden) = (Map::new(), Vec::new());
    for (name, value) in members {
        if of_viewer(&name) {
            kept.insert(name, value);
        } else if name != "title" {
            hidden.push(Value::String(name));
        }
    }
    kept.insert("title".to_owned(), Value::String(title));
    kept.insert("hidden".to_owned(), Value::Array(hidden));
    Value::Object(kept)
}

pub(super) fn serialized(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Entry;

    #[test]
    fn every_member_of_an_entry_is_judged() {
        let entry = serialized(&Entry::default());
        let mut members: Vec<&str> = entry.as_object().unwrap().keys().map(String::as_str).collect();
        let mut judged: Vec<&str> = OF_ENTRY.iter().map(|member| member.name).collect();
        members.sort_unstable();
        judged.sort_unstable();
        assert_eq!(members, judged);
    }
}
