//! What each role sees of entries and groups.
//!
//! Pure functions. What is not in a list here is hidden from viewers, so that a new member tells them nothing.

use serde_json::{Map, Value};

use crate::admin::page::public_title;
use crate::admin::role::Role;

/// The members of an entry that a viewer gets. All others tell what an upstream said or what a client sent to it.
pub(super) const OF_ENTRY: &[&str] = &[
    "request_id",
    "trace_id",
    "at",
    "duration_us",
    "upstream_us",
    "client",
    "method",
    "host",
    "path",
    "query",
    "protocol",
    "route",
    "backend",
    "endpoint",
    "attempts",
    "status",
    "received",
    "code",
    "reason",
    "answer_headers",
    "answer_body",
    "config",
    "gateway",
    "fingerprint",
];
/// The same of an entry in a list.
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

/// Returns a value as a role may see it. To a viewer, `hidden` names the members that are left out, and the title says only what the client
/// was told.
pub(super) fn shown(value: &impl serde::Serialize, role: Role, of_viewer: &[&str]) -> Value {
    let whole = serialized(value);
    let Value::Object(members) = whole else { return whole };
    if role.shows_originals() {
        return Value::Object(members);
    }
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let title = public_title(text("code"), text("reason"));
    let (mut kept, mut hidden) = (Map::new(), Vec::new());
    for (name, value) in members {
        if of_viewer.contains(&name.as_str()) {
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
