//! The store in a file of SQLite: for one gateway, and for commands that read it at the same time.
//!
//! One connection writes, a few read. Must not know who asks.
//!
//! | file | purpose |
//! |---|---|
//! | `file` | opens the file; moves it aside if it cannot be used |
//! | `schema` | its tables and their versions |
//! | `columns` | values as columns |
//! | `write` | batches and states |
//! | `remove` | removals, in steps |
//! | `read`, `conditions` | answers |
//! | `search` | finds entries by words |
//! | `pool` | connections that read |
//! | `failure` | what errors mean |

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use self::pool::Pool;
use self::remove::{Erasure, STEP};
use self::write::Writer;
use super::entry::{Entry, Millis};
use super::query::{Count, CountQuery, Group, GroupEvent, GroupQuery, GroupState, ListQuery, Page, Pruned, Purge, Summary, Usage};
use super::store::{Store, StoreError};

mod columns;
mod conditions;
mod failure;
mod file;
mod pool;
mod read;
mod remove;
mod schema;
mod search;
mod write;

/// The pause between two steps of a purge: whoever waits to write comes first.
const BETWEEN: Duration = Duration::from_millis(2);

/// How often the log is tried to be emptied: some 5 seconds.
const MAX_TRIES: u32 = 100;

/// The store.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    max_bytes: u64,
    keep: Millis,
    /// `None` if the file is only read, or while it could not be opened again.
    writer: Mutex<Option<Writer>>,
    readers: Pool,
    /// Which file of this name is open for writing; `None` until it is known.
    identity: Mutex<Option<(u64, u64)>>,
    /// Held while entries are purged.
    purging: Mutex<()>,
    /// Where the file went that had been there.
    moved: Option<PathBuf>,
    /// Keeps other processes from writing; `None` if the file is only read.
    lock: Option<File>,
}

impl SqliteStore {
    /// Opens or makes the file, with mode 0600. It keeps at most `max_bytes`, and no entry older than `keep` milliseconds. A file that is
    /// damaged or is no journal is moved aside and begun anew ([`SqliteStore::moved_aside`]).
    ///
    /// # Errors
    /// Fails if the folder is missing, if another process writes the file, if a later version has written it, or if it cannot be opened.
    pub fn open(path: &Path, max_bytes: u64, keep: Millis) -> Result<Self, StoreError> {
        let lock = file::lock(path)?;
        let file::Opened { connection, moved } = file::open(path)?;
        let writer = Mutex::new(Some(Writer::new(connection)));
        Ok(Self {
            path: path.into(),
            max_bytes,
            keep,
            writer,
            readers: Pool::new(path.into()),
            identity: Mutex::new(file::identity(path)),
            purging: Mutex::default(),
            moved,
            lock: Some(lock),
        })
    }

    /// Opens a file for questions only. A gateway may write it at the same time.
    ///
    /// # Errors
    /// Fails if the file is missing, cannot be opened, or is no journal of this or an earlier version.
    pub fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        file::open_read_only(path)?;
        let writer = Mutex::new(None);
        Ok(Self {
            path: path.into(),
            max_bytes: 0,
            keep: 0,
            writer,
            readers: Pool::new(path.into()),
            identity: Mutex::default(),
            purging: Mutex::default(),
            moved: None,
            lock: None,
        })
    }

    /// Returns where the file went that had been there when the store was opened, if it could not be used.
    pub fn moved_aside(&self) -> Option<&Path> {
        self.moved.as_deref()
    }

    /// Opens the file anew if another program has removed, replaced or emptied it: what is written to the old one would be lost with it.
    fn look_after_file(&self) -> Result<(), StoreError> {
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        let found = file::identity(&self.path);
        if known.is_some() && *known != found && self.lock.is_some() {
            tracing::error!(path = %self.path.display(), "the file of the journal was removed, replaced or emptied: it is begun anew");
            drop(slot.take());
            self.readers.renew();
            *slot = Some(Writer::new(file::open(&self.path)?.connection));
        }
        *known = file::identity(&self.path);
        Ok(())
    }

    fn read<T>(&self, what: &'static str, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.readers.read(question).map_err(|error| failure::of(what, error))
    }

    /// Writes. If the file is found to be damaged, it is moved aside, and the work is done with a new one.
    fn write<T>(&self, what: &'static str, mut work: impl FnMut(&mut Writer) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        if self.lock.is_none() {
            return Err(StoreError::Unavailable { what, source: "the journal was opened to be read only".into() });
        }
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = match slot.take() {
            Some(writer) => writer,
            None => Writer::new(file::open(&self.path)?.connection),
        };
        let mut result = work(&mut writer);
        if let Err(error) = &result
            && failure::is_damage(error)
        {
            drop(writer);
            self.readers.renew();
            *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = None;
            writer = Writer::new(file::begin_anew(&self.path, &error.to_string())?.connection);
            result = work(&mut writer);
        }
        *slot = Some(writer);
        result.map_err(|error| failure::of(what, error))
    }
}

