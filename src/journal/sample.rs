//! Decides which entries are kept, if only a share of them is.
//!
//! The first entries of a group in each minute are always kept, so that no fault is ever without an example. Of the rest, the request id
//! decides: all gateways and all restarts decide alike. Must not know how entries are stored.

use std::collections::HashMap;

use ring::digest::{SHA256, digest};

use super::entry::{Entry, Millis};
use super::query::Step;

/// The entries of a group that are kept in each minute, whatever the share.
const FIRST: u32 = 10;
/// The most groups that are remembered. If there are more, all are forgotten, and more is kept than need be.
const MAX_GROUPS: usize = 20_000;

/// Decides which entries are kept.
#[derive(Debug)]
pub(super) struct Sampler {
    /// Ids below this are kept; `None` if all are.
    below: Option<u64>,
    /// The latest minute of each group, and the entries in it.
    seen: HashMap<String, (Millis, u32)>,
}

impl Sampler {
    /// Creates a sampler that keeps a share from 0 to 1.
    pub(super) fn new(share: f64) -> Self {
        // A conversion of a number that is too large saturates.
        let below = (share < 1.0).then_some((share.max(0.0) * u64::MAX as f64) as u64);
        Self { below, seen: HashMap::new() }
    }

    /// Returns true if an entry is kept. Expects the entries in the order in which they end.
    pub(super) fn keeps(&mut self, entry: &Entry) -> bool {
        let Some(below) = self.below else { return true };
        self.is_first(entry) || position(&entry.request_id) < below
    }

    fn is_first(&mut self, entry: &Entry) -> bool {
        let minute = entry.at / Step::Minute.millis();
        if self.seen.len() >= MAX_GROUPS && !self.seen.contains_key(&entry.fingerprint) {
            self.seen.clear();
        }
        let (latest, count) = self.seen.entry(entry.fingerprint.clone()).or_insert((minute, 0));
        // What began in an earlier minute and took longer counts in the latest one.
        if minute > *latest {
            (*latest, *count) = (minute, 0);
        }
        *count = count.saturating_add(1);
        *count <= FIRST
    }
}

/// Returns the place of an id among all ids: evenly spread, whatever the ids look like.
fn position(request_id: &str) -> u64 {
    digest(&SHA256, request_id.as_bytes()).as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(id: u32, group: u8, at: Millis) -> Entry {
        Entry { request_id: format!("id-{id}"), fingerprint: format!("group-{group}"), at, ..Entry::default() }
    }

    #[test]
    fn a_share_is_kept_of_a_frequent_group() {
        let mut sampler = Sampler::new(0.1);
        let kept = (0..20_000).filter(|id| sampler.keeps(&entry(*id, 1, 5))).count();
        assert!((1800..2200).contains(&kept), "{kept}");
        assert!((0..20_000).all(|id| Sampler::new(1.0).keeps(&entry(id, 1, 5))));
        let mut none = Sampler::new(0.0);
        assert_eq!((0..1000).filter(|id| none.keeps(&entry(*id, 1, 5))).count(), FIRST as usize);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut sampler = Sampler::new(0.0);
        for id in 0..MAX_GROUPS as u32 * 3 {
            assert!(sampler.keeps(&Entry { fingerprint: format!("{id}"), ..entry(id, 0, 5) }), "the first one of a group");
        }
        assert!(sampler.seen.len() <= MAX_GROUPS);
    }

    proptest! {
        #[test]
        fn new_groups_are_never_lost_and_ids_decide_the_rest(
            entries in proptest::collection::vec((0u32..500, 0u8..4, 0u64..300_000), 0..400),
            share in 0.0f64..1.0,
            more in 0.0f64..1.0,
        ) {
            let (mut low, mut high) = (Sampler::new(share * more), Sampler::new(share));
            let mut ordered = entries;
            ordered.sort_by_key(|(.., at)| *at);
            let mut first: BTreeMap<(u8, u64), u32> = BTreeMap::new();
            for (id, group, at) in ordered {
                let entry = entry(id, group, at);
                let (few, many) = (low.keeps(&entry), high.keeps(&entry));
                let count = first.entry((group, at / 60_000)).or_default();
                *count += 1;
                let place = position(&entry.request_id);
                prop_assert_eq!(many, *count <= FIRST || place < (share * u64::MAX as f64) as u64);
                prop_assert!(many || !few, "a greater share keeps all that a smaller one keeps");
            }
        }
    }
}
