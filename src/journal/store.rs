//! The trait of all stores. One set of tests (`tests/it/journal/conformance.rs`) holds for each of them.
//!
//! Must not know who asks.

use std::fmt::Debug;

use super::entry::{Entry, Millis};
use super::query::{Count, CountQuery, Group, GroupEvent, GroupQuery, GroupState, ListQuery, Page, Pruned, Purge, Summary, Usage};

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or used at the moment. Entries may be offered again.
    #[error("{what}: {source}")]
    Unavailable {
        /// What was to be done.
        what: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store has no room. The entries are lost.
    #[error("the journal has no room: {0}")]
    Full(String),
}

/// Keeps entries and groups. Called on threads that may wait. Everything that was written is found by the next question.
pub trait Store: Send + Sync + Debug {
    /// Writes entries, and counts them in their groups. A request id that is there already replaces its entry. One that is
    /// [`counted_only`](Entry::counted_only) is counted and not kept.
    ///
    /// # Errors
    /// Fails if nothing was written.
    fn write(&self, batch: &[Entry]) -> Result<Vec<GroupEvent>, StoreError>;

    /// Returns the entry of a request.
    ///
    /// # Errors
    /// Fails if the store cannot be read. This holds for all questions.
    fn find(&self, request_id: &str) -> Result<Option<Entry>, StoreError>;

    /// Returns entries, newest first.
    #[allow(missing_docs, clippy::missing_errors_doc, reason = "as `find`")]
    fn list(&self, query: &ListQuery) -> Result<Page<Summary>, StoreError>;

    /// Returns groups.
    #[allow(clippy::missing_errors_doc, reason = "as `find`")]
    fn groups(&self, query: &GroupQuery) -> Result<Vec<Group>, StoreError>;

    /// Returns one group.
    #[allow(clippy::missing_errors_doc, reason = "as `find`")]
    fn group(&self, fingerprint: &str) -> Result<Option<Group>, StoreError>;

    /// Returns counts over time, in the order of time. A bucket without occurrences is left out.
    #[allow(clippy::missing_errors_doc, reason = "as `find`")]
    fn counts(&self, query: &CountQuery) -> Result<Vec<Count>, StoreError>;

    /// Sets the state of a group at a time. A group that is resolved regresses by requests that begin from then on. Returns false if there
    /// is no such group.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    fn set_state(&self, fingerprint: &str, state: GroupState, at: Millis) -> Result<bool, StoreError>;

    /// Removes entries for good. Returns their number. Their groups count them no more, and are described by the entries that are left; a
    /// group without any is removed. Takes a while for many entries, and lets batches be written in between.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    fn purge(&self, what: &Purge) -> Result<u64, StoreError>;

    /// Removes a bounded part of what is older or more than the store may keep. The caller writes what waits, and calls again while there
    /// is more.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    fn prune(&self, now: Millis) -> Result<Pruned, StoreError>;

    /// Returns how full the store is.
    #[allow(clippy::missing_errors_doc, reason = "as `find`")]
    fn usage(&self) -> Result<Usage, StoreError>;
}
