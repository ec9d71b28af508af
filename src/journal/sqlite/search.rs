//! Finds entries by words, newest first.
//!
//! A word is in an entry if it begins a word of the text that the entry has in common with others, or one of its own. The entries are looked
//! through in windows, the newest first, which grow as long as nothing is found: a page of frequent words needs only the first.

use std::collections::HashSet;

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::columns;
use super::conditions::Conditions;

/// The entries of the first window.
const FIRST: usize = 1000;
/// The most entries of a window.
const LARGEST: usize = 128 * 1024;

type Keys = HashSet<i64, foldhash::fast::FixedState>;

/// A search for words.
pub(super) struct Search<'c> {
    file: &'c Connection,
    /// Each word as a query of FTS5, and the texts that have it.
    words: Vec<(String, Keys)>,
}

impl<'c> Search<'c> {
    pub(super) fn new(file: &'c Connection, wanted: &[String]) -> rusqlite::Result<Self> {
        let mut texts = file.prepare_cached("SELECT rowid FROM common WHERE common MATCH ?")?;
        let mut words = Vec::new();
        for word in wanted {
            // A word has neither quotes nor stars.
            let query = format!("\"{word}\" *");
            let found = texts.query_map([&query], |row| row.get(0))?.collect::<rusqlite::Result<Keys>>()?;
            words.push((query, found));
        }
        // What few texts have decides first.
        words.sort_by_key(|(_, texts)| texts.len());
        Ok(Self { file, words })
    }

    /// Gives the keys of entries that have all words to `take`, newest first, until it returns false.
    pub(super) fn run(&self, conditions: &Conditions, mut take: impl FnMut(i64) -> rusqlite::Result<bool>) -> rusqlite::Result<()> {
        let mut size = FIRST;
        let mut end = i64::MAX;
        while let Some(begin) = self.begin(end, size)? {
            for key in self.window(conditions, begin, end)? {
                if !take(key)? {
                    return Ok(());
                }
            }
            end = begin;
            size = (size * 4).min(LARGEST);
        }
        Ok(())
    }

    /// Returns the key where a window of so many entries begins; `None` if there are none.
    fn begin(&self, end: i64, size: usize) -> rusqlite::Result<Option<i64>> {
        // A word that no text has is in few entries, if in any: they are found without a look at the others.
        if let Some((word, _)) = self.words.first().filter(|(_, texts)| texts.is_empty()) {
            let newest = "SELECT min(rowid) FROM (SELECT rowid FROM own WHERE own MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?)";
            return self.file.prepare_cached(newest)?.query_row(params![word, end, columns::size(FIRST)], |row| row.get(0));
        }
        let begin = "SELECT min(key) FROM (SELECT key FROM entries WHERE key < ? ORDER BY key DESC LIMIT ?)";
        self.file.prepare_cached(begin)?.query_row(params![end, columns::size(size)], |row| row.get(0))
    }

    fn window(&self, conditions: &Conditions, begin: i64, end: i64) -> rusqlite::Result<Vec<i64>> {
        let mut own = self.file.prepare_cached("SELECT rowid FROM own WHERE own MATCH ? AND rowid >= ? AND rowid < ?")?;
        let mut own_keys = Vec::new();
        for (word, texts) in &self.words {
            let keys = own.query_map(params![word, begin, end], |row| row.get(0))?.collect::<rusqlite::Result<Keys>>()?;
            if keys.is_empty() && texts.is_empty() {
                return Ok(Vec::new());
            }
            own_keys.push(keys);
        }
        // Where a word is in no text, only the entries that have it themselves matter.
        if let Some(at) = self.words.iter().position(|(_, texts)| texts.is_empty()) {
            return self.among(conditions, &own_keys, &own_keys[at], begin, end);
        }
        let has = |key: i64, text: i64| self.has(&own_keys, key, text);
        let select =
            format!("SELECT e.key, e.text FROM entries e WHERE {} AND e.key >= ? AND e.key < ? ORDER BY e.key DESC", conditions.sql);
        let values = conditions.values.iter().cloned().chain([Value::Integer(begin), Value::Integer(end)]);
        let mut select = self.file.prepare_cached(&select)?;
        let mut rows = select.query(params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let key = row.get(0)?;
            if has(key, row.get(1)?) {
                found.push(key);
            }
        }
        Ok(found)
    }

    fn among(&self, conditions: &Conditions, own: &[Keys], keys: &Keys, begin: i64, end: i64) -> rusqlite::Result<Vec<i64>> {
        let mut keys: Vec<i64> = keys.iter().copied().filter(|key| (begin..end).contains(key)).collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        let select = format!("SELECT e.text FROM entries e WHERE {} AND e.key = ?", conditions.sql);
        let mut select = self.file.prepare_cached(&select)?;
        let mut found = Vec::new();
        for key in keys {
            let values = conditions.values.iter().cloned().chain([Value::Integer(key)]);
            let mut rows = select.query(params_from_iter(values))?;
            if let Some(row) = rows.next()?.map(|row| row.get(0)).transpose()?
                && self.has(own, key, row)
            {
                found.push(key);
            }
        }
        Ok(found)
    }

    fn has(&self, own: &[Keys], key: i64, text: i64) -> bool {
        self.words.iter().zip(own).all(|((_, texts), own)| texts.contains(&text) || own.contains(&key))
    }
}
