//! Removals, in steps: what is too old or too much, and what an operator purges.
//!
//! Each step is one transaction that takes a few hundredths of a second, so that batches are written in between. Must not know how the
//! file was opened.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::columns::{self, end_key, facet, first_key, number, time};
use super::file::BUSY;
use super::write::{Batch, Writer};
use crate::journal::entry::Millis;
use crate::journal::group::{self, MAX_GROUPS};
use crate::journal::query::{Pruned, Purge, Step, Summary};

/// The most entries that are removed in a step.
pub(super) const STEP: usize = 500;
/// The most buckets of counts, and how many are removed in a step.
const MAX_COUNTS: u64 = 2_000_000;
const COUNTS: u64 = 5_000;
/// The pages that are given back to the system in a step.
const PAGES: u32 = 512;
/// The pages of an index of words that are rewritten in a step.
const MERGED: i32 = 256;
/// The indexes of words.
const INDEXES: [&str; 2] = ["own", "common"];

/// The buckets of counts of removed entries, and the number of entries in each.
type Buckets = BTreeMap<(Step, String, Millis, String, u16), i64>;

/// What is left to be done so that nothing of purged entries is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Erasure {
    /// An index of words keeps those of removed entries until it is rewritten. `begun` says that its rewriting has begun.
    Index { number: usize, begun: bool },
    /// Pages that are free may have what was in them.
    FreePages,
    /// The log of SQLite (WAL) has what the file had before. It is emptied when nobody reads from it; so often it was tried in vain.
    Log { tries: u32 },
}

/// How long a step waits for readers of the log. Batches wait as long.
const READERS: Duration = Duration::from_millis(50);

impl Writer {
    /// Removes a step of what is to be purged. Returns the number of entries; fewer than [`STEP`] if there are no more.
    pub(super) fn purge_step(&mut self, what: &Purge) -> rusqlite::Result<u64> {
        // What is removed is overwritten.
        self.connection.execute_batch("PRAGMA secure_delete = ON")?;
        self.transaction(|batch| {
            let keys = batch.purged(what)?;
            batch.take_out(&keys)?;
            if keys.len() < STEP {
                match what {
                    Purge::Group(fingerprint) => batch.forget(fingerprint)?,
                    Purge::All => batch.file.execute_batch("DELETE FROM groups; DELETE FROM counts")?,
                    Purge::Request(_) | Purge::Before(_) => {}
                }
            }
            Ok(keys.len() as u64)
        })
    }

    /// Does a step of an erasure. Returns what comes next; `None` at the end.
    pub(super) fn erase_step(&mut self, now: Erasure) -> rusqlite::Result<Option<Erasure>> {
        match now {
            Erasure::Index { number, begun } => {
                let Some(index) = INDEXES.get(number) else { return Ok(Some(Erasure::FreePages)) };
                // A negative number begins to merge all parts of an index, a positive one goes on.
                let pages = if begun { MERGED } else { -MERGED };
                let before = self.connection.total_changes();
                self.connection.execute(&format!("INSERT INTO {index}({index}, rank) VALUES ('merge', ?)"), [pages])?;
                // The statement itself is one change, and there is nothing to merge if it is the only one.
                let more = self.connection.total_changes() - before >= 2;
                Ok(Some(if more { Erasure::Index { number, begun: true } } else { Erasure::Index { number: number + 1, begun: false } }))
            }
            Erasure::FreePages => Ok(Some(if self.shrink(0)? { Erasure::FreePages } else { Erasure::Log { tries: 0 } })),
            Erasure::Log { tries } => {
                self.connection.busy_timeout(READERS)?;
                let busy = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
                self.connection.busy_timeout(BUSY)?;
                if busy? {
                    return Ok(Some(Erasure::Log { tries: tries + 1 }));
                }
                self.connection.execute_batch("PRAGMA secure_delete = FAST")?;
                Ok(None)
            }
        }
    }

    /// Does a step of removing what is too old or too much, and gives room back to the system.
    pub(super) fn prune(&mut self, max_bytes: u64, keep: Millis, now: Millis) -> rusqlite::Result<Pruned> {
        let end = first_key(now.saturating_sub(keep));
        let mut removed = self.transaction(|batch| batch.remove_oldest(end, STEP))?;
        // An index may need more than its entries had, for a while: bounded by the number of entries.
        if removed == 0 && self.bytes()? > max_bytes {
            removed = self.transaction(|batch| batch.remove_oldest(i64::MAX, STEP))?;
        }
        let more_groups = removed == 0 && self.transaction(|batch| batch.prune_groups(now))?;
        let more_pages = self.shrink(PAGES)?;
        Ok(Pruned { removed, more: removed > 0 || more_groups || more_pages })
    }

