//! Writes: batches and states. Each is one transaction; `remove` adds removals.
//!
//! Must not know how the connection came to be.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio_postgres::{Client, Transaction};

use super::columns::{self, number, text};
use super::schema::LOCK;
use crate::journal::entry::{Entry, Millis};
use crate::journal::group;
use crate::journal::packed::Packer;
use crate::journal::query::{Group, GroupEvent, GroupState, Step};
use crate::journal::words;

/// The most entries of a statement: it must end within its time.
const PART: usize = 500;
/// What a row takes beside its entry, in bytes, about.
const ROW: usize = 400;

/// Why a write failed.
pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn begin(client: &mut Client) -> Result<Transaction<'_>, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    Ok(transaction)
}

/// The rows of entries, by column: one statement writes them all.
#[derive(Default)]
struct Rows {
    texts: [Vec<String>; 10],
    endpoints: Vec<Option<String>>,
    exceptions: Vec<Option<String>>,
    times: Vec<i64>,
    durations: Vec<i64>,
    statuses: Vec<i32>,
    received: Vec<Option<i32>>,
    sizes: Vec<i32>,
    words: Vec<String>,
    entries: Vec<Vec<u8>>,
}

impl Rows {
    fn add(&mut self, entry: &Entry, packer: &mut Packer) -> Result<(), Error> {
        let packed = packer.pack(entry)?;
        let words = words::of(entry);
        let words = [words.common, words.own].concat().join(" ");
        let columns = [
            &entry.request_id,
            &entry.method,
            &entry.path,
            &entry.route,
            &entry.backend,
            &entry.code,
            &entry.reason,
            &entry.fingerprint,
            &entry.title,
            &entry.gateway,
        ];
        self.texts.iter_mut().zip(columns).for_each(|(column, value)| column.push(text(value).into_owned()));
        self.endpoints.push(entry.endpoint.as_deref().map(|value| text(value).into_owned()));
        self.exceptions.push(entry.exception.as_deref().map(|value| text(value).into_owned()));
        self.times.push(number(entry.at));
        self.durations.push(number(entry.duration_us));
        self.statuses.push(entry.status.into());
        self.received.push(entry.received.map(Into::into));
        self.sizes.push(i32::try_from(packed.len() + words.len() + ROW).unwrap_or(i32::MAX));
        self.words.push(words);
        self.entries.push(packed);
        Ok(())
    }

    async fn insert(&self, transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        let [ids, methods, paths, routes, backends, codes, reasons, fingerprints, titles, gateways] = &self.texts;
        let insert = transaction
            .prepare(
                "INSERT INTO lockgate_entries (request_id, method, path, route, backend, code, reason, fingerprint, title, gateway, \
                 endpoint, exception, at, duration_us, status, received, size, words, entry) \
                 SELECT a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, array_to_tsvector(string_to_array(r, ' ')), s FROM \
                 unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], \
                 $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bigint[], $15::int[], $16::int[], $17::int[], $18::text[], \
                 $19::bytea[]) AS new (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s)",
            )
            .await?;
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 19] = [
            ids,
            methods,
            paths,
            routes,
            backends,
            codes,
            reasons,
            fingerprints,
            titles,
            gateways,
            &self.endpoints,
            &self.exceptions,
            &self.times,
            &self.durations,
            &self.statuses,
            &self.received,
            &self.sizes,
            &self.words,
            &self.entries,
        ];
        transaction.execute(&insert, &values).await.map(drop)
    }
}

pub(super) async fn write(client: &mut Client, batch: &[Entry]) -> Result<Vec<GroupEvent>, Error> {
    let transaction = begin(client).await?;
    let ids: Vec<String> = batch.iter().map(|entry| text(&entry.request_id).into_owned()).collect();
    let replaced =
        transaction.query("DELETE FROM lockgate_entries WHERE request_id = ANY ($1) RETURNING request_id, size", &[&ids]).await?;
    let mut known: HashSet<String> = replaced.iter().map(|row| row.get(0)).collect();
    let freed: i64 = replaced.iter().map(|row| i64::from(row.get::<_, i32>(1))).sum();
    let removed = replaced.len();
    let events = count(&transaction, batch, &ids, &mut known).await?;
    // The last entry of a request is the one that stays.
    let stored = ids.iter().enumerate().filter(|(at, _)| batch.get(*at).is_some_and(|entry| !entry.counted_only));
    let last: HashMap<&str, usize> = stored.map(|(at, id)| (id.as_str(), at)).collect();
    let kept: Vec<&Entry> =
        batch.iter().enumerate().filter(|(at, _)| last.get(ids[*at].as_str()) == Some(at)).map(|(_, entry)| entry).collect();
    let (mut added, mut packer) = (0, Packer::default());
    for part in kept.chunks(PART) {
        let mut rows = Rows::default();
        part.iter().try_for_each(|entry| rows.add(entry, &mut packer))?;
        rows.insert(&transaction).await?;
        added += rows.sizes.iter().map(|size| i64::from(*size)).sum::<i64>();
    }
    total(&transaction, kept.len() as i64 - removed as i64, added - freed).await?;
    transaction.commit().await?;
    Ok(events)
}

