//! Starts the journal of the process. Must not know requests.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::notify;
use crate::admin::page::live::Changes;
use crate::admin::page::traffic::{EVERY, History, Sample};
use crate::journal::Journal;
use crate::journal::entry::{Entry, now};
use crate::journal::memory::MemoryStore;
use crate::journal::query::GroupEvent;
use crate::journal::writer::{Counters, JournalSettings};
use crate::notify::event::Events;
use crate::observe::exposition::Format;
use crate::observe::journal_metrics::JournalMetrics;
use crate::observe::metrics::Metrics;
use crate::plan;

/// Starts the journal, if there is one.
///
/// # Errors
/// Fails if no thread can be started.
pub(super) fn start(
    settings: Option<&plan::Journal>,
    metrics: &JournalMetrics,
    changes: Changes,
    events: Events,
) -> io::Result<Option<Journal>> {
    let Some(settings) = settings else { return Ok(None) };
    let keep = u64::try_from(settings.keep.as_millis()).unwrap_or(u64::MAX);
    let store = Arc::new(MemoryStore::new(settings.max_size, keep));
    let writing = JournalSettings {
        body_limit: settings.body_limit,
        redact_headers: settings.redact_headers.clone(),
        redact: settings.redact.clone(),
        gateway: gateway_name(),
        counters: Counters {
            written: Arc::clone(&metrics.written),
            dropped: Arc::clone(&metrics.dropped),
            failed: Arc::clone(&metrics.failed),
        },
    };
    let listener = move |entries: &[Entry], groups: &[GroupEvent]| {
        changes.notify();
        notify::report(&events, entries, groups);
    };
    Journal::start(store, writing, Box::new(listener)).map(Some)
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
