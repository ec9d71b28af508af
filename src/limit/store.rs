//! A bounded, sharded map from key to the limiter's state. When it is full, new keys share one bucket: memory stays bounded, and a flood of
//! keys cannot evict the state of another key.
//!
//! Knows nothing of rates; `governor` computes the state.

use std::collections::HashMap;

use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;

use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError};

/// Number of locks; enough that two cores rarely contend for one.
const SHARDS: usize = 64;
/// The key that all new keys share when the map is full. A real key with this hash would share that bucket too.
const OVERFLOW: u64 = u64::MAX;

type Shard = HashMap<u64, u64, std::hash::BuildHasherDefault<Identity>>;

pub(super) struct BoundedStore {
    shards: Vec<Mutex<Shard>>,
    len: AtomicUsize,
    max: usize,
}

impl BoundedStore {
    pub(super) fn new(max: usize) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect(), len: AtomicUsize::new(0), max }
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        // The top bits choose the shard; the map within it uses the low bits.
        let at = (key >> 58) as usize % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies `f` to the state of a key. Returns `None` if the key is new and the map is full.
    fn update<T, E>(&self, key: u64, f: &impl Fn(Option<Nanos>) -> Result<(T, Nanos), E>) -> Option<Result<T, E>> {
        let mut shard = self.shard(key);
        if let Some(state) = shard.get_mut(&key) {
            return Some(f(Some(Nanos::new(*state))).map(|(value, next)| {
                *state = next.as_u64();
                value
            }));
        }
        if key != OVERFLOW && self.len.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.len.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let outcome = f(None);
        match outcome {
            Ok((value, next)) => {
                shard.insert(key, next.as_u64());
                Some(Ok(value))
            }
            Err(refused) => {
                if key != OVERFLOW {
                    self.len.fetch_sub(1, Ordering::Relaxed);
                }
                Some(Err(refused))
            }
        }
    }
}

impl StateStore for BoundedStore {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        loop {
            if let Some(outcome) = self.update(*key, &f) {
                return outcome;
            }
            if let Some(outcome) = self.update(OVERFLOW, &f) {
                return outcome;
            }
        }
    }
}

impl ShrinkableKeyedStateStore<u64> for BoundedStore {
    fn retain_recent(&self, drop_below: Nanos) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let before = shard.len() - usize::from(shard.contains_key(&OVERFLOW));
            shard.retain(|key, state| *key == OVERFLOW || *state > drop_below.as_u64());
            let after = shard.len() - usize::from(shard.contains_key(&OVERFLOW));
            self.len.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    fn shrink_to_fit(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            if shard.capacity() > 4 * shard.len() + 64 {
                shard.shrink_to_fit();
            }
        }
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A hasher that returns the key itself, since keys are keyed hashes already.
#[derive(Default)]
struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
