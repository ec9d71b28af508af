//! Values as columns: keys, facets, summaries and groups.
//!
//! Pure conversions.

use ring::digest::{SHA256, digest};
use rusqlite::Row;

use crate::journal::entry::Millis;
use crate::journal::query::{Group, GroupState, Summary};

/// The bits of a key that number the entries of one millisecond.
const NUMBERED: u32 = 16;
/// The latest time that a key can have.
pub(super) const LATEST: Millis = (1 << 47) - 2;

/// Returns the first key of a time.
pub(super) fn first_key(at: Millis) -> i64 {
    (at.min(LATEST) << NUMBERED).cast_signed()
}

/// Returns the first key after all of a time.
pub(super) fn end_key(at: Millis) -> i64 {
    first_key(at.min(LATEST)) + (1 << NUMBERED)
}

/// Returns the time of a key.
pub(super) const fn time(key: i64) -> Millis {
    key.cast_unsigned() >> NUMBERED
}

/// Returns a number for a text that entries are filtered by: the first 48 bits of its hash, which SQLite keeps in six bytes.
pub(super) fn facet(text: &str) -> i64 {
    digest(&SHA256, text.as_bytes()).as_ref().iter().take(6).fold(0, |number, byte| number << 8 | i64::from(*byte))
}

/// Returns a number that is never negative, as SQLite keeps it.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The columns of a summary in `details`.
pub(super) const SUMMARY: &str = "d.key, d.request_id, d.duration_us, d.method, d.path, d.route, d.backend, d.endpoint, d.status, \
     d.received, d.code, d.reason, d.exception, d.fingerprint, d.title";

/// Reads them.
pub(super) fn summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    Ok(Summary {
        at: time(row.get(0)?),
        request_id: row.get(1)?,
        duration_us: row.get::<_, i64>(2)?.cast_unsigned(),
        method: row.get(3)?,
        path: row.get(4)?,
        route: row.get(5)?,
        backend: row.get(6)?,
        endpoint: row.get(7)?,
        status: row.get(8)?,
        received: row.get(9)?,
        code: row.get(10)?,
        reason: row.get(11)?,
        exception: row.get(12)?,
        fingerprint: row.get(13)?,
        title: row.get(14)?,
    })
}

/// The columns of a group, which a file of any version has: who reads a file changes nothing in it.
pub(super) const GROUP: &str = "fingerprint, title, route, backend, code, reason, exception, first_seen, last_seen, count, state, \
     first_config, last_request_id";

/// Reads them.
pub(super) fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group {
        fingerprint: row.get(0)?,
        title: row.get(1)?,
        route: row.get(2)?,
        backend: row.get(3)?,
        code: row.get(4)?,
        reason: row.get(5)?,
        exception: row.get(6)?,
        first_seen: row.get::<_, i64>(7)?.cast_unsigned(),
        last_seen: row.get::<_, i64>(8)?.cast_unsigned(),
        count: row.get::<_, i64>(9)?.cast_unsigned(),
        state: GroupState::ALL.get(usize::from(row.get::<_, u8>(10)?)).copied().unwrap_or_default(),
        state_set: 0,
        first_config: row.get(11)?,
        last_request_id: row.get(12)?,
    })
}

/// Reads them with `state_set` behind them.
pub(super) fn whole_group(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group { state_set: row.get::<_, i64>(13)?.cast_unsigned(), ..group(row)? })
}

/// Returns the number of a state.
pub(super) fn state(state: GroupState) -> i64 {
    size(GroupState::ALL.iter().position(|known| *known == state).unwrap_or_default())
}

/// Returns a number of things, as SQLite keeps it.
pub(super) fn size(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