    /// Gives some free pages to the system, if more than so many are free. Returns true if there are more.
    fn shrink(&self, most: u32) -> rusqlite::Result<bool> {
        let free = |connection: &Connection| connection.query_row("PRAGMA freelist_count", [], |row| row.get::<_, u32>(0));
        let before = free(&self.connection)?;
        if before <= most {
            return Ok(false);
        }
        {
            // Each page that is given back is a row.
            let mut vacuum = self.connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
            let mut rows = vacuum.query([])?;
            while rows.next()?.is_some() {}
        }
        let left = free(&self.connection)?;
        Ok(left > most && left < before)
    }
}

impl Batch<'_> {
    /// Removes the oldest entries before a key, at most so many. Their groups still count them.
    pub(super) fn remove_oldest(&mut self, end: i64, most: usize) -> rusqlite::Result<u64> {
        let keys = self.oldest(end, most)?;
        keys.iter().try_for_each(|key| self.remove(*key))?;
        Ok(keys.len() as u64)
    }

    fn oldest(&self, end: i64, most: usize) -> rusqlite::Result<Vec<i64>> {
        let mut oldest = self.file.prepare_cached("SELECT key FROM entries WHERE key < ? ORDER BY key LIMIT ?")?;
        oldest.query_map(params![end, columns::size(most)], |row| row.get(0))?.collect()
    }

    /// Returns the keys of the next entries that are purged, at most [`STEP`].
    fn purged(&self, what: &Purge) -> rusqlite::Result<Vec<i64>> {
        match what {
            Purge::Request(id) => Ok(self.key_of(id)?.into_iter().collect()),
            Purge::Before(end) => self.oldest(first_key(*end), STEP),
            Purge::All => self.oldest(i64::MAX, STEP),
            Purge::Group(fingerprint) => {
                let mut of_group = self.file.prepare_cached("SELECT key FROM entries WHERE fingerprint = ? ORDER BY key LIMIT ?")?;
                of_group.query_map([facet(fingerprint), columns::size(STEP)], |row| row.get(0))?.collect()
            }
        }
    }

    /// Removes entries, and takes them out of their groups.
    fn take_out(&mut self, keys: &[i64]) -> rusqlite::Result<()> {
        let mut buckets = Buckets::new();
        let mut groups: BTreeMap<String, u64> = BTreeMap::new();
        for key in keys {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, u16>(2)?));
            let mut select = self.file.prepare_cached("SELECT fingerprint, backend, status FROM details WHERE key = ?")?;
            if let Some((fingerprint, backend, status)) = select.query_row([key], read).optional()? {
                for step in [Step::Minute, Step::Hour] {
                    let bucket = (step, fingerprint.clone(), group::bucket(step, time(*key)), backend.clone(), status);
                    *buckets.entry(bucket).or_default() += 1;
                }
                *groups.entry(fingerprint).or_default() += 1;
            }
            drop(select);
            self.remove(*key)?;
        }
        buckets.iter().try_for_each(|(bucket, count)| self.uncount(bucket, *count))?;
        groups.iter().try_for_each(|(fingerprint, count)| self.describe(fingerprint, *count))
    }

    /// Counts so many entries less in a bucket, and in the sum of all groups.
    fn uncount(&self, (step, group, at, backend, status): &(Step, String, Millis, String, u16), less: i64) -> rusqlite::Result<()> {
        let bucket = |group: &str| (number(step.millis()), group.to_owned(), number(*at), backend.clone(), *status);
        let find = "SELECT count FROM counts WHERE width = ? AND fingerprint = ? AND at = ? AND backend = ? AND status = ?";
        let known: Option<i64> = self.file.prepare_cached(find)?.query_row(bucket(group), |row| row.get(0)).optional()?;
        // A bucket that is too old is gone.
        let Some(less) = known.map(|known| known.min(less)) else { return Ok(()) };
        for group in [group.as_str(), ""] {
            let (width, group, at, backend, status) = bucket(group);
            let update =
                "UPDATE counts SET count = count - ? WHERE width = ? AND fingerprint = ? AND at = ? AND backend = ? AND status = ?";
            self.file.prepare_cached(update)?.execute(params![less, width, group, at, backend, status])?;
            let empty = "DELETE FROM counts WHERE width = ? AND fingerprint = ? AND at = ? AND backend = ? AND status = ? AND count <= 0";
            self.file.prepare_cached(empty)?.execute(params![width, group, at, backend, status])?;
        }
        Ok(())
    }

    /// Describes a group by the entries that are left. One without entries is removed.
    fn describe(&self, fingerprint: &str, removed: u64) -> rusqlite::Result<()> {
        match (self.left(fingerprint, "ASC")?, self.left(fingerprint, "DESC")?) {
            (Some(oldest), Some(newest)) => {
                let Some(mut group) = self.group(fingerprint)? else { return Ok(()) };
                group::remove(&mut group, removed, (&oldest, &newest));
                self.save(&group)
            }
            (None, _) | (_, None) => self.forget(fingerprint),
        }
    }

    /// Returns the first or the last entry of a group. Those of one millisecond are ordered by their ids.
    fn left(&self, fingerprint: &str, order: &str) -> rusqlite::Result<Option<Summary>> {
        let first = format!("SELECT key FROM entries WHERE fingerprint = ? ORDER BY key {order} LIMIT 1");
        let Some(key) = self.file.prepare_cached(&first)?.query_row([facet(fingerprint)], |row| row.get(0)).optional()? else {
            return Ok(None);
        };
        let at: Millis = time(key);
        let summary = columns::SUMMARY;
        let of_time =
            format!("SELECT {summary} FROM details d WHERE key >= ? AND key < ? AND fingerprint = ? ORDER BY request_id {order} LIMIT 1");
        let values = params![first_key(at), end_key(at), fingerprint];
        self.file.prepare_cached(&of_time)?.query_row(values, columns::summary).optional()
    }

    /// Removes a group with its counts.
    fn forget(&self, fingerprint: &str) -> rusqlite::Result<()> {
        self.file.prepare_cached("DELETE FROM groups WHERE fingerprint = ?")?.execute([fingerprint])?;
        for step in [Step::Minute, Step::Hour] {
            let mut select =
                self.file.prepare_cached("SELECT at, backend, status, count FROM counts WHERE width = ? AND fingerprint = ?")?;
            let read = |row: &rusqlite::Row<'_>| {
                Ok(((step, fingerprint.to_owned(), row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?, row.get(2)?), row.get::<_, i64>(3)?))
            };
            let found = select.query_map(params![number(step.millis()), fingerprint], read)?;
            let buckets: Vec<_> = found.collect::<rusqlite::Result<_>>()?;
            buckets.iter().try_for_each(|(bucket, count)| self.uncount(bucket, *count))?;
        }
        Ok(())
    }

    /// Removes groups and counts that are too many or too old. Returns true if there are more.
    fn prune_groups(&self, now: Millis) -> rusqlite::Result<bool> {
        let excess = "DELETE FROM groups WHERE fingerprint IN (SELECT fingerprint FROM groups ORDER BY last_seen DESC LIMIT -1 OFFSET ?)";
        self.file.prepare_cached(excess)?.execute([columns::size(MAX_GROUPS)])?;
        let mut more = false;
        for step in [Step::Minute, Step::Hour] {
            more |= self.remove_counts(step, now.saturating_sub(step.kept()))?;
        }
        let counts: i64 = self.file.query_row("SELECT count(*) FROM counts", [], |row| row.get(0))?;
        if counts.cast_unsigned() > MAX_COUNTS {
            self.remove_counts(Step::Minute, Millis::MAX)?;
            more |= counts.cast_unsigned() > MAX_COUNTS + COUNTS;
        }
        Ok(more)
    }

    /// Removes the oldest buckets before a time: about so many as a step removes. Returns true if there are more.
    fn remove_counts(&self, step: Step, end: Millis) -> rusqlite::Result<bool> {
        let width = number(step.millis());
        let nth = "SELECT at FROM counts WHERE width = ? AND at < ? ORDER BY at LIMIT 1 OFFSET ?";
        let nth = self.file.prepare_cached(nth)?.query_row([width, number(end), number(COUNTS)], |row| row.get::<_, i64>(0)).optional()?;
        let end = nth.map_or(number(end), |at| at + 1);
        self.file.prepare_cached("DELETE FROM counts WHERE width = ? AND at < ?")?.execute([width, end])?;
        Ok(nth.is_some())
    }
}
