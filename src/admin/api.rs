//! The journal as JSON: `/api/errors`, `/api/errors/ID`, `/api/groups`, `/api/groups/FINGERPRINT` and `/api/tail`.
//!
//! An answer waits for the store, so it must be made on a thread that may block. A viewer gets the same answers without what upstreams
//! said. This room must not know how a client is authenticated.
//!
//! | file | purpose |
//! |---|---|
//! | `error` | why there is no answer |
//! | `parameters` | reads the parameters of a query |
//! | `shown` | selects the members that a role sees |

mod error;
mod parameters;
mod shown;

use serde_json::{Value, json};

use self::parameters::{FILTERS, cursor, filter, flag, limit, order, pairs, state, unknown};
use self::shown::{OF_GROUP, OF_SUMMARY, is_of_viewer, serialized, shown};
use super::page::Actions;
use super::role::Role;
use super::table::{self, Page, Program};
use crate::journal::query::{Cursor, Filter, GroupQuery, GroupState, ListQuery, MAX_LIMIT, Purge, Summary};
use crate::journal::recent::Fresh;
use crate::journal::{Journal, Store, StoreError};

pub use error::ApiError;
pub use parameters::time;
pub use shown::facts;

/// The items of a page, if the client names no number.
const DEFAULT_LIMIT: usize = 50;
/// The most items of a page of whole entries, which may be large.
const MAX_FULL: usize = 100;

/// A question, a state to set, or entries to remove.
pub(super) struct Question<'a> {
    pub(super) page: Program,
    /// The last segment of its path: an id or a fingerprint.
    pub(super) name: &'a str,
    pub(super) query: &'a str,
    pub(super) role: Role,
}

/// The store that answers, with the journal of the running gateway; a file has none.
pub(super) struct Asked<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) journal: Option<&'a Journal>,
    pub(super) actions: &'a dyn Actions,
}

/// Answers a question.
pub(super) fn answer(asked: &Asked<'_>, question: &Question<'_>) -> Result<Value, ApiError> {
    let Asked { store, journal, actions } = *asked;
    let Question { page, name, query, role } = *question;
    let name = &*percent_encoding::percent_decode_str(name).decode_utf8().map_err(|_| ApiError::NotFound)?;
    match page {
        Program::Errors => list(store, actions, query, role),
        Program::Error => {
            let entry = store.find(name)?.ok_or(ApiError::NotFound)?;
            if role.shows_originals() {
                actions.opened(&entry.request_id);
            }
            Ok(shown(&entry, role, is_of_viewer))
        }
        Program::Tail => tail(journal.ok_or(ApiError::NotFound)?, query, role),
        Program::Purge => purge(store, actions, None, query),
        Program::PurgeOne => purge(store, actions, Some(name), query),
        Program::Groups => groups(store, query, role),
        Program::Group => Ok(shown(&store.group(name)?.ok_or(ApiError::NotFound)?, role, |name| OF_GROUP.contains(&name))),
        Program::SetState => set_state(store, actions, name, query),
        // These are not answered from the journal.
        Program::Config | Program::Route | Program::Reload | Program::Log | Program::SetLog | Program::Changes | Program::OpenApi => {
            Err(ApiError::NotFound)
        }
    }
}

/// Audits nothing: a file is read without a gateway whose log could have the lines.
struct Unaudited;

impl Actions for Unaudited {
    fn set_state(&self, _: &str, _: GroupState) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn opened(&self, _: &str) {}
}

/// Answers a question from a file, with the path that a gateway would be asked at. Who can open the file sees all of it.
///
/// # Errors
/// There is no such page, the question is not valid, or the file cannot be used.
pub fn answer_from_file(store: &dyn Store, method: &str, path: &str, query: &str) -> Result<Value, ApiError> {
    let page = table::find(path).and_then(|found| found.row(method)).map(|row| row.page);
    let Some(Page::Program(page, _)) = page else { return Err(ApiError::NotFound) };
    let asked = Asked { store, journal: None, actions: &Unaudited };
    answer(&asked, &Question { page, name: table::last_segment(path), query, role: Role::Operator })
}

/// Refuses a filter whose matches would tell a viewer what an original holds.
fn permit(name: &str, role: Role) -> Result<(), ApiError> {
    match name {
        "exception" | "text" if !role.shows_originals() => {
            Err(ApiError::Forbidden("`exception` and `text` search in what backends said, which a viewer does not see"))
        }
        _ => Ok(()),
    }
}

