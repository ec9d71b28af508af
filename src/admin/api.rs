//! The journal as JSON: `/api/errors`, `/api/errors/ID`, `/api/groups` and `/api/groups/FINGERPRINT`.
//!
//! [`answer`] may block, because it waits for the store. A viewer gets the same answers without what upstreams said. Must not know how the
//! client has shown who it is.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::page::{Actions, public_title};
use super::role::Role;
use crate::config::units;
use crate::journal::entry::{Millis, now};
use crate::journal::query::{Cursor, Filter, GroupOrder, GroupQuery, GroupState, ListQuery, MAX_LIMIT};
use crate::journal::{Store, StoreError};

/// The items of a page, if the client names no number.
const DEFAULT_LIMIT: usize = 50;

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum ApiError {
    /// There is no such page, entry or group.
    NotFound,
    /// A parameter is not valid.
    Bad(String),
    /// The role may not ask this.
    Forbidden(&'static str),
    /// The store cannot be used at the moment.
    Store(StoreError),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Errors,
    Error,
    Groups,
    Group,
    SetState,
}

/// A question, or a state to set.
pub(super) struct Question<'a> {
    pub(super) subject: Subject,
    /// The last segment of its path: an id or a fingerprint.
    pub(super) name: &'a str,
    pub(super) query: &'a str,
    pub(super) role: Role,
}

/// Answers a question.
pub(super) fn answer(store: &dyn Store, actions: &dyn Actions, asked: &Question<'_>) -> Result<Value, ApiError> {
    let Question { subject, name, query, role } = *asked;
    match subject {
        Subject::Errors => list(store, query, role),
        Subject::Error => {
            let entry = store.find(name)?.ok_or(ApiError::NotFound)?;
            if role.shows_originals() {
                actions.opened(&entry.request_id);
            }
            Ok(shown(&entry, role, OF_ENTRY))
        }
        Subject::Groups => groups(store, query, role),
        Subject::Group => Ok(shown(&store.group(name)?.ok_or(ApiError::NotFound)?, role, OF_GROUP)),
        Subject::SetState => set_state(store, actions, name, query),
    }
}

