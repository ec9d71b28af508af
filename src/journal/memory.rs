//! The store in memory: the default. Bounded in bytes; the oldest entries go first. Everything is lost with the process.
//!
//! Knows nothing of the queue.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::entry::{Entry, Millis};
use super::group::{self, MAX_GROUPS};
use super::query::{
    Count, CountQuery, Cursor, Filter, Group, GroupEvent, GroupQuery, GroupState, ListQuery, MAX_LIMIT, Page, Pruned, Purge, Step, Summary,
    Usage,
};
use super::store::{Store, StoreError};
use super::words;

/// The most buckets of counts.
const MAX_COUNTS: usize = 100_000;
/// The most entries that are removed at once because they are too old.
const STEP: u64 = 2000;

/// Identifies a bucket of counts: its width, its beginning, the group, the backend and the status.
type CountKey = (Millis, Millis, String, String, u16);

/// The store.
#[derive(Debug)]
pub struct MemoryStore {
    max_bytes: usize,
    keep: Millis,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By time and request id, so that the order of this map is that of lists.
    entries: BTreeMap<(Millis, String), Entry>,
    /// The time of each request's entry.
    times: HashMap<String, Millis>,
    bytes: usize,
    groups: HashMap<String, Group>,
    counts: BTreeMap<CountKey, u64>,
}

impl MemoryStore {
    /// Creates a store that keeps at most `max_bytes` of entries, none older than `keep` milliseconds.
    pub fn new(max_bytes: usize, keep: Millis) -> Self {
        Self { max_bytes, keep, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, key: &(Millis, String)) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.size();
            self.times.remove(&key.1);
        }
    }

    fn insert(&mut self, entry: &Entry) -> Option<GroupEvent> {
        if entry.counted_only {
            return self.count(entry);
        }
        let known = self.times.insert(entry.request_id.clone(), entry.at);
        if let Some(at) = known {
            let key = (at, entry.request_id.clone());
            self.bytes -= self.entries.remove(&key).as_ref().map_or(0, Entry::size);
        }
        self.bytes += entry.size();
        self.entries.insert((entry.at, entry.request_id.clone()), entry.clone());
        if known.is_some() { None } else { self.count(entry) }
    }

    /// Counts a new entry in its group.
    fn count(&mut self, entry: &Entry) -> Option<GroupEvent> {
        for step in [Step::Minute, Step::Hour] {
            let begin = group::bucket(step, entry.at);
            let key = (step.millis(), begin, entry.fingerprint.clone(), entry.backend.clone(), entry.status);
            *self.counts.entry(key).or_default() += 1;
        }
        let mut group = self.groups.remove(&entry.fingerprint);
        let event = group::add(&mut group, entry);
        self.groups.extend(group.map(|group| (entry.fingerprint.clone(), group)));
        event
    }

    /// Removes the oldest entries until at most `max` bytes are left, and a step of what is older than its time.
    fn prune(&mut self, max: usize, oldest: Millis, now: Millis) -> Pruned {
        let mut removed = 0;
        let is_due = |state: &Self, removed: u64, at: Millis| state.bytes > max || (at < oldest && removed < STEP);
        while let Some((key, _)) = self.entries.first_key_value().filter(|(key, _)| is_due(self, removed, key.0)) {
            let key = key.clone();
            self.remove(&key);
            removed += 1;
        }
        let more = self.entries.first_key_value().is_some_and(|((at, _), _)| *at < oldest);
        while self.counts.len() > MAX_COUNTS {
            self.counts.pop_first();
        }
        if self.groups.len() > MAX_GROUPS {
            self.forget_groups();
        }
        // Counts are in the order of width and time, so that those that are too old are at the beginning of each width.
        for step in [Step::Minute, Step::Hour] {
            let end = now.saturating_sub(step.kept());
            let is_old = |(width, begin, ..): &CountKey| *width == step.millis() && *begin < end;
            let from = (step.millis(), 0, String::new(), String::new(), 0);
            while let Some(key) = self.counts.range(from.clone()..).next().map(|(key, _)| key.clone()).filter(is_old) {
                self.counts.remove(&key);
            }
        }
        Pruned { removed, more }
    }

    /// Takes entries out of the store and out of their groups.
    fn purge(&mut self, keys: &[(Millis, String)]) {
        let mut groups: HashMap<String, u64> = HashMap::new();
        for key in keys {
            let Some(entry) = self.entries.get(key) else { continue };
            *groups.entry(entry.fingerprint.clone()).or_default() += 1;
            for step in [Step::Minute, Step::Hour] {
                let begin = group::bucket(step, entry.at);
                let bucket = (step.millis(), begin, entry.fingerprint.clone(), entry.backend.clone(), entry.status);
                if let Some(count) = self.counts.get_mut(&bucket) {
                    *count = count.saturating_sub(1);
                }
            }
            self.remove(key);
        }
        self.counts.retain(|_, count| *count > 0);
        let mut left: HashMap<&str, (&Entry, &Entry)> = HashMap::new();
        for entry in self.entries.values().filter(|entry| groups.contains_key(&entry.fingerprint)) {
            left.entry(&entry.fingerprint).and_modify(|(_, newest)| *newest = entry).or_insert((entry, entry));
        }
        let mut gone = Vec::new();
        for (fingerprint, count) in groups {
            match (left.get(fingerprint.as_str()), self.groups.get_mut(&fingerprint)) {
                (Some((oldest, newest)), Some(group)) => group::remove(group, count, (&Summary::of(oldest), &Summary::of(newest))),
                (None, _) => gone.push(fingerprint),
                (Some(_), None) => {}
            }
        }
        gone.iter().for_each(|fingerprint| self.forget(fingerprint));
    }

    /// Removes a group with its counts.
    fn forget(&mut self, fingerprint: &str) {
        self.groups.remove(fingerprint);
        self.counts.retain(|(_, _, group, ..), _| group != fingerprint);
    }

    /// Removes the tenth of the groups that was seen least recently. A few at a time would cost each batch a look at all of them.
    fn forget_groups(&mut self) {
        let mut seen: Vec<(Millis, String)> = self.groups.values().map(|group| (group.last_seen, group.fingerprint.clone())).collect();
        seen.sort_unstable();
        for (_, fingerprint) in seen.into_iter().take(self.groups.len() - MAX_GROUPS * 9 / 10) {
            self.groups.remove(&fingerprint);
        }
    }
}

