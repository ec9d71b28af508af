//! Compiles `[limits.NAME]` and `[redis]`, the store of shared limits.
//!
//! Must not count requests; `limit` does.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::live::LiveState;
use super::{AppliedLimit, QuotaPolicy, SharedStore};
use crate::config::diagnose::Problems;
use crate::config::file;
use crate::config::limits;
use crate::limit::shared::Address;
use crate::limit::{Limit, Settings, Store, Window};
use crate::observe::metrics::Metrics;

/// The default number of keys that a limit counts separately.
const MAX_KEYS: u64 = 100_000;

/// The longest time that a burst may cover, in nanoseconds: a century.
const LONGEST_BURST: u128 = 100 * 365 * 86_400 * 1_000_000_000;

/// Compiles all limits, by name.
pub(super) fn limits(file: &file::File, live: &LiveState, problems: &mut Problems) -> HashMap<String, AppliedLimit> {
    let mut made = HashMap::new();
    for keys in &file.limits {
        if let (Some(at), None) = (&keys.shared, &file.redis) {
            problems.add(at.span.clone(), "`store = \"shared\"` needs [redis]", "add: [redis] with url = \"redis://HOST:6379\"");
        }
        if let (Some(at), true) = (&keys.shared, keys.rates.is_empty()) {
            problems.add(
                at.span.clone(),
                "a shared limit needs a `rate`",
                "`max_in_flight` is counted per process: write store = \"local\"",
            );
        }
        if let (Some(at), true) = (&keys.burst, keys.rates.is_empty()) {
            problems.add(
                at.span.clone(),
                "`burst` needs a `rate`",
                "`burst` is the number of requests of a `rate` that may arrive at once",
            );
        }
        let (windows, burst) = (windows(keys), keys.burst.as_ref());
        if let Some(at) =
            burst.filter(|_| windows.first().is_some_and(|w| w.period().as_nanos() * u128::from(w.burst.get()) > LONGEST_BURST))
        {
            problems.add(at.span.clone(), "at this rate the burst covers more than a century", "write a smaller burst or a higher rate");
        }
        made.insert(keys.name.value.clone(), limit(keys, windows, live));
    }
    made
}

fn limit(keys: &limits::Limit, windows: Vec<Window>, live: &LiveState) -> AppliedLimit {
    let name = keys.name.value.clone();
    let max_keys = keys.max_keys.unwrap_or(MAX_KEYS) as usize;
    let quota_policies = windows.iter().map(|window| Arc::new(QuotaPolicy::of(&name, window))).collect();
    let rate = (!windows.is_empty()).then(|| live.rate(Settings { name: name.clone(), windows, max_keys }));
    let limit = Limit {
        rate,
        store: if keys.shared.is_some() { Store::Shared } else { Store::Local },
        concurrency: keys.max_in_flight.as_ref().map(|at| live.concurrency(&name, at.value as u32, max_keys)),
        exempt: keys.exempt.clone(),
        deny: keys.deny.clone(),
        name: name.clone(),
    };
    AppliedLimit {
        limit: Arc::new(limit),
        key: keys.key.clone().into(),
        cost: NonZeroU32::MIN,
        refused: live.metrics.limit(&name),
        quota_policies,
    }
}

/// Compiles the windows of a limit, shortest first. `burst` belongs to the shortest window; the others admit a whole window at once.
fn windows(keys: &limits::Limit) -> Vec<Window> {
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

/// Returns a limit with the cost that a route gives it.
pub(super) fn applied(limit: &AppliedLimit, used: &file::LimitUse, problems: &mut Problems) -> AppliedLimit {
    let windows = limit.limit.rate.as_ref().map_or(&[][..], |rate| &rate.settings().windows);
    if let Some(window) = windows.iter().find(|window| window.burst < used.cost) {
        let title = format!("a request with a cost of {} is never admitted", used.cost);
        problems.add(used.name.span.clone(), title, format!("`{}` admits at most {} at once", used.name.value, window.burst));
    }
    if windows.is_empty() && used.cost.get() > 1 {
        let title = "`cost` needs a limit with a `rate`";
        problems.add(used.name.span.clone(), title, format!("add a `rate` to `{}`, or remove `cost`", used.name.value));
    }
    AppliedLimit { cost: used.cost, ..limit.clone() }
}

/// Compiles the store of shared limits.
pub(super) fn store(keys: Option<&file::Redis>, metrics: &Metrics, problems: &mut Problems) -> Option<SharedStore> {
    let keys = keys?;
    match Address::new(keys.url.value.reveal(), keys.cluster, keys.timeout.unwrap_or(Duration::from_millis(30))) {
        Ok(address) => Some(SharedStore { address, on_failure: keys.on_failure, asked: metrics.shared_store() }),
        Err(error) => {
            problems.add_url(keys.url.value.reveal(), keys.url.span.clone(), "invalid address of a store", error.to_string());
            None
        }
    }
}