/// The members of an entry that a viewer gets. All others tell what an upstream said or what a client sent to it.
const OF_ENTRY: &[&str] = &[
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
const OF_SUMMARY: &[&str] = &[
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
const OF_GROUP: &[&str] =
    &["fingerprint", "route", "backend", "code", "reason", "first_seen", "last_seen", "count", "state", "first_config", "last_request_id"];

/// Returns a value as a role may see it. To a viewer, `hidden` names the members that are left out, and the title says only what the client
/// was told.
fn shown(value: &impl serde::Serialize, role: Role, of_viewer: &[&str]) -> Value {
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

fn serialized(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Reads a time: milliseconds since 1970, RFC 3339, or how long ago it is (`15m`).
fn time(text: &str) -> Result<Millis, ApiError> {
    let ago = |ago: Duration| now().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(Millis::MAX));
    let moment = || text.parse::<jiff::Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok());
    let found = text.parse().ok().or_else(|| units::duration(text).ok().map(ago)).or_else(moment);
    found.ok_or_else(|| ApiError::Bad(format!("`{text}` is not a time; expected 15m, 2026-12-01T06:00:00Z or milliseconds since 1970")))
}

/// Reads statuses: `502`, `5xx` or `500-504`.
fn statuses(text: &str) -> Result<(u16, u16), ApiError> {
    let bad = || ApiError::Bad(format!("`{text}` is not a status; expected 502, 5xx or 500-504"));
    let number = |text: &str| text.parse::<u16>().ok().filter(|status| (100..600).contains(status)).ok_or_else(bad);
    match (text.strip_suffix("xx"), text.split_once('-')) {
        (Some(class), _) => {
            class.parse::<u16>().ok().filter(|class| (1..=5).contains(class)).map(|class| (class * 100, class * 100 + 99)).ok_or_else(bad)
        }
        (None, Some((first, last))) => Ok((number(first)?, number(last)?)),
        (None, None) => number(text).map(|status| (status, status)),
    }
}

fn limit(text: &str) -> Result<usize, ApiError> {
    text.parse()
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| ApiError::Bad(format!("`limit` must be from 1 to {MAX_LIMIT}")))
}

fn unknown(name: &str, known: &str) -> ApiError {
    ApiError::Bad(format!("`{name}` is not a parameter; expected {known}"))
}

fn list(store: &dyn Store, query: &str, role: Role) -> Result<Value, ApiError> {
    let mut asked = ListQuery { filter: Filter::default(), after: None, limit: DEFAULT_LIMIT };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let (filter, text) = (&mut asked.filter, value.as_ref());
        if matches!(name.as_ref(), "exception" | "text") && !role.shows_originals() {
            // What is found would tell what an original holds.
            return Err(ApiError::Forbidden("`exception` and `text` search in what backends said, which a viewer does not see"));
        }
        match name.as_ref() {
            "since" => filter.since = Some(time(text)?),
            "until" => filter.until = Some(time(text)?),
            "route" => filter.route = Some(text.to_owned()),
            "backend" => filter.backend = Some(text.to_owned()),
            "endpoint" => filter.endpoint = Some(text.to_owned()),
            "status" => filter.status = Some(statuses(text)?),
            "code" => filter.code = Some(text.to_owned()),
            "reason" => filter.reason = Some(text.to_owned()),
            "exception" => filter.exception = Some(text.to_owned()),
            "group" => filter.group = Some(text.to_owned()),
            "text" => filter.text = Some(text.to_owned()),
            "after" => asked.after = Some(Cursor::decode(text).ok_or_else(|| ApiError::Bad("`after` is not a cursor".to_owned()))?),
            "limit" => asked.limit = limit(text)?,
            _ => {
                return Err(unknown(
                    &name,
                    "since, until, route, backend, endpoint, status, code, reason, exception, group, text, after or limit",
                ));
            }
        }
    }
    let page = store.list(&asked)?;
    let items: Vec<Value> = page.items.iter().map(|item| shown(item, role, OF_SUMMARY)).collect();
    Ok(json!({ "items": items, "next": page.next.map(|next| next.encode()) }))
}

fn groups(store: &dyn Store, query: &str, role: Role) -> Result<Value, ApiError> {
    let mut asked = GroupQuery { limit: DEFAULT_LIMIT, ..GroupQuery::default() };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let text = value.as_ref();
        match name.as_ref() {
            "state" => asked.states.push(state(text)?),
            "since" => asked.since = Some(time(text)?),
            "route" => asked.route = Some(text.to_owned()),
            "backend" => asked.backend = Some(text.to_owned()),
            "order" => {
                asked.order = match text {
                    "last" => GroupOrder::LastSeen,
                    "first" => GroupOrder::FirstSeen,
                    "count" => GroupOrder::Count,
                    _ => return Err(ApiError::Bad("`order` must be last, first or count".to_owned())),
                }
            }
            "offset" => asked.offset = text.parse().map_err(|_| ApiError::Bad("`offset` must be a number".to_owned()))?,
            "limit" => asked.limit = limit(text)?,
            _ => return Err(unknown(&name, "state, since, route, backend, order, offset or limit")),
        }
    }
    let items: Vec<Value> = store.groups(&asked)?.iter().map(|group| shown(group, role, OF_GROUP)).collect();
    Ok(json!({ "items": items }))
}

fn state(word: &str) -> Result<GroupState, ApiError> {
    GroupState::of_word(word)
        .ok_or_else(|| ApiError::Bad(format!("`{word}` is not a state; expected new, known, resolved, regressed or muted")))
}

fn set_state(store: &dyn Store, actions: &dyn Actions, fingerprint: &str, query: &str) -> Result<Value, ApiError> {
    let wanted = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "state").map(|(_, value)| value.into_owned());
    let wanted = state(&wanted.ok_or_else(|| ApiError::Bad("the parameter `state` is missing".to_owned()))?)?;
    if !actions.set_state(fingerprint, wanted)? {
        return Err(ApiError::NotFound);
    }
    Ok(serialized(&store.group(fingerprint)?))
}
