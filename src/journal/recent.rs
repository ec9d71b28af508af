//! The latest entries that this gateway has written, in the order in which they were: for whoever follows them.
//!
//! Entries are ordered by the arrival of their requests everywhere else, and a request that took long would appear among older ones. Kept
//! only while somebody asks. Must not know who.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::entry::Entry;
use super::memory::matches;
use super::query::{Filter, MAX_LIMIT, Summary};

/// Nothing is kept if nobody has asked for so long.
const ASKED: Duration = Duration::from_secs(30);
/// The most entries, and their most bytes.
const MAX_ENTRIES: usize = 10_000;
const MAX_BYTES: usize = 16 << 20;

/// The latest entries.
#[derive(Debug)]
pub struct Recent {
    /// Tells this process from the one before a restart.
    process: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The number of the entry that is written next.
    next: u64,
    asked: Option<Instant>,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// What was written, oldest first.
    pub items: Vec<Summary>,
    /// Where the next question begins.
    pub next: String,
    /// The entries that were too many to be kept until now; filters do not hold for them.
    pub missed: u64,
    /// The question begins in another process: what was written in between is not known here.
    pub restarted: bool,
}

impl Default for Recent {
    fn default() -> Self {
        Self { process: fastrand::u64(1..), state: Mutex::default() }
    }
}

impl Recent {
    /// Notes entries that were written.
    pub(super) fn note(&self, batch: &[Entry]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.asked.is_none_or(|asked| asked.elapsed() > ASKED) {
            (state.entries, state.bytes) = (VecDeque::new(), 0);
            state.next += batch.len() as u64;
            return;
        }
        for entry in batch {
            state.bytes += entry.size();
            state.next += 1;
            state.entries.push_back(entry.clone());
            while state.entries.len() > MAX_ENTRIES || state.bytes > MAX_BYTES {
                let Some(oldest) = state.entries.pop_front() else { break };
                state.bytes -= oldest.size();
            }
        }
    }

    /// Forgets what was written, because some of it was removed for good.
    pub fn forget(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.entries, state.bytes) = (VecDeque::new(), 0);
    }

    /// Returns what was written after an earlier answer, at most `limit` entries that match. Without an earlier answer, that is nothing.
    pub fn after(&self, cursor: Option<&str>, filter: &Filter, limit: usize) -> Fresh {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked = Some(Instant::now());
        let known = cursor.and_then(|cursor| {
            let (process, next) = cursor.split_once('~')?;
            Some((u64::from_str_radix(process, 16).ok()?, next.parse::<u64>().ok()?))
        });
        let (from, restarted) = match known {
            Some((process, next)) if process == self.process => (next.min(state.next), false),
            Some(_) => (state.next, true),
            None => (state.next, false),
        };
        let first = state.next - state.entries.len() as u64;
        let begin = from.max(first);
        let mut at = begin;
        let mut items = Vec::new();
        for entry in state.entries.iter().skip(usize::try_from(begin - first).unwrap_or(usize::MAX)) {
            if items.len() >= limit.min(MAX_LIMIT) {
                break;
            }
            at += 1;
            if !entry.counted_only && matches(filter, entry) {
                items.push(Summary::of(entry));
            }
        }
        Fresh { items, next: format!("{:x}~{at}", self.process), missed: begin - from, restarted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: usize, status: u16) -> Entry {
        Entry { request_id: id.to_string(), status, ..Entry::default() }
    }

    fn ids(fresh: &Fresh) -> Vec<&str> {
        fresh.items.iter().map(|item| item.request_id.as_str()).collect()
    }

    #[test]
    fn whoever_asks_gets_what_was_written_since() {
        let recent = Recent::default();
        recent.note(&[entry(0, 500)]);
        let begin = recent.after(None, &Filter::default(), 10);
        assert!(begin.items.is_empty());
        recent.note(&[entry(1, 500), entry(2, 404), Entry { counted_only: true, ..entry(9, 500) }, entry(3, 500)]);
        let one = recent.after(Some(&begin.next), &Filter::default(), 1);
        let rest = recent.after(Some(&one.next), &Filter::default(), 10);
        assert_eq!((ids(&one), ids(&rest), rest.missed), (vec!["1"], vec!["2", "3"], 0));
        let filter = Filter { status: Some((500, 599)), ..Filter::default() };
        assert_eq!(ids(&recent.after(Some(&begin.next), &filter, 10)), ["1", "3"]);
        assert!(recent.after(Some(&rest.next), &filter, 10).items.is_empty());
        assert!(Recent::default().after(Some(&rest.next), &filter, 10).restarted);
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_missed_is_told() {
        let recent = Recent::default();
        let begin = recent.after(None, &Filter::default(), 10);
        (0..MAX_ENTRIES + 7).for_each(|id| recent.note(&[entry(id, 500)]));
        let fresh = recent.after(Some(&begin.next), &Filter::default(), 1);
        assert_eq!((fresh.missed, ids(&fresh)), (7, vec!["7"]));
        let large = Entry { upstream_body: Some("x".repeat(1 << 20)), ..entry(1, 500) };
        (0..100).for_each(|_| recent.note(std::slice::from_ref(&large)));
        assert!(recent.state.lock().unwrap().bytes <= MAX_BYTES);
    }
}
