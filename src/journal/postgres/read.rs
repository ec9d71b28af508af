//! Answers to questions.
//!
//! Must not know how the connection came to be.

use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::columns::{self, number, text};
use super::write::Error;
use crate::journal::entry::Entry;
use crate::journal::group;
use crate::journal::packed;
use crate::journal::query::{Count, CountQuery, Cursor, Filter, Group, GroupOrder, GroupQuery, ListQuery, MAX_LIMIT, Page, Summary, Usage};
use crate::journal::words;

/// A statement that is put together of conditions.
struct Sql {
    text: String,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Sql {
    fn new(text: String) -> Self {
        Self { text, values: Vec::new() }
    }

    /// Adds a part of which `$` stands for the value.
    fn add(&mut self, part: &str, value: impl ToSql + Sync + Send + 'static) {
        self.values.push(Box::new(value));
        self.text.push_str(&part.replace('$', &format!("${}", self.values.len())));
    }

    async fn rows(&self, client: &Client) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
        let values: Vec<&(dyn ToSql + Sync)> = self.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        client.query(&self.text, &values).await
    }
}

pub(super) async fn find(client: &Client, request_id: &str) -> Result<Option<Entry>, Error> {
    let row = client.query_opt("SELECT entry FROM lockgate_entries WHERE request_id = $1", &[&text(request_id)]).await?;
    Ok(row.map(|row| packed::unpack(row.get(0))).transpose()?)
}

pub(super) async fn list(client: &Client, query: &ListQuery) -> Result<Page<Summary>, Error> {
    let mut sql = Sql::new(format!("SELECT {} FROM lockgate_entries WHERE true", columns::SUMMARY));
    let Filter { since, until, route, backend, endpoint, status, code, reason, exception, group, text: wanted } = &query.filter;
    if let Some(since) = since {
        sql.add(" AND at >= $", number(*since));
    }
    if let Some(until) = until {
        sql.add(" AND at < $", number(*until));
    }
    if let Some((first, last)) = status {
        sql.add(" AND status >= $", i32::from(*first));
        sql.add(" AND status <= $", i32::from(*last));
    }
    let texts = [
        (" AND route = $", route),
        (" AND backend = $", backend),
        (" AND coalesce(endpoint, '') = $", endpoint),
        (" AND code = $", code),
        (" AND reason = $", reason),
        (" AND fingerprint = $", group),
    ];
    for (part, wanted) in texts {
        if let Some(wanted) = wanted {
            sql.add(part, text(wanted).into_owned());
        }
    }
    match exception {
        // The index is one of the column itself.
        Some(exception) if exception.is_empty() => sql.text.push_str(" AND coalesce(exception, '') = ''"),
        Some(exception) => sql.add(" AND exception = $", text(exception).into_owned()),
        None => {}
    }
    let wanted = wanted.as_deref().map(words::wanted).unwrap_or_default();
    if !wanted.is_empty() {
        // A word has neither quotes nor backslashes.
        let all: Vec<String> = wanted.iter().map(|word| format!("'{word}':*")).collect();
        sql.add(" AND words @@ $::text::tsquery", all.join(" & "));
    }
    if let Some(after) = &query.after {
        sql.add(" AND (at, request_id) < ($", number(after.at));
        sql.add(", $)", text(&after.id).into_owned());
    }
    let limit = query.limit.min(MAX_LIMIT);
    sql.add(" ORDER BY at DESC, request_id DESC LIMIT $", i64::try_from(limit + 1)?);
    let mut items: Vec<Summary> = sql.rows(client).await?.iter().map(columns::summary).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().map(|last| Cursor { at: last.at, id: last.request_id.clone() });
    Ok(Page { next: last.filter(|_| more), items })
}

pub(super) async fn groups(client: &Client, query: &GroupQuery) -> Result<Vec<Group>, Error> {
    let mut sql = Sql::new(format!("SELECT {} FROM lockgate_groups WHERE true", columns::GROUP));
    if !query.states.is_empty() {
        sql.add(" AND state = ANY ($)", query.states.iter().map(|state| columns::state(*state)).collect::<Vec<_>>());
    }
    if let Some(since) = query.since {
        sql.add(" AND last_seen >= $", number(since));
    }
    for (part, wanted) in [(" AND route = $", &query.route), (" AND backend = $", &query.backend)] {
        if let Some(wanted) = wanted {
            sql.add(part, text(wanted).into_owned());
        }
    }
    let order = match query.order {
        GroupOrder::LastSeen => "last_seen",
        GroupOrder::FirstSeen => "first_seen",
        GroupOrder::Count => "count",
    };
    if let Some(after) = &query.after {
        sql.add(&format!(" AND ({order} < $"), number(after.at));
        sql.add(&format!(" OR {order} = $"), number(after.at));
        sql.add(" AND fingerprint > $)", text(&after.id).into_owned());
    }
    sql.add(&format!(" ORDER BY {order} DESC, fingerprint LIMIT $"), i64::try_from(query.limit.min(MAX_LIMIT))?);
    sql.add(" OFFSET $", i64::try_from(query.offset).unwrap_or(i64::MAX));
    Ok(sql.rows(client).await?.iter().map(columns::group).collect())
}

pub(super) async fn group(client: &Client, fingerprint: &str) -> Result<Option<Group>, Error> {
    let select = format!("SELECT {} FROM lockgate_groups WHERE fingerprint = $1", columns::GROUP);
    Ok(client.query_opt(&select, &[&text(fingerprint)]).await?.as_ref().map(columns::group))
}

pub(super) async fn counts(client: &Client, query: &CountQuery) -> Result<Vec<Count>, Error> {
    let select = "SELECT at, backend, status, count FROM lockgate_counts WHERE width = $1 AND fingerprint = $2 AND at >= $3 AND at < $4 \
                  ORDER BY at, backend, status";
    let (first, end) = (group::bucket(query.step, query.since), group::bucket(query.step, query.until));
    let wanted = text(query.group.as_deref().unwrap_or_default());
    let rows = client.query(select, &[&number(query.step.millis()), &wanted, &number(first), &number(end)]).await?;
    let count = |row: &tokio_postgres::Row| {
        let (at, count) = (row.get::<_, i64>(0).cast_unsigned(), row.get::<_, i64>(3).cast_unsigned());
        Count { at, backend: row.get(1), status: u16::try_from(row.get::<_, i32>(2)).unwrap_or_default(), count }
    };
    Ok(rows.iter().map(count).collect())
}

pub(super) async fn usage(client: &Client) -> Result<Usage, Error> {
    let select = "SELECT (SELECT value FROM lockgate_totals WHERE name = 'entries'), \
                  (SELECT value FROM lockgate_totals WHERE name = 'bytes'), (SELECT min(at) FROM lockgate_entries)";
    let row = client.query_one(select, &[]).await?;
    let value = |at: usize| row.get::<_, Option<i64>>(at).unwrap_or_default().cast_unsigned();
    Ok(Usage { entries: value(0), bytes: value(1), oldest: row.get::<_, Option<i64>>(2).map(i64::cast_unsigned) })
}
