//! Compiles limits and the store that some of them share.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::live::LiveState;
use super::{AppliedLimit, QuotaPolicy, SharedStore};
use crate::config::diagnose::Problems;
use crate::config::file;
use crate::limit::shared::Address;
use crate::limit::{Limit, Settings, Store, Window};
use crate::observe::metrics::Metrics;

/// Keys that are told apart when nothing is written.
const MAX_KEYS: u64 = 100_000;

/// The longest time that a burst may stand for, in nanoseconds: a century.
const LONGEST: u128 = 100 * 365 * 86_400 * 1_000_000_000;

/// All limits by name.
pub(super) fn limits(file: &file::File, live: &LiveState, problems: &mut Problems) -> HashMap<String, AppliedLimit> {
    let mut made = HashMap::new();
    for keys in &file.limits {
        if let (Some(at), None) = (&keys.shared, &file.redis) {
            problems.add(at.span.clone(), "`store = \"shared\"` needs [redis]", "add: [redis] with url = \"redis://HOST:6379\"");
        }
        if let (Some(at), true) = (&keys.shared, keys.rates.is_empty()) {
            problems.add(at.span.clone(), "only rates are shared", "`max_in_flight` counts in this process: write store = \"local\"");
        }
        if let (Some(at), true) = (&keys.burst, keys.rates.is_empty()) {
            problems.add(at.span.clone(), "`burst` needs a `rate`", "it is how many may come at once");
        }
        let (windows, burst) = (windows(keys), keys.burst.as_ref());
        if let Some(at) = burst.filter(|_| windows.first().is_some_and(|w| w.period().as_nanos() * u128::from(w.burst.get()) > LONGEST)) {
            problems.add(at.span.clone(), "this burst is more than a century of requests", "the bucket would never be empty");
        }
        made.insert(keys.name.value.clone(), limit(keys, windows, live));
    }
    made
}

fn limit(keys: &file::Limit, windows: Vec<Window>, live: &LiveState) -> AppliedLimit {
    let name = keys.name.value.clone();
    let max_keys = keys.max_keys.unwrap_or(MAX_KEYS) as usize;
    let quota_policies = windows.iter().map(|window| Arc::new(QuotaPolicy::of(&name, window))).collect();
    let rate = (!windows.is_empty()).then(|| live.rate(Settings { name: name.clone(), windows, max_keys }));
    let limit = Limit {
        rate,
        store: if keys.shared.is_some() { Store::Shared } else { Store::Local },
        concurrency: keys.max_in_flight.as_ref().map(|at| live.concurrency(&name, at.value as u32, max_keys)),
        allow: keys.allow.clone(),
        deny: keys.deny.clone(),
        name: name.clone(),
    };
    AppliedLimit {
        limit: Arc::new(limit),
        key: keys.key.clone(),
        cost: NonZeroU32::MIN,
        refused: live.metrics.limit(&name),
        quota_policies,
    }
}

/// Shortest window first; `burst` is the shortest one's.
fn windows(keys: &file::Limit) -> Vec<Window> {
    let mut rates: Vec<_> = keys.rates.iter().map(|at| at.value).collect();
    rates.sort_by_key(|rate| rate.window);
    let burst = |at: usize| keys.burst.as_ref().filter(|_| at == 0).map(|at| at.value);
    let window = |(at, rate): (usize, &crate::config::units::Rate)| Window {
        count: rate.count,
        window: rate.window,
        burst: burst(at).unwrap_or(rate.count),
    };
    rates.iter().enumerate().map(window).collect()
}

/// A limit as a route with this cost applies it.
pub(super) fn applied(limit: &AppliedLimit, used: &file::LimitUse, problems: &mut Problems) -> AppliedLimit {
    let windows = limit.limit.rate.as_ref().map_or(&[][..], |rate| &rate.settings().windows);
    if let Some(window) = windows.iter().find(|window| window.burst < used.cost) {
        let title = format!("a cost of {} is never admitted", used.cost);
        problems.add(used.name.span.clone(), title, format!("`{}` admits {} at once", used.name.value, window.burst));
    }
    if windows.is_empty() && used.cost.get() > 1 {
        let title = "a cost is counted by a `rate`, and this limit has none";
        problems.add(used.name.span.clone(), title, format!("give `{}` a rate, or name it alone", used.name.value));
    }
    AppliedLimit { cost: used.cost, ..limit.clone() }
}

/// The store that limits share.
pub(super) fn store(keys: Option<&file::Redis>, metrics: &Metrics, problems: &mut Problems) -> Option<SharedStore> {
    let keys = keys?;
    match Address::new(keys.url.value.reveal(), keys.cluster, keys.timeout.unwrap_or(Duration::from_millis(30))) {
        Ok(address) => Some(SharedStore { address, on_failure: keys.on_failure, asked: metrics.shared_store() }),
        Err(error) => {
            problems.add(keys.url.span.clone(), "not the address of a store", error.to_string());
            None
        }
    }
}
