//! The tables of the file, and the steps from one version of them to the next.
//!
//! Knows nothing of entries.

use rusqlite::Connection;

/// Says in the file's header that it is a journal ("LgJ1").
pub(super) const APPLICATION: i32 = 0x4c67_4a31;

/// What makes version n + 1 of version n. A step that was released never changes; a change is a further step.
const STEPS: [&str; 2] = [FIRST, SECOND];

/// `entries` has what lists are filtered by, as numbers (`facet`): a million rows of it are small enough to be looked through. Its key is
/// the time and a number within the millisecond, so that the order of the table is that of lists. `details` has the rest.
///
/// Words that occurrences of one fault have in common are indexed once (`texts`, `common`), and the words of one entry in `own`.
const FIRST: &str = "
CREATE TABLE entries (
  key INTEGER PRIMARY KEY, status INTEGER NOT NULL, route INTEGER NOT NULL, backend INTEGER NOT NULL, endpoint INTEGER NOT NULL,
  code INTEGER NOT NULL, reason INTEGER NOT NULL, exception INTEGER NOT NULL, fingerprint INTEGER NOT NULL, text INTEGER NOT NULL);
CREATE INDEX entries_status ON entries (status);
CREATE INDEX entries_route ON entries (route);
CREATE INDEX entries_backend ON entries (backend);
CREATE INDEX entries_endpoint ON entries (endpoint);
CREATE INDEX entries_code ON entries (code);
CREATE INDEX entries_exception ON entries (exception);
CREATE INDEX entries_fingerprint ON entries (fingerprint);
CREATE TABLE details (
  key INTEGER PRIMARY KEY, request_id TEXT NOT NULL, duration_us INTEGER NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
  route TEXT NOT NULL, backend TEXT NOT NULL, endpoint TEXT, status INTEGER NOT NULL, received INTEGER, code TEXT NOT NULL,
  reason TEXT NOT NULL, exception TEXT, fingerprint TEXT NOT NULL, title TEXT NOT NULL, entry BLOB NOT NULL);
CREATE UNIQUE INDEX details_request_id ON details (request_id);
CREATE TABLE texts (id INTEGER PRIMARY KEY AUTOINCREMENT, uses INTEGER NOT NULL);
CREATE VIRTUAL TABLE common USING fts5(words, content='', contentless_delete=1, detail=none, tokenize='ascii');
CREATE VIRTUAL TABLE own USING fts5(words, content='', contentless_delete=1, detail=none, tokenize='ascii');
CREATE TABLE groups (
  fingerprint TEXT PRIMARY KEY, title TEXT NOT NULL, route TEXT NOT NULL, backend TEXT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL,
  exception TEXT, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, count INTEGER NOT NULL, state INTEGER NOT NULL,
  first_config TEXT NOT NULL, last_request_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counts (
  width INTEGER NOT NULL, fingerprint TEXT NOT NULL, at INTEGER NOT NULL, backend TEXT NOT NULL, status INTEGER NOT NULL,
  count INTEGER NOT NULL, PRIMARY KEY (width, fingerprint, at, backend, status)) WITHOUT ROWID;
CREATE INDEX counts_at ON counts (width, at);
CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO totals VALUES ('entries', 0);
";

/// When an operator has set the state of a group.
const SECOND: &str = "ALTER TABLE groups ADD COLUMN state_set INTEGER NOT NULL DEFAULT 0";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It has no tables.
    Empty,
    /// A journal that this program can read, perhaps after some steps.
    Journal,
    /// A journal of a later program.
    Later,
    /// Something else.
    Foreign,
}

/// Says what a file is.
pub(super) fn found(connection: &Connection) -> rusqlite::Result<Found> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i32>(0));
    let (application, version) = (number("PRAGMA application_id")?, version(connection)?);
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    Ok(match application {
        APPLICATION if version > STEPS.len() => Found::Later,
        APPLICATION if tables > 0 => Found::Journal,
        0 if tables == 0 => Found::Empty,
        _ => Found::Foreign,
    })
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    // A negative one is of nobody.
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

/// Makes the tables of this version. Each step is done as a whole or not at all.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    apply(connection, &STEPS)
}

fn apply(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let done = version(connection)?;
    for (step, sql) in steps.iter().enumerate().skip(done) {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.execute_batch(&format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {}", step + 1))?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_an_older_version_keeps_its_rows() {
        let mut file = Connection::open_in_memory().unwrap();
        apply(&mut file, &["CREATE TABLE a (x)"]).unwrap();
        file.execute("INSERT INTO a VALUES (7)", []).unwrap();
        let steps = ["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y DEFAULT 8", "CREATE TABLE b (x)"];
        apply(&mut file, &steps).unwrap();
        assert_eq!(file.query_row("SELECT x + y FROM a", [], |row| row.get::<_, i64>(0)).unwrap(), 15);
        assert_eq!(version(&file).unwrap(), steps.len());
        assert_eq!(found(&file).unwrap(), Found::Later);
    }

    #[test]
    fn a_step_that_fails_changes_nothing() {
        let mut file = Connection::open_in_memory().unwrap();
        assert!(apply(&mut file, &["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"]).is_err());
        assert_eq!((version(&file).unwrap(), found(&file).unwrap()), (1, Found::Journal));
        assert!(file.prepare("SELECT * FROM b").is_err());
    }
}