/// Returns true if an entry is one of those that are meant.
pub(super) fn matches(filter: &Filter, entry: &Entry) -> bool {
    let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
    filter.since.is_none_or(|since| entry.at >= since)
        && filter.until.is_none_or(|until| entry.at < until)
        && filter.status.is_none_or(|(first, last)| (first..=last).contains(&entry.status))
        && is(&filter.route, &entry.route)
        && is(&filter.backend, &entry.backend)
        && is(&filter.endpoint, entry.endpoint.as_deref().unwrap_or_default())
        && is(&filter.code, &entry.code)
        && is(&filter.reason, &entry.reason)
        && is(&filter.exception, entry.exception.as_deref().unwrap_or_default())
        && is(&filter.group, &entry.fingerprint)
        && filter.text.as_deref().map(words::wanted).is_none_or(|wanted| wanted.is_empty() || words::of(entry).have(&wanted))
}

impl Store for MemoryStore {
    fn write(&self, batch: &[Entry]) -> Result<Vec<GroupEvent>, StoreError> {
        let mut state = self.state();
        let events = batch.iter().filter_map(|entry| state.insert(entry)).collect();
        let newest = batch.iter().map(|entry| entry.at).max().unwrap_or_default();
        state.prune(self.max_bytes, newest.saturating_sub(self.keep), newest);
        Ok(events)
    }

    fn find(&self, request_id: &str) -> Result<Option<Entry>, StoreError> {
        let state = self.state();
        let at = state.times.get(request_id).copied();
        Ok(at.and_then(|at| state.entries.get(&(at, request_id.to_owned())).cloned()))
    }

    fn list(&self, query: &ListQuery) -> Result<Page<Summary>, StoreError> {
        let limit = query.limit.min(MAX_LIMIT);
        let state = self.state();
        let newest_first = state.entries.iter().rev();
        let rest = newest_first.filter(|((at, id), _)| query.after.as_ref().is_none_or(|after| (*at, id) < (after.at, &after.id)));
        let mut found = rest.map(|(_, entry)| entry).filter(|entry| matches(&query.filter, entry));
        let items: Vec<Summary> = found.by_ref().take(limit).map(Summary::of).collect();
        let last = items.last().map(|last| Cursor { at: last.at, id: last.request_id.clone() });
        Ok(Page { next: last.filter(|_| found.next().is_some()), items })
    }

