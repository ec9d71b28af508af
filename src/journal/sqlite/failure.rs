//! What an error of SQLite means for the journal.

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::journal::store::StoreError;

/// Errors when the system refuses to let a file grow: a quota, a limit of the process.
const CANNOT_GROW: [i32; 3] = [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE, ffi::SQLITE_IOERR_TRUNCATE];

/// Returns the error of a store.
pub(super) fn of(what: &'static str, error: rusqlite::Error) -> StoreError {
    let full = match &error {
        rusqlite::Error::SqliteFailure(cause, _) => cause.code == ErrorCode::DiskFull || CANNOT_GROW.contains(&cause.extended_code),
        _ => false,
    };
    if full { StoreError::Full(error.to_string()) } else { StoreError::Unavailable { what, source: Box::new(error) } }
}

/// Returns true if the file is damaged or is not one of SQLite.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
