//! Values as columns: texts, summaries and groups.
//!
//! Pure conversions.

use std::borrow::Cow;

use tokio_postgres::Row;

use crate::journal::query::{Group, GroupState, Summary};

/// Returns a text as PostgreSQL can keep it: it has no NUL. The entry itself keeps it.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Returns a number that is never negative, as PostgreSQL keeps it.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn status(value: i32) -> u16 {
    u16::try_from(value).unwrap_or_default()
}

/// The columns of a summary.
pub(super) const SUMMARY: &str = "request_id, at, duration_us, method, path, route, backend, endpoint, status, received, code, reason, \
     exception, fingerprint, title";

/// Reads them.
pub(super) fn summary(row: &Row) -> Summary {
    Summary {
        request_id: row.get(0),
        at: row.get::<_, i64>(1).cast_unsigned(),
        duration_us: row.get::<_, i64>(2).cast_unsigned(),
        method: row.get(3),
        path: row.get(4),
        route: row.get(5),
        backend: row.get(6),
        endpoint: row.get(7),
        status: status(row.get(8)),
        received: row.get::<_, Option<i32>>(9).map(status),
        code: row.get(10),
        reason: row.get(11),
        exception: row.get(12),
        fingerprint: row.get(13),
        title: row.get(14),
    }
}

/// The columns of a group.
pub(super) const GROUP: &str = "fingerprint, title, route, backend, code, reason, exception, first_seen, last_seen, count, state, \
     first_config, last_request_id, state_set";

/// Reads them.
pub(super) fn group(row: &Row) -> Group {
    Group {
        fingerprint: row.get(0),
        title: row.get(1),
        route: row.get(2),
        backend: row.get(3),
        code: row.get(4),
        reason: row.get(5),
        exception: row.get(6),
        first_seen: row.get::<_, i64>(7).cast_unsigned(),
        last_seen: row.get::<_, i64>(8).cast_unsigned(),
        count: row.get::<_, i64>(9).cast_unsigned(),
        state: usize::try_from(row.get::<_, i32>(10)).ok().and_then(|at| GroupState::ALL.get(at).copied()).unwrap_or_default(),
        first_config: row.get(11),
        last_request_id: row.get(12),
        state_set: row.get::<_, i64>(13).cast_unsigned(),
    }
}

/// Returns the number of a state.
pub(super) fn state(state: GroupState) -> i32 {
    GroupState::ALL.iter().position(|known| *known == state).and_then(|at| i32::try_from(at).ok()).unwrap_or_default()
}