fn list(store: &dyn Store, actions: &dyn Actions, query: &str, role: Role) -> Result<Value, ApiError> {
    let mut asked = ListQuery { filter: Filter::default(), after: None, limit: DEFAULT_LIMIT };
    let mut full = false;
    for (name, value) in pairs(query) {
        permit(&name, role)?;
        match (name.as_ref(), value.as_ref()) {
            ("after", text) => asked.after = Some(cursor(text)?),
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
    let items = match full {
        true => entries(store, actions, &page.items, role)?,
        false => page.items.iter().map(|item| shown(item, role, |name| OF_SUMMARY.contains(&name))).collect(),
    };
    Ok(json!({ "items": items, "next": page.next.map(|next| next.encode()) }))
}

/// Returns the whole entries of a page. One that was removed since then is left out.
fn entries(store: &dyn Store, actions: &dyn Actions, page: &[Summary], role: Role) -> Result<Vec<Value>, ApiError> {
    let found: Result<Vec<_>, StoreError> = page.iter().map(|item| store.find(&item.request_id)).collect();
    let found = found?.into_iter().flatten();
    Ok(found
        .map(|entry| {
            if role.shows_originals() {
                actions.opened(&entry.request_id);
            }
            shown(&entry, role, is_of_viewer)
        })
        .collect())
}

/// Returns what was written since an earlier answer.
fn tail(journal: &Journal, query: &str, role: Role) -> Result<Value, ApiError> {
    let (mut asked, mut after, mut most) = (Filter::default(), None, DEFAULT_LIMIT);
    for (name, value) in pairs(query) {
        permit(&name, role)?;
        match (name.as_ref(), value.as_ref()) {
            ("after", text) => after = Some(text.to_owned()),
            ("limit", text) => most = limit(text)?,
            (name, text) if filter(&mut asked, name, text)? => {}
            (name, _) => return Err(unknown(name, &format!("{FILTERS}, after or limit"))),
        }
    }
    let Fresh { items, next, missed, restarted } = journal.recent().after(after.as_deref(), &asked, most);
    let items: Vec<Value> = items.iter().map(|item| shown(item, role, |name| OF_SUMMARY.contains(&name))).collect();
    Ok(json!({ "items": items, "next": next, "missed": missed, "restarted": restarted }))
}

/// Removes entries for good.
fn purge(store: &dyn Store, actions: &dyn Actions, id: Option<&str>, query: &str) -> Result<Value, ApiError> {
    let mut wanted = id.map(|id| Purge::Request(id.to_owned()));
    for (name, value) in pairs(query) {
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
    if id.is_some() && removed == 0 {
        return Err(ApiError::NotFound);
    }
    actions.purged(&wanted, removed);
    Ok(json!({ "removed": removed }))
}

fn groups(store: &dyn Store, query: &str, role: Role) -> Result<Value, ApiError> {
    let mut asked = GroupQuery { limit: DEFAULT_LIMIT, ..GroupQuery::default() };
    for (name, value) in pairs(query) {
        let text = value.as_ref();
        match name.as_ref() {
            "state" => asked.states.push(state(text)?),
            "since" => asked.since = Some(time(text)?),
            "route" => asked.route = Some(text.to_owned()),
            "backend" => asked.backend = Some(text.to_owned()),
            "order" => asked.order = order(text)?,
            "after" => asked.after = Some(cursor(text)?),
            "offset" => asked.offset = text.parse().map_err(|_| ApiError::Bad("`offset` must be a number".to_owned()))?,
            "limit" => asked.limit = limit(text)?,
            _ => return Err(unknown(&name, "state, since, route, backend, order, after, offset or limit")),
        }
    }
    let (order, most) = (asked.order, asked.limit);
    // One more tells whether there is a further page. Behind the largest page there may be one without items.
    asked.limit = (most + 1).min(MAX_LIMIT);
    let mut found = store.groups(&asked)?;
    let more = found.len() > most || found.len() == MAX_LIMIT;
    found.truncate(most);
    let last = found.last().filter(|_| more).map(|last| Cursor { at: order.rank(last), id: last.fingerprint.clone() });
    let items: Vec<Value> = found.iter().map(|group| shown(group, role, |name| OF_GROUP.contains(&name))).collect();
    Ok(json!({ "items": items, "next": last.map(|last| last.encode()) }))
}

fn set_state(store: &dyn Store, actions: &dyn Actions, fingerprint: &str, query: &str) -> Result<Value, ApiError> {
    let wanted = pairs(query).find(|(name, _)| name == "state").map(|(_, value)| value.into_owned());
    let wanted = state(&wanted.ok_or_else(|| ApiError::Bad("the parameter `state` is missing".to_owned()))?)?;
    if !actions.set_state(fingerprint, wanted)? {
        return Err(ApiError::NotFound);
    }
    Ok(serialized(&store.group(fingerprint)?))
}
