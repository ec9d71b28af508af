//! Writes: batches and states. Each is one transaction; `remove` adds removals.
//!
//! Must not know how the file was opened.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::columns::{self, LATEST, end_key, facet, first_key, number};
use crate::journal::entry::{Entry, Millis};
use crate::journal::group;
use crate::journal::packed::Packer;
use crate::journal::query::{Group, GroupEvent, GroupState, Step};
use crate::journal::words::{self, Words};

/// The most common texts whose numbers are remembered.
const MAX_TEXTS: usize = 16 * 1024;

/// The connection that writes.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) connection: Connection,
    /// The numbers of texts, by the hash of their words. Forgotten with the process: then a text may be indexed twice.
    texts: HashMap<u64, i64>,
    hasher: foldhash::quality::RandomState,
    packer: Packer,
}

/// The text of an entry that was removed, and how many entries.
type Uses = HashMap<i64, i64>;

impl Writer {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, texts: HashMap::new(), hasher: foldhash::quality::RandomState::default(), packer: Packer::default() }
    }

    /// Does something as a whole or not at all.
    pub(super) fn transaction<T>(&mut self, work: impl FnOnce(&mut Batch<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let file = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut batch =
            Batch { file: &file, texts: &mut self.texts, hasher: &self.hasher, packer: &mut self.packer, uses: Uses::new(), entries: 0 };
        let result = work(&mut batch).and_then(|value| batch.finish().map(|()| value)).and_then(|value| file.commit().map(|()| value));
        if result.is_err() || self.texts.len() > MAX_TEXTS {
            // Numbers that were not committed are given to other texts.
            self.texts.clear();
        }
        result
    }

    pub(super) fn write(&mut self, batch: &[Entry], max_bytes: u64) -> rusqlite::Result<Vec<GroupEvent>> {
        let excess = self.bytes()? > max_bytes;
        self.transaction(|writing| {
            if excess {
                // Makes room for what is written now, so that the file stays where it is between two prunes.
                writing.remove_oldest(i64::MAX, batch.len() * 2)?;
            }
            writing.add(batch)
        })
    }

    pub(super) fn set_state(&self, fingerprint: &str, state: GroupState, at: Millis) -> rusqlite::Result<bool> {
        let mut update = self.connection.prepare_cached("UPDATE groups SET state = ?2, state_set = ?3 WHERE fingerprint = ?1")?;
        Ok(update.execute(params![fingerprint, columns::state(state), number(at)])? > 0)
    }

    /// Returns the bytes of the file that are in use.
    pub(super) fn bytes(&self) -> rusqlite::Result<u64> {
        used(&self.connection)
    }
}

/// Returns the bytes of the file that are in use.
pub(super) fn used(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma: &str| connection.prepare_cached(pragma)?.query_row([], |row| row.get::<_, i64>(0));
    let pages = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
    Ok((pages * number("PRAGMA page_size")?).cast_unsigned())
}

/// A transaction.
pub(super) struct Batch<'w> {
    pub(super) file: &'w Transaction<'w>,
    texts: &'w mut HashMap<u64, i64>,
    hasher: &'w foldhash::quality::RandomState,
    packer: &'w mut Packer,
    /// By how much the uses of texts change.
    uses: Uses,
    /// By how much the number of entries changes.
    entries: i64,
}

