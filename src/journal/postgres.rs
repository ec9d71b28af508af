//! The store in PostgreSQL: one journal for several gateways.
//!
//! The database may be away at any time: then every call fails quickly, and connections are tried again with a pause that grows. Must not
//! know who asks.
//!
//! | file | purpose |
//! |---|---|
//! | `link` | the connections and their thread |
//! | `tls` | TLS of the connections |
//! | `schema` | the tables and their versions |
//! | `columns` | values as columns |
//! | `write` | batches and states |
//! | `remove` | removals, in steps |
//! | `read` | answers |

use std::sync::Arc;

use tokio_postgres::Config;
use tokio_postgres::error::SqlState;

use self::link::Link;
use super::entry::{Entry, Millis};
use super::query::{Count, CountQuery, Group, GroupEvent, GroupQuery, GroupState, ListQuery, Page, Pruned, Purge, Summary, Usage};
use super::store::{Store, StoreError};

mod columns;
mod link;
mod read;
mod remove;
mod schema;
mod tls;
mod write;

/// The store.
#[derive(Debug)]
pub struct PostgresStore {
    link: Link,
    max_bytes: u64,
    keep: Millis,
}

impl PostgresStore {
    /// Checks a URL without connecting.
    ///
    /// # Errors
    /// Returns what is wrong with it. The text does not quote it.
    pub fn check(url: &str) -> Result<(), &'static str> {
        const EXPECTED: &str = "expected postgres://user:password@host/database?sslmode=require";
        let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
        match url.parse::<Config>() {
            Ok(config) if is_url && !config.get_hosts().is_empty() => Ok(()),
            Ok(_) | Err(_) => Err(EXPECTED),
        }
    }

    /// Prepares a store in the database of a URL (`postgres://user:password@host/database?sslmode=require`). It keeps at most `max_bytes`
    /// of entries, and none older than `keep` milliseconds. Does not connect: the first call does, and makes the tables.
    ///
    /// TLS is used where `sslmode` is `prefer` (the default) and the database offers it, and demanded with `require`. The certificate of
    /// the database is always verified, with the certificates of the system.
    ///
    /// # Errors
    /// Fails if the URL cannot be read, or if no thread can be started.
    pub fn new(url: &str, max_bytes: u64, keep: Millis) -> Result<Self, StoreError> {
        let config: Result<Config, _> = url.parse();
        // The error may quote the URL, which has a password.
        let config =
            config.map_err(|_| failure("the URL of the journal's database cannot be read", "it is not one of PostgreSQL".into()))?;
        let link = Link::start(config).map_err(|error| failure("the journal's database cannot be used", error))?;
        Ok(Self { link, max_bytes, keep })
    }
}

/// Returns the error of a store.
fn failure(what: &'static str, source: write::Error) -> StoreError {
    let cause = source.downcast_ref::<tokio_postgres::Error>();
    match cause.and_then(tokio_postgres::Error::as_db_error) {
        Some(error) if *error.code() == SqlState::DISK_FULL => StoreError::Full(error.message().to_owned()),
        // The error itself only says that there is one of the database.
        Some(error) => StoreError::Unavailable { what, source: format!("{} ({})", error.message(), error.code().code()).into() },
        None => StoreError::Unavailable { what, source },
    }
}

impl Store for PostgresStore {
    fn write(&self, batch: &[Entry]) -> Result<Vec<GroupEvent>, StoreError> {
        let batch: Arc<[Entry]> = batch.into();
        let written = self.link.write(move |client| Box::pin(async move { write::write(client, &batch).await }));
        written.map_err(|error| failure("the journal cannot be written", error))
    }

    fn find(&self, request_id: &str) -> Result<Option<Entry>, StoreError> {
        let id = request_id.to_owned();
        let found = self.link.read(move |client| Box::pin(async move { read::find(client, &id).await }));
        found.map_err(|error| failure("an entry cannot be read", error))
    }

    fn list(&self, query: &ListQuery) -> Result<Page<Summary>, StoreError> {
        let query = query.clone();
        let found = self.link.read(move |client| Box::pin(async move { read::list(client, &query).await }));
        found.map_err(|error| failure("entries cannot be listed", error))
    }

    fn groups(&self, query: &GroupQuery) -> Result<Vec<Group>, StoreError> {
        let query = query.clone();
        let found = self.link.read(move |client| Box::pin(async move { read::groups(client, &query).await }));
        found.map_err(|error| failure("groups cannot be listed", error))
    }

    fn group(&self, fingerprint: &str) -> Result<Option<Group>, StoreError> {
        let fingerprint = fingerprint.to_owned();
        let found = self.link.read(move |client| Box::pin(async move { read::group(client, &fingerprint).await }));
        found.map_err(|error| failure("a group cannot be read", error))
    }

    fn counts(&self, query: &CountQuery) -> Result<Vec<Count>, StoreError> {
        let query = query.clone();
        let found = self.link.read(move |client| Box::pin(async move { read::counts(client, &query).await }));
        found.map_err(|error| failure("counts cannot be read", error))
    }

    fn set_state(&self, fingerprint: &str, state: GroupState, at: Millis) -> Result<bool, StoreError> {
        let fingerprint = fingerprint.to_owned();
        let set = self.link.write(move |client| Box::pin(async move { write::set_state(client, &fingerprint, state, at).await }));
        set.map_err(|error| failure("the state of a group cannot be written", error))
    }

    fn purge(&self, what: &Purge) -> Result<u64, StoreError> {
        const WHAT: &str = "entries cannot be removed";
        let mut removed = 0;
        loop {
            let what = what.clone();
            let step = self.link.write(move |client| Box::pin(async move { remove::purge_step(client, &what).await }));
            let (step, more) = step.map_err(|error| failure(WHAT, error))?;
            removed += step;
            if !more {
                break;
            }
        }
        if removed > 0
            && let Err(error) = self.link.write(|client| Box::pin(async move { remove::vacuum(client).await }))
        {
            tracing::warn!(%error, "entries of the journal were removed; the database will free their rows later");
        }
        Ok(removed)
    }

    fn prune(&self, now: Millis) -> Result<Pruned, StoreError> {
        const WHAT: &str = "old entries cannot be removed";
        let (max_bytes, keep) = (self.max_bytes, self.keep);
        let step = self.link.write(move |client| Box::pin(async move { remove::prune_step(client, max_bytes, keep, now).await }));
        let removed = step.map_err(|error| failure(WHAT, error))?;
        if removed > 0 {
            return Ok(Pruned { removed, more: true });
        }
        let groups = self.link.write(move |client| Box::pin(async move { remove::prune_groups(client, now).await }));
        groups.map(|more| Pruned { removed, more }).map_err(|error| failure(WHAT, error))
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let usage = self.link.read(|client| Box::pin(async move { read::usage(client).await }));
        usage.map_err(|error| failure("the size of the journal cannot be read", error))
    }
}
