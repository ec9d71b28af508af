//! Answers to questions.
//!
//! Reads with a connection that it is given, within one transaction.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::columns::{self, number};
use super::conditions::Conditions;
use super::search::Search;
use super::write;
use crate::journal::entry::Entry;
use crate::journal::group;
use crate::journal::packed;
use crate::journal::query::{Count, CountQuery, Cursor, Group, GroupOrder, GroupQuery, ListQuery, MAX_LIMIT, Page, Summary, Usage};

pub(super) fn find(file: &Connection, request_id: &str) -> rusqlite::Result<Option<Entry>> {
    let mut select = file.prepare_cached("SELECT entry FROM details WHERE request_id = ?")?;
    let packed: Option<Vec<u8>> = select.query_row([request_id], |row| row.get(0)).optional()?;
    let damaged = |error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error));
    packed.map(|packed| packed::unpack(&packed).map_err(damaged)).transpose()
}

/// Collects a page. Entries arrive in the order of keys; those of one millisecond are ordered by their ids here.
struct Pager<'q> {
    query: &'q ListQuery,
    limit: usize,
    found: Vec<Summary>,
}

impl Pager<'_> {
    /// Takes the next entry. Returns false if the page is full.
    fn take(&mut self, summary: Summary) -> bool {
        let full = self.found.len() > self.limit && self.found.last().is_some_and(|last| last.at != summary.at);
        let is_next = |after: &Cursor| (summary.at, &summary.request_id) < (after.at, &after.id);
        if !full && self.query.after.as_ref().is_none_or(is_next) {
            self.found.push(summary);
        }
        !full
    }

    fn page(mut self) -> Page<Summary> {
        self.found.sort_by(|a, b| (b.at, &b.request_id).cmp(&(a.at, &a.request_id)));
        let more = self.found.len() > self.limit;
        self.found.truncate(self.limit);
        let last = self.found.last().map(|last| Cursor { at: last.at, id: last.request_id.clone() });
        Page { next: last.filter(|_| more), items: self.found }
    }
}

pub(super) fn list(file: &Connection, query: &ListQuery) -> rusqlite::Result<Page<Summary>> {
    let conditions = Conditions::of(query);
    let mut pager = Pager { query, limit: query.limit.min(MAX_LIMIT), found: Vec::new() };
    match query.filter.text.as_deref().map(crate::journal::words::wanted).filter(|wanted| !wanted.is_empty()) {
        Some(wanted) => {
            let details = format!("SELECT {} FROM details d WHERE key = ?", columns::SUMMARY);
            let mut details = file.prepare_cached(&details)?;
            Search::new(file, &wanted)?.run(&conditions, |key| Ok(pager.take(details.query_row([key], columns::summary)?)))?;
        }
        None => {
            let columns = columns::SUMMARY;
            let Conditions { sql, values } = conditions;
            let select = format!("SELECT {columns} FROM entries e JOIN details d ON d.key = e.key WHERE {sql} ORDER BY e.key DESC");
            let mut select = file.prepare_cached(&select)?;
            let mut rows = select.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                if !pager.take(columns::summary(row)?) {
                    break;
                }
            }
        }
    }
    Ok(pager.page())
}

pub(super) fn groups(file: &Connection, query: &GroupQuery) -> rusqlite::Result<Vec<Group>> {
    let mut sql = format!("SELECT {} FROM groups WHERE 1", columns::GROUP);
    let mut values: Vec<Value> = Vec::new();
    if !query.states.is_empty() {
        let marks = vec!["?"; query.states.len()].join(", ");
        sql.push_str(&format!(" AND state IN ({marks})"));
        values.extend(query.states.iter().map(|state| Value::Integer(columns::state(*state))));
    }
    if let Some(since) = query.since {
        sql.push_str(" AND last_seen >= ?");
        values.push(Value::Integer(number(since)));
    }
    for (condition, wanted) in [(" AND route = ?", &query.route), (" AND backend = ?", &query.backend)] {
        if let Some(wanted) = wanted {
            sql.push_str(condition);
            values.push(Value::Text(wanted.clone()));
        }
    }
    let order = match query.order {
        GroupOrder::LastSeen => "last_seen",
        GroupOrder::FirstSeen => "first_seen",
        GroupOrder::Count => "count",
    };
    if let Some(after) = &query.after {
        sql.push_str(&format!(" AND ({order} < ? OR {order} = ? AND fingerprint > ?)"));
        values.extend([Value::Integer(number(after.at)), Value::Integer(number(after.at)), Value::Text(after.id.clone())]);
    }
    sql.push_str(&format!(" ORDER BY {order} DESC, fingerprint LIMIT ? OFFSET ?"));
    values.extend([query.limit.min(MAX_LIMIT), query.offset].map(|value| Value::Integer(columns::size(value))));
    file.prepare_cached(&sql)?.query_map(params_from_iter(values), columns::group)?.collect()
}

pub(super) fn group(file: &Connection, fingerprint: &str) -> rusqlite::Result<Option<Group>> {
    let select = format!("SELECT {} FROM groups WHERE fingerprint = ?", columns::GROUP);
    file.prepare_cached(&select)?.query_row([fingerprint], columns::group).optional()
}

pub(super) fn counts(file: &Connection, query: &CountQuery) -> rusqlite::Result<Vec<Count>> {
    let select = "SELECT at, backend, status, count FROM counts WHERE width = ? AND fingerprint = ? AND at >= ? AND at < ? \
                  ORDER BY at, backend, status";
    let (first, end) = (group::bucket(query.step, query.since), group::bucket(query.step, query.until));
    let values = params![number(query.step.millis()), query.group.as_deref().unwrap_or_default(), number(first), number(end)];
    let count = |row: &rusqlite::Row<'_>| {
        let (at, count) = (row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(3)?.cast_unsigned());
        Ok(Count { at, backend: row.get(1)?, status: row.get(2)?, count })
    };
    file.prepare_cached(select)?.query_map(values, count)?.collect()
}

pub(super) fn usage(file: &Connection) -> rusqlite::Result<Usage> {
    let number = |sql: &str| file.prepare_cached(sql)?.query_row([], |row| row.get::<_, Option<i64>>(0));
    let entries = number("SELECT value FROM totals WHERE name = 'entries'")?.unwrap_or_default().cast_unsigned();
    let oldest = number("SELECT min(key) FROM entries")?.map(columns::time);
    Ok(Usage { entries, bytes: write::used(file)?, oldest })
}