    fn groups(&self, query: &GroupQuery) -> Result<Vec<Group>, StoreError> {
        let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        let state = self.state();
        let mut found: Vec<&Group> = state
            .groups
            .values()
            .filter(|group| query.states.is_empty() || query.states.contains(&group.state))
            .filter(|group| query.since.is_none_or(|since| group.last_seen >= since))
            .filter(|group| is(&query.route, &group.route) && is(&query.backend, &group.backend))
            .collect();
        let place = |group: &Group| (Reverse(query.order.rank(group)), group.fingerprint.clone());
        found.sort_by_key(|group| place(group));
        let after = query.after.as_ref().map(|after| (Reverse(after.at), after.id.clone()));
        let rest = found.into_iter().filter(|group| after.as_ref().is_none_or(|after| place(group) > *after));
        Ok(rest.skip(query.offset).take(query.limit.min(MAX_LIMIT)).cloned().collect())
    }

    fn group(&self, fingerprint: &str) -> Result<Option<Group>, StoreError> {
        Ok(self.state().groups.get(fingerprint).cloned())
    }

    fn counts(&self, query: &CountQuery) -> Result<Vec<Count>, StoreError> {
        let width = query.step.millis();
        let (first, last) = (query.since - query.since % width, query.until - query.until % width);
        let state = self.state();
        let mut summed: BTreeMap<(Millis, &str, u16), u64> = BTreeMap::new();
        let from = (width, first, String::new(), String::new(), 0);
        for ((_, at, group, backend, status), count) in
            state.counts.range(from..).take_while(|((step, at, ..), _)| *step == width && *at < last)
        {
            if query.group.as_ref().is_none_or(|wanted| wanted == group) {
                *summed.entry((*at, backend, *status)).or_default() += count;
            }
        }
        let count = |((at, backend, status), count): ((Millis, &str, u16), u64)| Count { at, backend: backend.to_owned(), status, count };
        Ok(summed.into_iter().map(count).collect())
    }

    fn set_state(&self, fingerprint: &str, state: GroupState, at: Millis) -> Result<bool, StoreError> {
        Ok(self.state().groups.get_mut(fingerprint).map(|group| (group.state, group.state_set) = (state, at)).is_some())
    }

    fn purge(&self, what: &Purge) -> Result<u64, StoreError> {
        let mut state = self.state();
        let keys: Vec<(Millis, String)> = match what {
            Purge::Request(id) => state.times.get(id).map(|at| (*at, id.clone())).into_iter().collect(),
            Purge::Before(end) => state.entries.range(..(*end, String::new())).map(|(key, _)| key.clone()).collect(),
            Purge::Group(wanted) => {
                state.entries.iter().filter(|(_, entry)| entry.fingerprint == *wanted).map(|(key, _)| key.clone()).collect()
            }
            Purge::All => {
                let removed = state.entries.len() as u64;
                *state = State::default();
                return Ok(removed);
            }
        };
        state.purge(&keys);
        if let Purge::Group(fingerprint) = what {
            state.forget(fingerprint);
        }
        Ok(keys.len() as u64)
    }

    fn prune(&self, now: Millis) -> Result<Pruned, StoreError> {
        Ok(self.state().prune(self.max_bytes, now.saturating_sub(self.keep), now))
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let state = self.state();
        let oldest = state.entries.first_key_value().map(|((at, _), _)| *at);
        Ok(Usage { entries: state.entries.len() as u64, bytes: state.bytes as u64, oldest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry {
        Entry {
            request_id: format!("id-{number}"),
            at: 1_000 + number,
            fingerprint: "f".into(),
            upstream_body: Some("x".repeat(1_000)),
            ..Entry::default()
        }
    }

    #[test]
    fn the_oldest_entries_make_room() {
        let store = MemoryStore::new(10_000, 1_000_000);
        for number in 0..100 {
            store.write(&[entry(number)]).unwrap();
            assert!(store.usage().unwrap().bytes <= 10_000);
        }
        assert!(store.find("id-0").unwrap().is_none() && store.find("id-99").unwrap().is_some());
        assert_eq!(store.group("f").unwrap().unwrap().count, 100, "the count of a group stays");
        store.prune(1_100 + 1_000_000).unwrap();
        assert_eq!(store.usage().unwrap(), Usage::default(), "entries that are too old are gone");
    }
}
