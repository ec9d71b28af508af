//! The audit: a line in the log for each thing that a client of the admin listener does or may see only as an operator.
//!
//! The lines have the target [`TARGET`], so that the level of the log leaves them in. Texts are fields, which the log escapes.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::client::{By, Client};
use super::page::Actions;
use super::page::live::Changes;
use crate::journal::entry::now;
use crate::journal::query::{GroupState, Purge};
use crate::journal::{Journal, StoreError};

/// The target of the events. They are written whatever the level of the log is.
pub const TARGET: &str = "lockgate::audit";

/// The longest time that a change of state waits until the journal has written the failures that it was handed before.
const FLUSH: Duration = Duration::from_secs(1);

/// What is written down.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act<'a> {
    /// The original of a request was shown.
    OriginalOpened { request: &'a str },
    /// The state of a group was changed.
    StateChanged { group: &'a str, state: &'a str },
    /// Entries of the journal were removed.
    Purged { what: &'a Purge, removed: u64 },
    /// The configuration was loaded again, with this outcome.
    Reloaded { outcome: &'a str },
    /// The level of the log was changed.
    LevelChanged { level: &'a str },
    /// A session began.
    LoggedIn,
    /// A session was ended.
    LoggedOut,
}

impl By {
    fn word(&self) -> String {
        match self {
            Self::Reach => "reach".to_owned(),
            Self::Token => "token".to_owned(),
            Self::Session(name) => format!("session {name}"),
        }
    }
}

/// Writes down what a client has done.
pub(super) fn write(client: &Client, act: Act<'_>) {
    let Client { role, by, address, .. } = client;
    let (role, by) = (role.word(), by.word());
    match act {
        Act::OriginalOpened { request } => {
            tracing::info!(target: TARGET, action = "original_opened", request_id = request, role, by, client = %address, "audit");
        }
        Act::StateChanged { group, state } => {
            tracing::info!(target: TARGET, action = "state_changed", group, state, role, by, client = %address, "audit");
        }
        Act::Purged { what, removed } => {
            let (what, value) = match what {
                Purge::Request(id) => ("request", id.clone()),
                Purge::Before(time) => ("before", time.to_string()),
                Purge::Group(fingerprint) => ("group", fingerprint.clone()),
                Purge::All => ("all", String::new()),
            };
            tracing::info!(target: TARGET, action = "purged", what, value, removed, role, by, client = %address, "audit");
        }
        Act::Reloaded { outcome } => {
            tracing::info!(target: TARGET, action = "reload", outcome, role, by, client = %address, "audit");
        }
        Act::LevelChanged { level } => {
            tracing::info!(target: TARGET, action = "log_level", log_level = level, role, by, client = %address, "audit");
        }
        Act::LoggedIn => tracing::info!(target: TARGET, action = "login", role, by, client = %address, "audit"),
        Act::LoggedOut => tracing::info!(target: TARGET, action = "logout", role, by, client = %address, "audit"),
    }
}

/// Writes down a wrong token. `form` is true for one that was typed. With `is_last`, the next ones of this client are not looked at for a
/// while, and not written down either: the lines of a client that guesses are bounded like its attempts.
pub(super) fn write_failure(client: IpAddr, form: bool, is_last: bool) {
    let by = if form { "form" } else { "token" };
    tracing::warn!(target: TARGET, action = "login_failed", by, client = %client, limited = is_last, "audit");
}

/// What a client does on the pages, as it is written down.
pub(super) struct Audited<'s> {
    pub(super) journal: Option<&'s Journal>,
    pub(super) changes: &'s Changes,
    pub(super) client: &'s Client,
}

impl Actions for Audited<'_> {
    fn set_state(&self, fingerprint: &str, state: GroupState) -> Result<bool, StoreError> {
        let Some(journal) = self.journal else { return Ok(false) };
        // A failure that waits in the queue happened before this change, so it must not bring the group back.
        journal.flush(FLUSH);
        let found = journal.store().set_state(fingerprint, state, now())?;
        if found {
            write(self.client, Act::StateChanged { group: fingerprint, state: state.word() });
            self.changes.notify();
        }
        Ok(found)
    }

    fn opened(&self, request_id: &str) {
        write(self.client, Act::OriginalOpened { request: request_id });
    }

    fn purged(&self, what: &Purge, removed: u64) {
        if let Some(journal) = self.journal {
            journal.counters().purged.fetch_add(removed, Ordering::Relaxed);
            journal.recent().forget();
        }
        write(self.client, Act::Purged { what, removed });
        self.changes.notify();
    }
}
