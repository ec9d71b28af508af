//! Starts the journal of the process. Must not know requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::start_error::StartError;
use crate::admin::page::live::Changes;
use crate::admin::page::traffic::{EVERY, History, Sample};
use crate::journal::entry::now;
use crate::journal::memory::MemoryStore;
use crate::journal::postgres::PostgresStore;
use crate::journal::sqlite::SqliteStore;
use crate::journal::writer::{Counters, JournalSettings};
use crate::journal::{Journal, Store, StoreError};
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
pub(super) fn start(settings: Option<&plan::Journal>, metrics: &JournalMetrics, changes: Changes) -> Result<Option<Journal>, StartError> {
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
    Ok(Some(Journal::start(store, writing, Box::new(move |_, _| changes.notify()))?))
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
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
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
