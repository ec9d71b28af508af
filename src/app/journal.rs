//! Starts the journal of the process. Must not know requests.

use std::io;
use std::sync::Arc;

use crate::journal::Journal;
use crate::journal::memory::MemoryStore;
use crate::journal::writer::{Counters, JournalSettings};
use crate::observe::journal_metrics::JournalMetrics;
use crate::plan;

/// Starts the journal, if there is one.
///
/// # Errors
/// Fails if no thread can be started.
pub(super) fn start(settings: Option<&plan::Journal>, metrics: &JournalMetrics) -> io::Result<Option<Journal>> {
    let Some(settings) = settings else { return Ok(None) };
    let keep = u64::try_from(settings.keep.as_millis()).unwrap_or(u64::MAX);
    let store = Arc::new(MemoryStore::new(settings.max_size, keep));
    let writing = JournalSettings {
        body_limit: settings.body_limit,
        redact_headers: settings.redact_headers.clone(),
        redact: settings.redact.clone(),
        gateway: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        counters: Counters {
            written: Arc::clone(&metrics.written),
            dropped: Arc::clone(&metrics.dropped),
            failed: Arc::clone(&metrics.failed),
        },
    };
    Journal::start(store, writing, Box::new(|_, _| {})).map(Some)
}
