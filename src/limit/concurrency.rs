//! Counts the requests in flight of each key against a maximum. A key is in memory only while it has a request in flight.
//!
//! Knows nothing of requests or routes.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key::Key;

/// Number of locks; enough that two cores rarely contend for one.
const SHARDS: usize = 16;
/// The key that all new keys share when the map is full.
const OVERFLOW: u64 = u64::MAX;

/// The requests in flight of each key.
#[derive(Debug)]
pub struct PerKey {
    shards: Vec<Mutex<HashMap<u64, u32>>>,
    hasher: std::hash::RandomState,
    max: u32,
    keys_per_shard: usize,
}

/// The permit of one request in flight. Dropping it releases it.
#[derive(Debug)]
pub struct KeyPermit {
    of: Arc<PerKey>,
    key: u64,
}

impl PerKey {
    /// Creates a limit of `max` requests per key. About `max_keys` keys are counted separately (rounded up to a multiple of the shards).
    pub fn new(max: u32, max_keys: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: std::hash::RandomState::new(), max, keys_per_shard: max_keys.div_ceil(SHARDS).max(1) }
    }

    /// Returns true if a limit created with these arguments would be equal.
    pub fn is_like(&self, max: u32, max_keys: usize) -> bool {
        self.max == max && self.keys_per_shard == max_keys.div_ceil(SHARDS).max(1)
    }

    /// Returns the maximum per key.
    pub const fn max(&self) -> u32 {
        self.max
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, HashMap<u64, u32>> {
        self.shards[(key >> 60) as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a permit if the key has one free. A new key shares the overflow key's permits when its shard is full.
    pub fn try_acquire(self: &Arc<Self>, key: Key<'_>) -> Option<KeyPermit> {
        let mut key = self.hasher.hash_one(key);
        if !self.is_known_or_has_room(key) {
            key = OVERFLOW;
        }
        let mut shard = self.shard(key);
        let count = shard.entry(key).or_insert(0);
        if *count >= self.max {
            return None;
        }
        *count += 1;
        drop(shard);
        Some(KeyPermit { of: Arc::clone(self), key })
    }

    fn is_known_or_has_room(&self, key: u64) -> bool {
        let shard = self.shard(key);
        shard.contains_key(&key) || shard.len() < self.keys_per_shard
    }

    /// Returns the number of keys in memory.
    pub fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

impl Drop for KeyPermit {
    fn drop(&mut self) {
        let mut shard = self.of.shard(self.key);
        if let Some(count) = shard.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_own_permits_and_is_removed_when_unused() {
        let limit = Arc::new(PerKey::new(2, 100));
        let (a, b) = (Key::Value(b"a"), Key::Value(b"b"));
        let held = (limit.try_acquire(a), limit.try_acquire(a));
        assert!(held.0.is_some() && held.1.is_some() && limit.try_acquire(a).is_none());
        assert!(limit.try_acquire(b).is_some());
        drop(held);
        assert!(limit.try_acquire(a).is_some());
        assert_eq!(limit.keys(), 0);
    }

    #[test]
    fn keys_beyond_the_bound_share_permits() {
        let limit = Arc::new(PerKey::new(1, 16));
        let held: Vec<_> = (0..1000u32).filter_map(|n| limit.try_acquire(Key::Value(&n.to_be_bytes()))).collect();
        assert!(held.len() <= 17 && limit.keys() <= 17, "{} {}", held.len(), limit.keys());
        drop(held);
        assert_eq!(limit.keys(), 0);
    }
}
