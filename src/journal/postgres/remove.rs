//! Removals, in steps: what is too old or too much, and what an operator purges. Each step is one transaction.
//!
//! Must not know how the connection came to be.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Row, Transaction};

use super::columns::{self, number, text};
use super::write::{Error, begin, save, total};
use crate::journal::entry::Millis;
use crate::journal::group::{self, MAX_GROUPS};
use crate::journal::query::{Purge, Step};

/// The most entries that are removed in a step.
pub(super) const STEP: i64 = 1000;
/// The most buckets of counts that are removed in a step.
const COUNTS: i64 = 20_000;

/// Removes the oldest entries before a time, at most one step. Returns their number.
async fn remove_oldest(client: &mut Client, end: i64) -> Result<u64, Error> {
    let remove = "DELETE FROM lockgate_entries WHERE request_id IN \
                  (SELECT request_id FROM lockgate_entries WHERE at < $1 ORDER BY at, request_id LIMIT $2) RETURNING size";
    let transaction = begin(client).await?;
    let removed = transaction.query(remove, &[&end, &STEP]).await?;
    subtract(&transaction, &removed).await?;
    transaction.commit().await?;
    Ok(removed.len() as u64)
}

/// Subtracts rows that begin with their size from the totals.
async fn subtract(transaction: &Transaction<'_>, removed: &[Row]) -> Result<(), Error> {
    let bytes: i64 = removed.iter().map(|row| i64::from(row.get::<_, i32>(0))).sum();
    total(transaction, -(removed.len() as i64), -bytes).await
}

/// Removes a step of what is to be purged. Returns the number of entries, and whether there may be more.
pub(super) async fn purge_step(client: &mut Client, what: &Purge) -> Result<(u64, bool), Error> {
    let transaction = begin(client).await?;
    let remove = |condition: &str| {
        format!(
            "DELETE FROM lockgate_entries WHERE request_id IN (SELECT request_id FROM lockgate_entries WHERE {condition} \
             ORDER BY at, request_id LIMIT {STEP}) RETURNING size, fingerprint, at, backend, status"
        )
    };
    let removed = match what {
        Purge::Request(id) => transaction.query(&remove("request_id = $1"), &[&text(id)]).await?,
        Purge::Before(end) => transaction.query(&remove("at < $1"), &[&number(*end)]).await?,
        Purge::Group(fingerprint) => transaction.query(&remove("fingerprint = $1"), &[&text(fingerprint)]).await?,
        Purge::All => transaction.query(&remove("true"), &[]).await?,
    };
    subtract(&transaction, &removed).await?;
    take_out(&transaction, &removed).await?;
    let more = removed.len() as i64 == STEP;
    match what {
        Purge::Group(fingerprint) if !more => forget(&transaction, &text(fingerprint)).await?,
        Purge::All if !more => transaction.batch_execute("DELETE FROM lockgate_groups; DELETE FROM lockgate_counts").await?,
        Purge::Request(_) | Purge::Before(_) | Purge::Group(_) | Purge::All => {}
    }
    transaction.commit().await?;
    Ok((removed.len() as u64, more))
}

/// Takes entries out of their groups.
async fn take_out(transaction: &Transaction<'_>, removed: &[Row]) -> Result<(), Error> {
    let mut buckets: BTreeMap<(i64, String, i64, String, i32), i64> = BTreeMap::new();
    let mut groups: BTreeMap<String, u64> = BTreeMap::new();
    for row in removed {
        let (fingerprint, at): (String, i64) = (row.get(1), row.get(2));
        for step in [Step::Minute, Step::Hour] {
            let begin = number(group::bucket(step, at.cast_unsigned()));
            *buckets.entry((number(step.millis()), fingerprint.clone(), begin, row.get(3), row.get(4))).or_default() += 1;
        }
        *groups.entry(fingerprint).or_default() += 1;
    }
    uncount(transaction, &buckets).await?;
    for (fingerprint, count) in groups {
        describe(transaction, &fingerprint, count).await?;
    }
    Ok(())
}

/// Counts entries less in their buckets, and in the sum of all groups. A bucket that is too old is gone, and changes no sum.
async fn uncount(transaction: &Transaction<'_>, buckets: &BTreeMap<(i64, String, i64, String, i32), i64>) -> Result<(), Error> {
    let same = "c.width = less.width AND c.at = less.at AND c.backend = less.backend AND c.status = less.status";
    let subtract = format!(
        "WITH less AS (SELECT n.width, n.fingerprint, n.at, n.backend, n.status, least(n.count, c.count) AS count FROM \
         unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::int[], $6::bigint[]) \
         AS n (width, fingerprint, at, backend, status, count) JOIN lockgate_counts c ON c.width = n.width \
         AND c.fingerprint = n.fingerprint AND c.at = n.at AND c.backend = n.backend AND c.status = n.status), \
         own AS (UPDATE lockgate_counts c SET count = c.count - less.count FROM less WHERE {same} AND c.fingerprint = less.fingerprint) \
         UPDATE lockgate_counts c SET count = c.count - less.count FROM \
         (SELECT width, at, backend, status, sum(count)::bigint AS count FROM less GROUP BY 1, 2, 3, 4) AS less \
         WHERE {same} AND c.fingerprint = ''"
    );
    let widths: Vec<i64> = buckets.keys().map(|(width, ..)| *width).collect();
    let groups: Vec<&str> = buckets.keys().map(|(_, group, ..)| group.as_str()).collect();
    let times: Vec<i64> = buckets.keys().map(|(_, _, at, ..)| *at).collect();
    let backends: Vec<&str> = buckets.keys().map(|(_, _, _, backend, _)| backend.as_str()).collect();
    let statuses: Vec<i32> = buckets.keys().map(|(.., status)| *status).collect();
    let numbers: Vec<i64> = buckets.values().copied().collect();
    transaction.execute(&subtract, &[&widths, &groups, &times, &backends, &statuses, &numbers]).await?;
    let empty = "DELETE FROM lockgate_counts WHERE count <= 0 AND (width, at) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[]))";
    transaction.execute(empty, &[&widths, &times]).await?;
    Ok(())
}