impl Store for SqliteStore {
    fn write(&self, batch: &[Entry]) -> Result<Vec<GroupEvent>, StoreError> {
        self.write("the journal cannot be written", |writer| writer.write(batch, self.max_bytes))
    }

    fn find(&self, request_id: &str) -> Result<Option<Entry>, StoreError> {
        self.read("an entry cannot be read", |file| read::find(file, request_id))
    }

    fn list(&self, query: &ListQuery) -> Result<Page<Summary>, StoreError> {
        self.read("entries cannot be listed", |file| read::list(file, query))
    }

    fn groups(&self, query: &GroupQuery) -> Result<Vec<Group>, StoreError> {
        self.read("groups cannot be listed", |file| read::groups(file, query))
    }

    fn group(&self, fingerprint: &str) -> Result<Option<Group>, StoreError> {
        self.read("a group cannot be read", |file| read::group(file, fingerprint))
    }

    fn counts(&self, query: &CountQuery) -> Result<Vec<Count>, StoreError> {
        self.read("counts cannot be read", |file| read::counts(file, query))
    }

    fn set_state(&self, fingerprint: &str, state: GroupState, at: Millis) -> Result<bool, StoreError> {
        self.write("the state of a group cannot be written", |writer| writer.set_state(fingerprint, state, at))
    }

    fn purge(&self, what: &Purge) -> Result<u64, StoreError> {
        const WHAT: &str = "entries cannot be removed";
        let Ok(_alone) = self.purging.try_lock() else {
            return Err(StoreError::Unavailable { what: WHAT, source: "others are being removed at the moment".into() });
        };
        let mut removed = 0;
        loop {
            let step = self.write(WHAT, |writer| writer.purge_step(what))?;
            removed += step;
            if step < STEP as u64 {
                break;
            }
            std::thread::park_timeout(BETWEEN);
        }
        // A group may have gone without an entry.
        let is_nothing = removed == 0 && matches!(what, Purge::Request(_) | Purge::Before(_));
        let mut next = Some(if is_nothing { Erasure::Log { tries: 0 } } else { Erasure::Index { number: 0, begun: false } });
        while let Some(now) = next {
            if matches!(now, Erasure::Log { tries: MAX_TRIES.. }) {
                let why =
                    "they were, but the write-ahead log of the file still has them, because another program reads it: purge again later";
                return Err(StoreError::Unavailable { what: WHAT, source: why.into() });
            }
            next = self.write(WHAT, |writer| writer.erase_step(now))?;
            std::thread::park_timeout(BETWEEN);
        }
        Ok(removed)
    }

    fn prune(&self, now: Millis) -> Result<Pruned, StoreError> {
        self.look_after_file()?;
        self.write("old entries cannot be removed", |writer| writer.prune(self.max_bytes, self.keep, now))
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        self.read("the size of the journal cannot be read", read::usage)
    }
}
