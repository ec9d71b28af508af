//! How an entry counts in its group. The same for all stores.
//!
//! Pure functions: a store loads the group and writes it back.

use super::entry::{Entry, Millis};
use super::query::{Group, GroupEvent, GroupState, Step};

/// The most groups that a store keeps; the one that was seen least recently goes first.
pub(super) const MAX_GROUPS: usize = 10_000;

/// Counts a new entry in its group, which is `None` if it is the first one.
pub(super) fn add(group: &mut Option<Group>, entry: &Entry) -> Option<GroupEvent> {
    let mut event = None;
    let group = group.get_or_insert_with(|| {
        event = Some(GroupEvent::New(entry.fingerprint.clone()));
        first(entry)
    });
    group.count += 1;
    group.first_seen = group.first_seen.min(entry.at);
    if entry.at >= group.last_seen {
        group.last_seen = entry.at;
        group.last_request_id.clone_from(&entry.request_id);
    }
    if group.state == GroupState::Resolved {
        group.state = GroupState::Regressed;
        event = Some(GroupEvent::Regressed(entry.fingerprint.clone()));
    }
    event
}

/// Returns the beginning of the bucket of a time.
pub(super) const fn bucket(step: Step, at: Millis) -> Millis {
    at - at % step.millis()
}

/// Returns the group of its first entry, without having counted it.
fn first(entry: &Entry) -> Group {
    Group {
        fingerprint: entry.fingerprint.clone(),
        title: entry.title.clone(),
        route: entry.route.clone(),
        backend: entry.backend.clone(),
        code: entry.code.clone(),
        reason: entry.reason.clone(),
        exception: entry.exception.clone(),
        first_seen: entry.at,
        last_seen: entry.at,
        count: 0,
        state: GroupState::New,
        first_config: entry.config.clone(),
        last_request_id: entry.request_id.clone(),
    }
}