/// Describes a group by the entries that are left. One without entries is removed.
async fn describe(transaction: &Transaction<'_>, fingerprint: &str, removed: u64) -> Result<(), Error> {
    let select = |order: &str| {
        let columns = columns::SUMMARY;
        format!("SELECT {columns} FROM lockgate_entries WHERE fingerprint = $1 ORDER BY at {order}, request_id {order} LIMIT 1")
    };
    let oldest = transaction.query_opt(&select("ASC"), &[&fingerprint]).await?.as_ref().map(columns::summary);
    let newest = transaction.query_opt(&select("DESC"), &[&fingerprint]).await?.as_ref().map(columns::summary);
    let (Some(oldest), Some(newest)) = (oldest, newest) else { return forget(transaction, fingerprint).await };
    let find = format!("SELECT {} FROM lockgate_groups WHERE fingerprint = $1", columns::GROUP);
    let Some(row) = transaction.query_opt(&find, &[&fingerprint]).await? else { return Ok(()) };
    let mut known = columns::group(&row);
    group::remove(&mut known, removed, (&oldest, &newest));
    save(transaction, std::iter::once(&known)).await
}

/// Removes a group with its counts.
async fn forget(transaction: &Transaction<'_>, fingerprint: &str) -> Result<(), Error> {
    transaction.execute("DELETE FROM lockgate_groups WHERE fingerprint = $1", &[&fingerprint]).await?;
    let counts = "SELECT width, fingerprint, at, backend, status, count FROM lockgate_counts WHERE fingerprint = $1";
    let rows = transaction.query(counts, &[&fingerprint]).await?;
    let buckets = rows.iter().map(|row| ((row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)), row.get(5))).collect();
    uncount(transaction, &buckets).await
}

/// Frees the rows that were removed, which stay on disk until then.
pub(super) async fn vacuum(client: &Client) -> Result<(), Error> {
    client.batch_execute("VACUUM lockgate_entries").await?;
    Ok(client.batch_execute("VACUUM lockgate_groups").await?)
}

/// Removes a step of what is too old or too much. Returns the number of entries; zero if there are no more.
pub(super) async fn prune_step(client: &mut Client, max_bytes: u64, keep: Millis, now: Millis) -> Result<u64, Error> {
    let removed = remove_oldest(client, number(now.saturating_sub(keep))).await?;
    if removed > 0 {
        return Ok(removed);
    }
    let bytes: i64 = client.query_one("SELECT value FROM lockgate_totals WHERE name = 'bytes'", &[]).await?.get(0);
    let excess = bytes - number(max_bytes);
    if excess > 0 { remove_excess(client, excess).await } else { Ok(0) }
}

/// Removes a step of the groups and the counts that are too many or too old. Returns true if there may be more.
pub(super) async fn prune_groups(client: &Client, now: Millis) -> Result<bool, Error> {
    let excess =
        "DELETE FROM lockgate_groups WHERE fingerprint IN (SELECT fingerprint FROM lockgate_groups ORDER BY last_seen DESC OFFSET $1)";
    client.execute(excess, &[&i64::try_from(MAX_GROUPS)?]).await?;
    let mut more = false;
    for step in [Step::Minute, Step::Hour] {
        let end = number(now.saturating_sub(step.kept()));
        let old = "DELETE FROM lockgate_counts WHERE ctid IN (SELECT ctid FROM lockgate_counts WHERE width = $1 AND at < $2 LIMIT $3)";
        let removed = client.execute(old, &[&number(step.millis()), &end, &COUNTS]).await?;
        more |= removed == COUNTS.cast_unsigned();
    }
    Ok(more)
}

/// Removes the oldest entries that take so many bytes, at most one step.
async fn remove_excess(client: &mut Client, excess: i64) -> Result<u64, Error> {
    let oldest = "SELECT at, size FROM lockgate_entries ORDER BY at, request_id LIMIT $1";
    let rows = client.query(oldest, &[&STEP]).await?;
    let mut bytes = 0;
    let last = rows.iter().find(|row| {
        bytes += i64::from(row.get::<_, i32>(1));
        bytes >= excess
    });
    match last.or(rows.last()) {
        Some(row) => remove_oldest(client, row.get::<_, i64>(0) + 1).await,
        None => Ok(0),
    }
}
