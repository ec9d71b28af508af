//! Counters of failures by kind and status. They are allocated as failures occur, because most routes have few kinds of failures or none.
//!
//! Counting takes no lock that a reader could hold: a row is added once and stays. The number of counters is bounded by the catalog and by
//! the registered statuses. Must not know routes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::codes;
use crate::failure::Kind;

/// The reason of an error that the upstream sent.
const UPSTREAM_RESPONSE: &str = "upstream_response";
/// The reason of a request whose client closed the connection.
const CLIENT_CLOSED: &str = "client_closed";

/// The counters of one kind, by the slot of the status.
type Row = Box<[AtomicU64; codes::SLOTS]>;

/// The counters of failures, by kind. The last row is that of errors without a kind, which the upstream sent and which passed.
#[derive(Debug)]
pub(super) struct Failures(Box<[OnceLock<Row>]>);

impl Default for Failures {
    fn default() -> Self {
        Self((0..=Kind::ALL.len()).map(|_| OnceLock::new()).collect())
    }
}

/// Returns the value of the label `reason` of a kind.
pub(super) const fn reason(kind: Kind) -> &'static str {
    match kind {
        Kind::ClientClosed => CLIENT_CLOSED,
        kind if kind.row().reason.is_empty() => UPSTREAM_RESPONSE,
        kind => kind.row().reason,
    }
}

/// Groups the rows by their reason, because kinds that differ in the code alone have the same one.
pub(super) fn rows_by_reason() -> Vec<(&'static str, Vec<usize>)> {
    let mut groups: Vec<(&'static str, Vec<usize>)> = vec![(UPSTREAM_RESPONSE, vec![Kind::ALL.len()])];
    for kind in Kind::ALL {
        let (reason, row) = (reason(*kind), *kind as usize);
        match groups.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((reason, vec![row])),
        }
    }
    groups
}

impl Failures {
    /// Counts a failure by the status that was sent.
    pub(super) fn count(&self, kind: Option<Kind>, status: u16) {
        let row = self.0.get(kind.map_or(Kind::ALL.len(), |kind| kind as usize));
        if let Some(row) = row {
            let counters = row.get_or_init(|| Box::new(std::array::from_fn(|_| AtomicU64::new(0))));
            counters[codes::slot(status)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Calls `each` with the slot and the count of each status that occurred in these rows.
    pub(super) fn each(&self, rows: &[usize], mut each: impl FnMut(usize, u64) -> std::fmt::Result) -> std::fmt::Result {
        if rows.iter().all(|row| self.0[*row].get().is_none()) {
            return Ok(());
        }
        for slot in 0..codes::SLOTS {
            let of = |row: &usize| self.0[*row].get().map_or(0, |counters| counters[slot].load(Ordering::Relaxed));
            match rows.iter().map(of).sum() {
                0 => {}
                count => each(slot, count)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_reason_and_kinds_of_one_reason_add_up() {
        let groups = rows_by_reason();
        let mut rows: Vec<usize> = groups.iter().flat_map(|(_, rows)| rows.clone()).collect();
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..=Kind::ALL.len()));
        assert!(groups.iter().all(|(reason, _)| !reason.is_empty()));

        let failures = Failures::default();
        for kind in [Some(Kind::UpstreamError), Some(Kind::UpstreamBadGateway), Some(Kind::ClientClosed), None] {
            failures.count(kind, 502);
        }
        let mut found = Vec::new();
        for (reason, rows) in &groups {
            let mut push = |slot, count| found.push((*reason, slot, count));
            failures
                .each(rows, |slot, count| {
                    push(slot, count);
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(found, [(UPSTREAM_RESPONSE, codes::slot(502), 3), (CLIENT_CLOSED, codes::slot(502), 1)]);
    }
}
