//! The tables in the database, and the steps from one version of them to the next.
//!
//! Knows nothing of entries.

use tokio_postgres::{Client, Error};

/// The advisory lock that a gateway holds while it changes tables or writes a batch: "LgJ1". Batches of several gateways wait for each
/// other, because each of them counts.
pub(super) const LOCK: i64 = 0x4c67_4a31;

/// What makes version n + 1 of version n. A step that was released never changes; a change is a further step.
const STEPS: [&str; 2] = [FIRST, SECOND];

/// Texts are compared by their bytes, as in the other stores.
const FIRST: &str = r#"
CREATE TABLE lockgate_entries (
  request_id text COLLATE "C" PRIMARY KEY, at bigint NOT NULL, duration_us bigint NOT NULL, method text NOT NULL, path text NOT NULL,
  route text COLLATE "C" NOT NULL, backend text COLLATE "C" NOT NULL, endpoint text COLLATE "C", status int NOT NULL, received int,
  code text COLLATE "C" NOT NULL, reason text COLLATE "C" NOT NULL, exception text COLLATE "C", fingerprint text COLLATE "C" NOT NULL,
  title text NOT NULL, gateway text COLLATE "C" NOT NULL, size int NOT NULL, words tsvector NOT NULL, entry bytea NOT NULL);
ALTER TABLE lockgate_entries ALTER COLUMN entry SET STORAGE EXTERNAL;
CREATE INDEX lockgate_entries_at ON lockgate_entries (at DESC, request_id DESC);
CREATE INDEX lockgate_entries_fingerprint ON lockgate_entries (fingerprint, at DESC, request_id DESC);
CREATE INDEX lockgate_entries_route ON lockgate_entries (route, at DESC, request_id DESC);
CREATE INDEX lockgate_entries_backend ON lockgate_entries (backend, at DESC, request_id DESC);
CREATE INDEX lockgate_entries_exception ON lockgate_entries (exception, at DESC, request_id DESC);
CREATE INDEX lockgate_entries_words ON lockgate_entries USING gin (words);
CREATE TABLE lockgate_groups (
  fingerprint text COLLATE "C" PRIMARY KEY, title text NOT NULL, route text COLLATE "C" NOT NULL, backend text COLLATE "C" NOT NULL,
  code text NOT NULL, reason text NOT NULL, exception text, first_seen bigint NOT NULL, last_seen bigint NOT NULL, count bigint NOT NULL,
  state int NOT NULL, first_config text NOT NULL, last_request_id text NOT NULL);
CREATE TABLE lockgate_counts (
  width bigint NOT NULL, fingerprint text COLLATE "C" NOT NULL, at bigint NOT NULL, backend text COLLATE "C" NOT NULL,
  status int NOT NULL, count bigint NOT NULL, PRIMARY KEY (width, fingerprint, at, backend, status));
CREATE INDEX lockgate_counts_at ON lockgate_counts (width, at);
CREATE TABLE lockgate_totals (name text PRIMARY KEY, value bigint NOT NULL);
INSERT INTO lockgate_totals VALUES ('entries', 0), ('bytes', 0);
"#;

/// When an operator has set the state of a group.
const SECOND: &str = "ALTER TABLE lockgate_groups ADD COLUMN state_set bigint NOT NULL DEFAULT 0";

/// Makes the tables of this version. Returns false if a later version has made them. One gateway at a time; each step is done as a whole
/// or not at all.
pub(super) async fn migrate(client: &mut Client) -> Result<bool, Error> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    transaction.batch_execute("CREATE TABLE IF NOT EXISTS lockgate_version (version int NOT NULL)").await?;
    let version = transaction.query_opt("SELECT version FROM lockgate_version", &[]).await?.map(|row| row.get::<_, i32>(0));
    let done = usize::try_from(version.unwrap_or_default()).unwrap_or(usize::MAX);
    if done > STEPS.len() {
        return Ok(false);
    }
    for step in &STEPS[done..] {
        transaction.batch_execute(step).await?;
    }
    let record = if version.is_some() { "UPDATE lockgate_version SET version = $1" } else { "INSERT INTO lockgate_version VALUES ($1)" };
    transaction.execute(record, &[&i32::try_from(STEPS.len()).unwrap_or(i32::MAX)]).await?;
    transaction.commit().await?;
    Ok(true)
}
