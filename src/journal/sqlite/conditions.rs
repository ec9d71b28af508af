//! What a list is restricted to, but for words, as SQL.
//!
//! Pure functions of a question.

use rusqlite::types::Value;

use super::columns::{end_key, facet, first_key};
use crate::journal::query::{Filter, ListQuery};

/// Conditions on `entries e`, with their values.
pub(super) struct Conditions {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Conditions {
    pub(super) fn of(query: &ListQuery) -> Self {
        let Filter { since, until, route, backend, endpoint, status, code, reason, exception, group, text: _ } = &query.filter;
        let mut all = Self { sql: "1".into(), values: Vec::new() };
        if let Some(since) = since {
            all.add(" AND e.key >= ?", first_key(*since));
        }
        let before = [until.map(first_key), query.after.as_ref().map(|after| end_key(after.at))];
        if let Some(end) = before.into_iter().flatten().min() {
            all.add(" AND e.key < ?", end);
        }
        match status {
            Some((first, last)) if first == last => all.add(" AND e.status = ?", i64::from(*first)),
            Some((first, last)) => {
                // The plus keeps the index of statuses out: its order is not that of the list.
                all.add(" AND +e.status >= ?", i64::from(*first));
                all.add(" AND +e.status <= ?", i64::from(*last));
            }
            None => {}
        }
        let texts = [
            (" AND e.fingerprint = ?", group),
            (" AND e.exception = ?", exception),
            (" AND e.endpoint = ?", endpoint),
            (" AND e.code = ?", code),
            (" AND e.reason = ?", reason),
            (" AND e.route = ?", route),
            (" AND e.backend = ?", backend),
        ];
        for (sql, wanted) in texts {
            if let Some(wanted) = wanted {
                all.add(sql, facet(wanted));
            }
        }
        all
    }

    fn add(&mut self, sql: &str, value: i64) {
        self.sql.push_str(sql);
        self.values.push(Value::Integer(value));
    }
}
