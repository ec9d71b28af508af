//! The file: opened by one process at a time, made with its mode, checked, and moved aside if it cannot be used.
//!
//! Knows nothing of entries.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::failure;
use super::schema::{self, Found};
use crate::journal::store::StoreError;

/// How long a connection waits for a lock of SQLite.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// The most statements that a connection keeps prepared.
const STATEMENTS: usize = 64;
/// A file up to this size is checked as a whole when it is opened, in bytes.
const CHECKED: u64 = 64 << 20;

/// Settings of the connection that writes. After `kill -9`, everything that was committed is in the log of SQLite (WAL). A power cut may
/// lose the last batches, and never damages the file.
const PRAGMAS: &str = "
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA temp_store = MEMORY;
PRAGMA secure_delete = FAST;
PRAGMA cache_size = -16384;
PRAGMA journal_size_limit = 33554432;
PRAGMA wal_autocheckpoint = 2000;
";

/// A file that is open for writing.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// Where the file went that had been there and that could not be used.
    pub(super) moved: Option<PathBuf>,
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn unavailable(what: &'static str, message: String) -> StoreError {
    StoreError::Unavailable { what, source: message.into() }
}

/// Returns what tells a file from another one of its name; `None` if it is missing or empty.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = path.metadata().ok().filter(|found| found.len() > 0)?;
    Some((found.dev(), found.ino()))
}

/// Takes the file for this process. The lock ends with the returned file, or with the process.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    const WHAT: &str = "the journal cannot be opened";
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(unavailable(WHAT, format!("there is no folder {}", folder.display())));
    }
    // A file of its own: locks of SQLite on the file itself end when any descriptor of it is closed.
    let lock = beside(path, "-lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock);
    let file = file.map_err(|error| unavailable(WHAT, format!("{}: {error}", lock.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(unavailable(WHAT, format!("{} is used by another process; each gateway needs a file of its own", path.display())))
        }
        Err(TryLockError::Error(error)) => Err(unavailable(WHAT, format!("{}: {error}", lock.display()))),
    }
}

/// Opens the file for writing. One that is damaged or foreign is moved aside.
pub(super) fn open(path: &Path) -> Result<Opened, StoreError> {
    match prepare(path) {
        Ok(Some(connection)) => Ok(Opened { connection, moved: None }),
        Ok(None) => begin_anew(path, "it is not a journal"),
        Err(Problem::Sqlite(error)) if failure::is_damage(&error) => begin_anew(path, &error.to_string()),
        Err(problem) => Err(problem.error(path)),
    }
}

/// Moves the file aside and begins a new one.
pub(super) fn begin_anew(path: &Path, why: &str) -> Result<Opened, StoreError> {
    let aside = move_aside(path).map_err(|error| Problem::Io(error).error(path))?;
    tracing::error!(path = %path.display(), moved_to = %aside.display(), why, "the journal cannot be used: it was moved aside and begun anew");
    let connection = prepare(path).map_err(|problem| problem.error(path))?;
    let connection = connection.ok_or_else(|| unavailable("the journal cannot be opened", format!("{} is not new", path.display())))?;
    Ok(Opened { connection, moved: Some(aside) })
}

fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let free = |n: &u32| {
        let name = if *n == 0 { format!(".damaged-{time}") } else { format!(".damaged-{time}-{n}") };
        Some(beside(path, &name)).filter(|aside| !aside.exists())
    };
    let aside = (0..1000).find_map(|n| free(&n)).ok_or(io::ErrorKind::AlreadyExists)?;
    std::fs::rename(path, &aside)?;
    for end in ["-wal", "-shm"] {
        match std::fs::rename(beside(path, end), beside(&aside, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

enum Problem {
    Io(io::Error),
    Sqlite(rusqlite::Error),
    Later,
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Problem {
    fn error(self, path: &Path) -> StoreError {
        const WHAT: &str = "the journal cannot be opened";
        match self {
            Self::Io(error) => unavailable(WHAT, format!("{}: {error}", path.display())),
            Self::Sqlite(error) => failure::of(WHAT, error),
            Self::Later => unavailable(WHAT, format!("{} was written by a later version", path.display())),
        }
    }
}

/// Opens or makes the file, with its tables. Returns `None` for a file of someone else.
fn prepare(path: &Path) -> Result<Option<Connection>, Problem> {
    // A device or a pipe may block, and must keep its mode.
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(Problem::Io(io::Error::other("it is not a regular file")));
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(Problem::Io)?;
    let length = file.metadata().map_err(Problem::Io)?.len();
    file.set_permissions(Permissions::from_mode(0o600)).map_err(Problem::Io)?;
    drop(file);
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    match schema::found(&connection)? {
        Found::Empty | Found::Journal => {}
        Found::Later => return Err(Problem::Later),
        Found::Foreign => return Ok(None),
    }
    connection.execute_batch(PRAGMAS)?;
    schema::migrate(&mut connection)?;
    if length <= CHECKED {
        let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if answer != "ok" {
            return Err(Problem::Sqlite(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(answer),
            )));
        }
    }
    Ok(Some(connection))
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Returns true if a process has the file open for writing, or if its last one was ended before it could put its log into the file.
fn is_in_use(path: &Path) -> bool {
    let log = std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let is_locked = |lock: File| match lock.try_lock_shared() {
        Ok(()) | Err(TryLockError::Error(_)) => false,
        Err(TryLockError::WouldBlock) => true,
    };
    log || File::open(beside(path, "-lock")).is_ok_and(is_locked)
}

/// Returns the URI of a file that nobody writes. SQLite then makes no files beside it, which it otherwise needs to read.
fn unchanging(path: &Path) -> PathBuf {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    (uri + "?immutable=1").into()
}

/// Opens a connection that only reads.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match is_in_use(path) {
        true => connect(path, flags)?,
        false => connect(&unchanging(path), flags | OpenFlags::SQLITE_OPEN_URI)?,
    };
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192")?;
    Ok(connection)
}

/// Says what is at a path that leads to no regular file. Does not open it: opening a pipe would wait for whoever writes to it.
fn no_file(path: &Path) -> Option<String> {
    let name = path.display();
    let kind = match std::fs::metadata(path) {
        Ok(found) if found.is_file() => return None,
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(format!("there is no file {name}")),
        Err(error) => return Some(format!("{name}: {error}")),
    };
    let what = match kind {
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a named pipe (FIFO)",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Some(format!("{name} is {what}, and no file of a journal"))
}

/// The same for a file that another process may be writing. Checks that it is a journal.
pub(super) fn open_read_only(path: &Path) -> Result<(), StoreError> {
    const WHAT: &str = "the journal cannot be opened";
    if let Some(why) = no_file(path) {
        return Err(unavailable(WHAT, why));
    }
    let found = reader(path).and_then(|connection| schema::found(&connection)).map_err(|error| failure::of(WHAT, error))?;
    match found {
        Found::Journal => Ok(()),
        Found::Empty | Found::Foreign => Err(unavailable(WHAT, format!("{} is not a journal", path.display()))),
        Found::Later => Err(Problem::Later.error(path)),
    }
}
