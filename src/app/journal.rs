//! Starts the journal of the process, and tells the notifiers what it has written. Must not know requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::start_error::StartError;
use crate::admin::page::live::Changes;
use crate::admin::page::traffic::{EVERY, History, Sample};
use crate::journal::entry::{Entry, now};
use crate::journal::memory::MemoryStore;
use crate::journal::postgres::PostgresStore;
use crate::journal::query::GroupEvent;
use crate::journal::sqlite::SqliteStore;
use crate::journal::writer::{Counters, JournalSettings};
use crate::journal::{Journal, Store, StoreError, fingerprint};
use crate::notify::event::{Change, Event, Events, Failures};
use crate::notify::title;
use crate::observe::exposition::Format;
use crate::observe::journal_metrics::JournalMetrics;
use crate::observe::metrics::Metrics;
use crate::plan::{self, Place};

/// The longest time that the shutdown waits for the last entries.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Starts the journal, if there is one. A file is opened; a database is not waited for.
///
/// # Errors
/// Fails if the file cannot be opened or no thread can be started.
pub(super) fn start(
    settings: Option<&plan::Journal>,
    metrics: &JournalMetrics,
    changes: Changes,
    events: Events,
) -> Result<Option<Journal>, StartError> {
    let Some(settings) = settings else { return Ok(None) };
    let store = open(settings)?;
    let writing = JournalSettings {
        body_limit: settings.body_limit,
        sample: settings.sample,
        redact_headers: settings.redact_headers.clone(),
        redact: settings.redact.clone(),
        gateway: gateway_name(),
        counters: Counters {
            written: Arc::clone(&metrics.written),
            dropped: Arc::clone(&metrics.dropped),
            failed: Arc::clone(&metrics.failed),
            sampled: Arc::clone(&metrics.sampled),
            purged: Arc::clone(&metrics.purged),
        },
    };
    let listener = move |entries: &[Entry], groups: &[GroupEvent]| {
        changes.notify();
        report(&events, entries, groups);
    };
    Ok(Some(Journal::start(store, writing, Box::new(listener))?))
}

/// Tells of entries that the journal has written. Called on the thread of the journal, for one batch at a time.
fn report(events: &Events, entries: &[Entry], changes: &[GroupEvent]) {
    if !events.wanted().failures.load(Ordering::Relaxed) {
        return;
    }
    let change = |event: &'_ GroupEvent| match event {
        GroupEvent::New(fingerprint) => (fingerprint.clone(), Change::New),
        GroupEvent::Regressed(fingerprint) => (fingerprint.clone(), Change::Regressed),
    };
    let mut changes: HashMap<String, Change> = changes.iter().map(change).collect();
    let mut groups: HashMap<(&str, &str), Failures> = HashMap::new();
    for entry in entries {
        let group = groups.entry((&entry.fingerprint, &entry.backend)).or_insert_with(|| Failures {
            group: entry.fingerprint.clone(),
            title: title::told(&fingerprint::without_values(&entry.title)),
            route: entry.route.clone(),
            backend: entry.backend.clone(),
            code: entry.code.clone(),
            status: entry.status,
            count: 0,
            // The first entry of a group is the one that changed it.
            change: changes.remove(&entry.fingerprint),
        });
        group.count += 1;
    }
    groups.into_values().for_each(|failures| events.send(Event::Failures(failures)));
}

fn open(settings: &plan::Journal) -> Result<Arc<dyn Store>, StartError> {
    let keep = u64::try_from(settings.keep.as_millis()).unwrap_or(u64::MAX);
    let cannot_open = |source: StoreError| StartError::Journal { place: settings.place.clone(), source };
    Ok(match &settings.place {
        Place::Memory => Arc::new(MemoryStore::new(usize::try_from(settings.max_size).unwrap_or(usize::MAX), keep)),
        Place::File(path) => Arc::new(SqliteStore::open(path, settings.max_size, keep).map_err(cannot_open)?),
        Place::Database(url) => Arc::new(PostgresStore::new(url.reveal(), settings.max_size, keep).map_err(cannot_open)?),
    })
}

/// Writes what was handed over, for at most two seconds.
pub(super) async fn close(journal: Option<Journal>) {
    let Some(journal) = journal else { return };
    // The task only fails if it has panicked; then there is nothing left to do.
    let _ = tokio::task::spawn_blocking(move || journal.close(CLOSE_TIMEOUT)).await;
}

/// Returns the name of this gateway: that of its host.
pub(super) fn gateway_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Adds up at an interval what the gateway has served, for the charts of the pages, until the runtime ends.
pub(super) async fn sample_traffic(traffic: Arc<History>, metrics: Arc<Metrics>) {
    let mut tick = tokio::time::interval(Duration::from_millis(EVERY));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let (traffic, metrics) = (Arc::clone(&traffic), Arc::clone(&metrics));
        // The metrics of many routes take a while.
        let _ = tokio::task::spawn_blocking(move || traffic.add(Sample::read(&metrics.encode(Format::Plain), now()))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::event::queue;

    #[test]
    fn a_batch_is_told_by_group_and_backend_and_a_change_once() {
        let (events, mut told) = queue(Arc::default());
        let entry = |group: &str, backend: &str| {
            let title = "order 17 is closed".into();
            Entry { fingerprint: group.into(), backend: backend.into(), title, ..Entry::default() }
        };
        let batch = [entry("g", "a"), entry("g", "b"), entry("g", "a"), entry("h", "a")];
        let changes = [GroupEvent::New("g".into()), GroupEvent::Regressed("h".into())];
        report(&events, &batch, &changes);
        assert!(told.try_recv().is_err(), "nobody wants to hear of failures");
        events.wanted().failures.store(true, Ordering::Relaxed);
        report(&events, &batch, &changes);
        let mut all = Vec::new();
        while let Ok(event) = told.try_recv() {
            let Event::Failures(failures) = event else { panic!("{event:?}") };
            assert_eq!(failures.title, "order # is closed");
            all.push((failures.group, failures.backend, failures.count, failures.change));
        }
        all.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        let expected = [("g", "a", 2, Some(Change::New)), ("g", "b", 1, None), ("h", "a", 1, Some(Change::Regressed))];
        assert_eq!(all, expected.map(|(group, backend, count, change)| (group.to_owned(), backend.to_owned(), count, change)));
    }
}
