//! Where the pages get their content, what an operator may do, and why a page cannot be shown.
//!
//! Knows no page.

use super::ask::decoded;
use super::gateway::Running;
use super::traffic::History;
use crate::journal::Entry;
use crate::journal::entry::Millis;
use crate::journal::query::{GroupState, Purge};
use crate::journal::store::{Store, StoreError};
use crate::redact::Redactor;

/// What an operator does on a page, and what is written down of it.
pub trait Actions {
    /// Sets the state of a group. Returns false if there is no such group.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    fn set_state(&self, fingerprint: &str, state: GroupState) -> Result<bool, StoreError>;

    /// Hears that the original of a request is shown, before it is.
    fn opened(&self, request_id: &str);

    /// Hears that entries were removed, and how many. Pages remove none.
    fn purged(&self, what: &Purge, removed: u64) {
        let _ = (what, removed);
    }
}

/// Where the pages get their content.
#[derive(Clone, Copy)]
pub struct Sources<'s> {
    /// The journal; `None` if it is off.
    pub store: Option<&'s dyn Store>,
    /// What runs.
    pub gateway: &'s Running,
    /// What it has served.
    pub traffic: &'s History,
    /// The rules that remove internals.
    pub redactor: &'s Redactor,
    /// What an operator may do.
    pub actions: &'s dyn Actions,
    /// The current time.
    pub now: Millis,
}

/// Why a page cannot be shown.
pub(super) enum Refusal {
    /// There is nothing of this name.
    NotFound,
    /// The occurrence has no upstream behaviour that a test case could repeat.
    NoTestCase,
    /// The role may not do this, or the form is not of a page of this gateway.
    Forbidden,
    /// The form is not valid.
    BadForm,
    /// Another method is needed.
    Method(String),
    /// The journal cannot be read.
    Store(String),
    /// A template failed.
    Render,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<askama::Error> for Refusal {
    fn from(_: askama::Error) -> Self {
        Self::Render
    }
}

impl Sources<'_> {
    /// Returns the entry of an id in a path.
    pub(super) fn find(&self, segment: &str) -> Result<Entry, Refusal> {
        self.store.ok_or(Refusal::NotFound)?.find(&decoded(segment))?.ok_or(Refusal::NotFound)
    }
}
