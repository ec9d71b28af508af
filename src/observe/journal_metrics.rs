//! The metrics of the journal: what became of its entries. Must not know what an entry is.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::exposition::Exposition;
use super::names;

/// What became of the entries. The journal counts in them.
#[derive(Debug, Default)]
pub struct JournalMetrics {
    /// Entries that were written.
    pub written: Arc<AtomicU64>,
    /// Entries that were dropped because the queue was full.
    pub dropped: Arc<AtomicU64>,
    /// Entries that the store could not take.
    pub failed: Arc<AtomicU64>,
    /// Entries that were counted and not kept, because only a share is.
    pub sampled: Arc<AtomicU64>,
    /// Entries that were purged.
    pub purged: Arc<AtomicU64>,
}

impl JournalMetrics {
    /// Writes the metrics.
    pub(super) fn encode<W: Write>(&self, out: &mut Exposition<'_, W>) -> fmt::Result {
        out.single(&names::JOURNAL_WRITTEN, self.written.load(Ordering::Relaxed))?;
        out.single(&names::JOURNAL_DROPPED, self.dropped.load(Ordering::Relaxed))?;
        out.single(&names::JOURNAL_FAILED, self.failed.load(Ordering::Relaxed))?;
        out.single(&names::JOURNAL_SAMPLED, self.sampled.load(Ordering::Relaxed))?;
        out.single(&names::JOURNAL_PURGED, self.purged.load(Ordering::Relaxed))
    }
}
