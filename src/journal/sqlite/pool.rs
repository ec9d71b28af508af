//! Connections that read: at most so many, opened when they are needed.
//!
//! Knows nothing of what is read.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::file;

/// The most connections.
const MAX: usize = 4;
/// The longest wait for one.
const WAIT: Duration = Duration::from_secs(5);

/// The connections.
#[derive(Debug)]
pub(super) struct Pool {
    path: PathBuf,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    /// Those that are lent.
    lent: usize,
    /// Counts files: a connection to a file that was moved aside is not used again.
    file: u64,
}

impl Pool {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default(), returned: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all connections: there is another file.
    pub(super) fn renew(&self) {
        let mut state = self.state();
        state.idle.clear();
        state.file += 1;
    }

    /// Reads with a connection.
    pub(super) fn read<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let loan = self.borrow()?;
        // One transaction: all parts of an answer are of the same moment.
        let transaction = loan.connection()?.unchecked_transaction()?;
        let answer = question(&transaction)?;
        transaction.finish()?;
        Ok(answer)
    }

    fn borrow(&self) -> rusqlite::Result<Loan<'_>> {
        let state = self.state();
        let busy = |state: &mut State| state.idle.is_empty() && state.lent >= MAX;
        let (mut state, _) = self.returned.wait_timeout_while(state, WAIT, busy).unwrap_or_else(PoisonError::into_inner);
        if busy(&mut state) {
            let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
            return Err(rusqlite::Error::SqliteFailure(busy, Some("all connections that read are in use".into())));
        }
        let (idle, file) = (state.idle.pop(), state.file);
        state.lent += 1;
        drop(state);
        let mut loan = Loan { pool: self, connection: idle, file };
        if loan.connection.is_none() {
            loan.connection = Some(file::reader(&self.path)?);
        }
        Ok(loan)
    }
}

struct Loan<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
    file: u64,
}

impl Loan<'_> {
    fn connection(&self) -> rusqlite::Result<&Connection> {
        self.connection.as_ref().ok_or(rusqlite::Error::InvalidQuery)
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.lent -= 1;
        if self.file == state.file {
            state.idle.extend(self.connection.take());
        }
        drop(state);
        self.pool.returned.notify_one();
    }
}
