//! How an entry counts in its group, and what is left of a group when entries are purged. The same for all stores.
//!
//! Pure functions: a store loads the group and writes it back.

use super::entry::{Entry, Millis};
use super::query::{Group, GroupEvent, GroupState, Step, Summary};

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
        if !entry.counted_only {
            group.last_request_id.clone_from(&entry.request_id);
        }
    }
    // A request that had begun before says nothing of what has been done since.
    if group.state == GroupState::Resolved && entry.at >= group.state_set {
        group.state = GroupState::Regressed;
        event = Some(GroupEvent::Regressed(entry.fingerprint.clone()));
    }
    event
}

/// Takes entries out of their group. `left` are its oldest and its newest entry of those that are left: the texts of a group are those of
/// an entry, and must go with it.
pub(super) fn remove(group: &mut Group, count: u64, left: (&Summary, &Summary)) {
    let (oldest, newest) = left;
    group.count = group.count.saturating_sub(count);
    group.title.clone_from(&oldest.title);
    group.exception.clone_from(&oldest.exception);
    group.last_seen = newest.at;
    group.last_request_id.clone_from(&newest.request_id);
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
        state_set: 0,
        first_config: entry.config.clone(),
        last_request_id: entry.request_id.clone(),
    }
}