/// Counts the entries whose ids are new in their groups.
async fn count(
    transaction: &Transaction<'_>,
    batch: &[Entry],
    ids: &[String],
    known: &mut HashSet<String>,
) -> Result<Vec<GroupEvent>, Error> {
    let fingerprints: Vec<String> = batch.iter().map(|entry| text(&entry.fingerprint).into_owned()).collect();
    let select = format!("SELECT {} FROM lockgate_groups WHERE fingerprint = ANY ($1)", columns::GROUP);
    let rows = transaction.query(&select, &[&fingerprints]).await?;
    let mut groups: HashMap<String, Option<Group>> =
        rows.iter().map(columns::group).map(|group| (group.fingerprint.clone(), Some(group))).collect();
    let mut counts: BTreeMap<(Step, &str, Millis, &str, u16), i64> = BTreeMap::new();
    let mut events = Vec::new();
    for ((entry, id), fingerprint) in batch.iter().zip(ids).zip(&fingerprints) {
        if !known.insert(id.clone()) {
            continue;
        }
        events.extend(group::add(groups.entry(fingerprint.clone()).or_default(), entry));
        for step in [Step::Minute, Step::Hour] {
            // The sum of all groups is kept beside them: an overview asks for nothing else.
            for fingerprint in [fingerprint.as_str(), ""] {
                *counts.entry((step, fingerprint, group::bucket(step, entry.at), &entry.backend, entry.status)).or_default() += 1;
            }
        }
    }
    save(transaction, groups.values().flatten()).await?;
    let add = "INSERT INTO lockgate_counts SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::int[], $6::bigint[]) \
               ON CONFLICT (width, fingerprint, at, backend, status) DO UPDATE SET count = lockgate_counts.count + excluded.count";
    let widths: Vec<i64> = counts.keys().map(|(step, ..)| number(step.millis())).collect();
    let groups: Vec<&str> = counts.keys().map(|(_, group, ..)| *group).collect();
    let times: Vec<i64> = counts.keys().map(|(_, _, at, ..)| number(*at)).collect();
    let backends: Vec<String> = counts.keys().map(|(_, _, _, backend, _)| text(backend).into_owned()).collect();
    let statuses: Vec<i32> = counts.keys().map(|(.., status)| i32::from(*status)).collect();
    let numbers: Vec<i64> = counts.values().copied().collect();
    transaction.execute(add, &[&widths, &groups, &times, &backends, &statuses, &numbers]).await?;
    Ok(events)
}

pub(super) async fn save(transaction: &Transaction<'_>, groups: impl Iterator<Item = &Group>) -> Result<(), Error> {
    let replace = "INSERT INTO lockgate_groups VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (fingerprint) \
                   DO UPDATE SET title = $2, exception = $7, first_seen = $8, last_seen = $9, count = $10, state = $11, last_request_id = $13";
    let replace = transaction.prepare(replace).await?;
    for group in groups {
        let texts = [
            &group.fingerprint,
            &group.title,
            &group.route,
            &group.backend,
            &group.code,
            &group.reason,
            &group.first_config,
            &group.last_request_id,
        ];
        let [fingerprint, title, route, backend, code, reason, config, request] = texts.map(|value| text(value));
        let exception = group.exception.as_deref().map(text);
        let (first, last, count) = (number(group.first_seen), number(group.last_seen), number(group.count));
        let (state, set) = (columns::state(group.state), number(group.state_set));
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 14] =
            [&fingerprint, &title, &route, &backend, &code, &reason, &exception, &first, &last, &count, &state, &config, &request, &set];
        transaction.execute(&replace, &values).await?;
    }
    Ok(())
}

pub(super) async fn total(transaction: &Transaction<'_>, entries: i64, bytes: i64) -> Result<(), Error> {
    let add = "UPDATE lockgate_totals SET value = value + CASE name WHEN 'entries' THEN $1::bigint ELSE $2::bigint END";
    transaction.execute(add, &[&entries, &bytes]).await?;
    Ok(())
}

pub(super) async fn set_state(client: &mut Client, fingerprint: &str, state: GroupState, at: Millis) -> Result<bool, Error> {
    // A batch that has read the group must not write its state from before.
    let transaction = begin(client).await?;
    let update = "UPDATE lockgate_groups SET state = $2, state_set = $3 WHERE fingerprint = $1";
    let found = transaction.execute(update, &[&text(fingerprint), &columns::state(state), &number(at)]).await? > 0;
    transaction.commit().await?;
    Ok(found)
}
