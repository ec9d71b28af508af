//! The journal as JSON: `/api/errors`, `/api/errors/ID`, `/api/groups`, `/api/groups/FINGERPRINT` and `/api/tail`.
//!
//! [`answer`] may block, because it waits for the store. Must not know how the client was authenticated.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::config::units;
use crate::journal::entry::{Millis, now};
use crate::journal::query::{Cursor, Filter, GroupOrder, GroupQuery, GroupState, ListQuery, MAX_LIMIT, Purge, Summary};
use crate::journal::recent::Fresh;
use crate::journal::{Journal, Store, StoreError};

/// The items of a page, if the client names no number.
const DEFAULT_LIMIT: usize = 50;
/// The most items of a page of whole entries, which may be large.
const MAX_FULL: usize = 100;

/// Why a request has no answer.
#[derive(Debug)]
pub enum ApiError {
    /// There is no such page, entry or group.
    NotFound,
    /// A parameter is not valid.
    Bad(String),
    /// The page has other methods: those for `Allow`.
    Method(&'static str),
    /// The store cannot be used at the moment.
    Store(StoreError),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Answers a request. `path` is what follows `/api/`. `journal` is that of the gateway, if it is one that answers.
///
/// # Errors
/// There is no such page, the question is not valid, or the store cannot be used.
pub fn answer(
    store: &dyn Store,
    journal: Option<&Journal>,
    method: &Method,
    path: &str,
    query: &str,
) -> Result<(StatusCode, Value), ApiError> {
    let found = match (path.split_once('/').unwrap_or((path, "")), method) {
        (("errors", ""), &Method::GET) => list(store, query)?,
        (("errors", id), &Method::GET) => serialized(&store.find(id)?.ok_or(ApiError::NotFound)?),
        (("errors", _), &Method::DELETE) => purge(store, journal, path, query)?,
        (("tail", ""), &Method::GET) => tail(journal.ok_or(ApiError::NotFound)?, query)?,
        (("groups", ""), &Method::GET) => groups(store, query)?,
        (("groups", fingerprint), &Method::GET) => serialized(&store.group(fingerprint)?.ok_or(ApiError::NotFound)?),
        (("groups", fingerprint), &Method::POST) if !fingerprint.is_empty() => return set_state(store, fingerprint, query),
        (("groups", fingerprint), _) if !fingerprint.is_empty() => return Err(ApiError::Method("GET, POST")),
        (("errors", _), _) => return Err(ApiError::Method("GET, DELETE")),
        (("groups", _) | ("tail", ""), _) => return Err(ApiError::Method("GET")),
        _ => return Err(ApiError::NotFound),
    };
    Ok((StatusCode::OK, found))
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

/// Reads a parameter that says which entries are meant. Returns false if it is another one.
fn filter(filter: &mut Filter, name: &str, text: &str) -> Result<bool, ApiError> {
    match name {
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
        _ => return Ok(false),
    }
    Ok(true)
}

/// The parameters of [`filter`].
const FILTERS: &str = "since, until, route, backend, endpoint, status, code, reason, exception, group, text";

fn list(store: &dyn Store, query: &str) -> Result<Value, ApiError> {
    let mut asked = ListQuery { filter: Filter::default(), after: None, limit: DEFAULT_LIMIT };
    let mut full = false;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match (name.as_ref(), value.as_ref()) {
            ("after", text) => asked.after = Some(Cursor::decode(text).ok_or_else(|| ApiError::Bad("`after` is not a cursor".to_owned()))?),
            ("limit", text) => asked.limit = limit(text)?,
            ("full", text) => full = flag("full", text)?,
            (name, text) if filter(&mut asked.filter, name, text)? => {}
            (name, _) => return Err(unknown(name, &format!("{FILTERS}, after, limit or full"))),
        }
    }
    if full && asked.limit > MAX_FULL {
        return Err(ApiError::Bad(format!("with `full`, `limit` must be from 1 to {MAX_FULL}")));
    }
    let page = store.list(&asked)?;
    let items = if full { entries(store, &page.items)? } else { serialized(&page.items) };
    Ok(json!({ "items": items, "next": page.next.map(|next| next.encode()) }))
}

/// Returns the whole entries of a page. One that was removed since then is left out.
fn entries(store: &dyn Store, page: &[Summary]) -> Result<Value, ApiError> {
    let found: Result<Vec<_>, StoreError> = page.iter().map(|item| store.find(&item.request_id)).collect();
    Ok(found?.into_iter().flatten().map(|entry| serialized(&entry)).collect())
}

fn flag(name: &str, text: &str) -> Result<bool, ApiError> {
    text.parse().map_err(|_| ApiError::Bad(format!("`{name}` must be true or false")))
}

/// Returns what was written since an earlier answer.
fn tail(journal: &Journal, query: &str) -> Result<Value, ApiError> {
    let (mut asked, mut after, mut most) = (Filter::default(), None, DEFAULT_LIMIT);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match (name.as_ref(), value.as_ref()) {
            ("after", text) => after = Some(text.to_owned()),
            ("limit", text) => most = limit(text)?,
            (name, text) if filter(&mut asked, name, text)? => {}
            (name, _) => return Err(unknown(name, &format!("{FILTERS}, after or limit"))),
        }
    }
    let Fresh { items, next, missed, restarted } = journal.recent().after(after.as_deref(), &asked, most);
    Ok(json!({ "items": serialized(&items), "next": next, "missed": missed, "restarted": restarted }))
}

/// Removes entries for good.
fn purge(store: &dyn Store, journal: Option<&Journal>, path: &str, query: &str) -> Result<Value, ApiError> {
    let mut wanted = path.strip_prefix("errors/").filter(|id| !id.is_empty()).map(|id| Purge::Request(id.to_owned()));
    let by_id = wanted.is_some();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let one = match (name.as_ref(), value.as_ref()) {
            ("before", text) => Purge::Before(time(text)?),
            ("group", text) => Purge::Group(text.to_owned()),
            ("all", "true") => Purge::All,
            (name, _) => return Err(unknown(name, "before, group or all=true")),
        };
        if wanted.replace(one).is_some() {
            return Err(ApiError::Bad("only one of a request id, `before`, `group` and `all` can be given".to_owned()));
        }
    }
    let wanted = wanted.ok_or_else(|| ApiError::Bad("what to remove is missing: `before`, `group` or `all=true`".to_owned()))?;
    let removed = store.purge(&wanted)?;
    if by_id && removed == 0 {
        return Err(ApiError::NotFound);
    }
    if let Some(journal) = journal {
        journal.counters().purged.fetch_add(removed, Ordering::Relaxed);
    }
    // The log is the audit trail of what operators change.
    tracing::info!(what = ?wanted, removed, "entries of the journal were removed");
    Ok(json!({ "removed": removed }))
}

fn groups(store: &dyn Store, query: &str) -> Result<Value, ApiError> {
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
    Ok(json!({ "items": serialized(&store.groups(&asked)?) }))
}

fn state(word: &str) -> Result<GroupState, ApiError> {
    GroupState::of_word(word)
        .ok_or_else(|| ApiError::Bad(format!("`{word}` is not a state; expected new, known, resolved, regressed or muted")))
}

fn set_state(store: &dyn Store, fingerprint: &str, query: &str) -> Result<(StatusCode, Value), ApiError> {
    let wanted = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "state").map(|(_, value)| value.into_owned());
    let wanted = state(&wanted.ok_or_else(|| ApiError::Bad("the parameter `state` is missing".to_owned()))?)?;
    if !store.set_state(fingerprint, wanted)? {
        return Err(ApiError::NotFound);
    }
    // The log is the audit trail of what operators change.
    tracing::info!(group = fingerprint, state = wanted.word(), "the state of a group was changed");
    Ok((StatusCode::OK, serialized(&store.group(fingerprint)?)))
}
