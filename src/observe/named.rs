//! Metrics by name, for as long as a configuration uses them: equal names share one, and one that no plan holds any more is forgotten, so
//! that reloads do not add series without bound.
//!
//! The lock is taken when a plan is compiled and when the metrics are read, never by a request. Must not know what is counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Values by name.
#[derive(Debug)]
pub(super) struct Named<K, T>(Mutex<BTreeMap<K, Weak<T>>>);

impl<K, T> Default for Named<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord, T> Named<K, T> {
    /// Returns the value with this name, which is made if there is none.
    pub(super) fn get_or(&self, name: K, make: impl FnOnce() -> T) -> Arc<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&name).and_then(Weak::upgrade) {
            return known;
        }
        let made = Arc::new(make());
        all.insert(name, Arc::downgrade(&made));
        made
    }

    /// Returns all values that are in use, by name.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::with_capacity(all.len());
        all.retain(|_, value| {
            let value = value.upgrade();
            let is_used = value.is_some();
            found.extend(value);
            is_used
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_share_a_value_until_nobody_holds_it() {
        let named: Named<&str, u32> = Named::default();
        let (first, second) = (named.get_or("a", || 1), named.get_or("a", || 2));
        let other = named.get_or("b", || 3);
        assert_eq!(named.all().iter().map(|value| **value).collect::<Vec<_>>(), [1, 3]);
        drop((first, other));
        assert_eq!((named.all().len(), *second), (1, 1));
        drop(second);
        assert_eq!((named.all().len(), *named.get_or("a", || 4)), (0, 4));
    }
}