impl Batch<'_> {
    fn add(&mut self, batch: &[Entry]) -> rusqlite::Result<Vec<GroupEvent>> {
        let mut events = Vec::new();
        let mut groups: HashMap<&str, Option<Group>> = HashMap::new();
        let mut counts: BTreeMap<(Step, &str, Millis, &str, u16), i64> = BTreeMap::new();
        let mut own = BTreeMap::new();
        for entry in batch {
            // Whoever waits for this processor goes first.
            std::thread::yield_now();
            if !entry.counted_only {
                let known = self.key_of(&entry.request_id)?;
                if let Some(key) = known {
                    own.remove(&key);
                    self.remove(key)?;
                }
                let words = words::of(entry);
                let key = self.insert(entry, &words)?;
                own.insert(key, words.own.join(" "));
                if known.is_some() {
                    continue;
                }
            }
            if !groups.contains_key(entry.fingerprint.as_str()) {
                groups.insert(&entry.fingerprint, self.group(&entry.fingerprint)?);
            }
            events.extend(groups.get_mut(entry.fingerprint.as_str()).and_then(|group| group::add(group, entry)));
            for step in [Step::Minute, Step::Hour] {
                // The sum of all groups is kept beside them: an overview asks for nothing else.
                for fingerprint in [entry.fingerprint.as_str(), ""] {
                    *counts.entry((step, fingerprint, group::bucket(step, entry.at), &entry.backend, entry.status)).or_default() += 1;
                }
            }
        }
        self.index(&own)?;
        groups.into_values().flatten().try_for_each(|group| self.save(&group))?;
        self.count(counts)?;
        Ok(events)
    }

    pub(super) fn key_of(&self, request_id: &str) -> rusqlite::Result<Option<i64>> {
        self.file.prepare_cached("SELECT key FROM details WHERE request_id = ?")?.query_row([request_id], |row| row.get(0)).optional()
    }

    /// Returns a key that is free: the next of its time.
    fn free_key(&self, mut at: Millis) -> rusqlite::Result<i64> {
        let mut last = self.file.prepare_cached("SELECT max(key) FROM entries WHERE key >= ? AND key < ?")?;
        loop {
            let last: Option<i64> = last.query_row([first_key(at), end_key(at)], |row| row.get(0))?;
            let next = last.map_or(first_key(at), |last| last + 1);
            // So many entries within a millisecond that the next one takes some.
            if next < end_key(at) || at >= LATEST {
                return Ok(next);
            }
            at += 1;
        }
    }

    fn insert(&mut self, entry: &Entry, words: &Words) -> rusqlite::Result<i64> {
        let key = self.free_key(entry.at)?;
        let text = self.text(words)?;
        let facets = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.file.prepare_cached(facets)?.execute(params![
            key,
            entry.status,
            facet(&entry.route),
            facet(&entry.backend),
            facet(entry.endpoint.as_deref().unwrap_or_default()),
            facet(&entry.code),
            facet(&entry.reason),
            facet(entry.exception.as_deref().unwrap_or_default()),
            facet(&entry.fingerprint),
            text
        ])?;
        let packed = self.packer.pack(entry).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let details = "INSERT INTO details VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.file.prepare_cached(details)?.execute(params![
            key,
            entry.request_id,
            number(entry.duration_us),
            entry.method,
            entry.path,
            entry.route,
            entry.backend,
            entry.endpoint,
            entry.status,
            entry.received,
            entry.code,
            entry.reason,
            entry.exception,
            entry.fingerprint,
            entry.title,
            packed
        ])?;
        self.entries += 1;
        Ok(key)
    }

    /// Returns the number of the text that an entry has in common with others; zero if it has none.
    fn text(&mut self, words: &Words) -> rusqlite::Result<i64> {
        if words.common.is_empty() {
            return Ok(0);
        }
        let hash = self.hasher.hash_one(&words.common);
        let id = if let Some(id) = self.texts.get(&hash) {
            *id
        } else {
            self.file.prepare_cached("INSERT INTO texts (uses) VALUES (0)")?.execute([])?;
            let id = self.file.last_insert_rowid();
            let index = "INSERT INTO common (rowid, words) VALUES (?, ?)";
            self.file.prepare_cached(index)?.execute(params![id, words.common.join(" ")])?;
            self.texts.insert(hash, id);
            id
        };
        *self.uses.entry(id).or_default() += 1;
        Ok(id)
    }

    /// Indexes the words of entries, in the order of keys: an index is built in order.
    fn index(&self, own: &BTreeMap<i64, String>) -> rusqlite::Result<()> {
        let mut insert = self.file.prepare_cached("INSERT INTO own (rowid, words) VALUES (?, ?)")?;
        own.iter().filter(|(_, words)| !words.is_empty()).try_for_each(|(key, words)| insert.execute(params![key, words]).map(drop))
    }

    pub(super) fn group(&self, fingerprint: &str) -> rusqlite::Result<Option<Group>> {
        let select = format!("SELECT {}, state_set FROM groups WHERE fingerprint = ?", columns::GROUP);
        self.file.prepare_cached(&select)?.query_row([fingerprint], columns::whole_group).optional()
    }

    pub(super) fn save(&self, group: &Group) -> rusqlite::Result<()> {
        let replace = "INSERT OR REPLACE INTO groups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = params![
            group.fingerprint,
            group.title,
            group.route,
            group.backend,
            group.code,
            group.reason,
            group.exception,
            number(group.first_seen),
            number(group.last_seen),
            number(group.count),
            columns::state(group.state),
            group.first_config,
            group.last_request_id,
            number(group.state_set)
        ];
        self.file.prepare_cached(replace)?.execute(values).map(drop)
    }

    fn count(&self, counts: BTreeMap<(Step, &str, Millis, &str, u16), i64>) -> rusqlite::Result<()> {
        let add = "INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?) \
                   ON CONFLICT (width, fingerprint, at, backend, status) DO UPDATE SET count = count + excluded.count";
        let mut add = self.file.prepare_cached(add)?;
        counts.into_iter().try_for_each(|((step, group, at, backend, status), count)| {
            add.execute(params![number(step.millis()), group, number(at), backend, status, count]).map(drop)
        })
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, key: i64) -> rusqlite::Result<()> {
        let text = self.file.prepare_cached("SELECT text FROM entries WHERE key = ?")?.query_row([key], |row| row.get(0)).optional()?;
        let Some(text) = text else { return Ok(()) };
        self.file.prepare_cached("DELETE FROM own WHERE rowid = ?")?.execute([key])?;
        self.file.prepare_cached("DELETE FROM details WHERE key = ?")?.execute([key])?;
        self.file.prepare_cached("DELETE FROM entries WHERE key = ?")?.execute([key])?;
        *self.uses.entry(text).or_default() -= 1;
        self.entries -= 1;
        Ok(())
    }

    /// Writes the sums, and removes texts that no entry has any more.
    fn finish(&mut self) -> rusqlite::Result<()> {
        let mut update = self.file.prepare_cached("UPDATE texts SET uses = uses + ?2 WHERE id = ?1 RETURNING uses")?;
        for (id, change) in self.uses.drain().filter(|(id, _)| *id != 0) {
            let left: Option<i64> = update.query_row([id, change], |row| row.get(0)).optional()?;
            if left == Some(0) {
                self.file.prepare_cached("DELETE FROM common WHERE rowid = ?")?.execute([id])?;
                self.file.prepare_cached("DELETE FROM texts WHERE id = ?")?.execute([id])?;
                self.texts.retain(|_, known| *known != id);
            }
        }
        if self.entries != 0 {
            self.file.prepare_cached("UPDATE totals SET value = value + ? WHERE name = 'entries'")?.execute([self.entries])?;
        }
        Ok(())
    }
}
