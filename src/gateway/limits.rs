//! The limits of a route, in their order: lists of clients, rates, requests in flight. The first that rejects decides.
//!
//! Limits that this process counts are checked at once. The first one that gateways share and all behind it are checked in a future of
//! their own, on the heap.

use std::sync::Arc;
use std::time::Duration;

use super::admission::{Admission, Quota};
use super::limit_key::{Who, key};
use super::state::Gateway;
use crate::config::file::OnFailure;
use crate::failure::{Failure, Kind, ViolatedPolicy};
use crate::header::whole_seconds;
use crate::limit::shared::StoreError;
use crate::limit::{Decision, ListMatch, RateLimit, Store};
use crate::plan::{AppliedLimit, Route};

/// Checks the limits that this process counts. Returns the index of the first limit that gateways share, if there is one: it and those
/// behind it are not checked yet.
///
/// # Errors
/// A limit rejects the request.
pub(super) fn check(route: &Route, who: Who<'_>, admission: &mut Admission) -> Result<Option<usize>, Failure> {
    for (at, applied) in route.limits.iter().enumerate() {
        if !counts(applied, who)? {
            continue;
        }
        if matches!(applied.limit.store, Store::Shared) {
            return Ok(Some(at));
        }
        let decision = applied.limit.rate.as_ref().map(|rate| rate.check(key(applied, route, who).as_key(), applied.cost));
        apply(applied, decision, route, who, admission)?;
    }
    Ok(None)
}

/// Returns true if the limit applies to this client, by its lists.
///
/// # Errors
/// The `deny` list names the client.
fn counts(applied: &AppliedLimit, who: Who<'_>) -> Result<bool, Failure> {
    match applied.limit.listed(who.request.context.client) {
        ListMatch::Counted => Ok(true),
        ListMatch::Exempt => Ok(false),
        ListMatch::Denied => Err(Failure::because(Kind::Denied, format!("the limit `{}` denies this address", applied.limit.name))),
    }
}

/// Checks the limits from `first` on, some of which gateways share.
///
/// # Errors
/// A limit rejects the request.
pub(super) async fn check_shared(
    gateway: &Gateway,
    route: &Route,
    who: Who<'_>,
    admission: &mut Admission,
    first: usize,
) -> Result<(), Failure> {
    // A store that failed once is not asked again for this request.
    let mut failed = false;
    for applied in &route.limits[first..] {
        if !counts(applied, who)? {
            continue;
        }
        let decision = match (&applied.limit.rate, &applied.limit.store) {
            (None, _) => None,
            (Some(rate), Store::Local) => Some(rate.check(key(applied, route, who).as_key(), applied.cost)),
            (Some(rate), Store::Shared) => shared(gateway, applied, rate, route, who, &mut failed).await,
        };
        apply(applied, decision, route, who, admission)?;
    }
    Ok(())
}

/// The decision of the shared store, or the configured fallback. `None` admits the request without a decision.
async fn shared(
    gateway: &Gateway,
    applied: &AppliedLimit,
    rate: &RateLimit,
    route: &Route,
    who: Who<'_>,
    failed: &mut bool,
) -> Option<Decision> {
    let key = key(applied, route, who);
    let key = key.as_key();
    // Without a store, as in `lockgate test`, the gateway counts by itself.
    let (Some(store), Some(plan)) = (&gateway.shared, &gateway.plan.store) else { return Some(rate.check(key, applied.cost)) };
    let asked = if *failed { Err(StoreError::Skipped) } else { store.check(rate.settings(), key, applied.cost).await };
    let [decided, failures, skipped] = &plan.asked;
    match asked {
        Ok(decision) => {
            decided.inc();
            return Some(decision);
        }
        Err(StoreError::Failed) => failures.inc(),
        Err(StoreError::Skipped) => skipped.inc(),
    };
    *failed = true;
    match plan.on_failure {
        OnFailure::Local => Some(rate.check(key, applied.cost)),
        OnFailure::Allow => None,
        OnFailure::Deny => Some(Decision { admitted: false, window: 0, remaining: 0, wait: Duration::from_secs(1) }),
    }
}

/// Applies a decision, then takes a permit where the limit counts requests in flight.
fn apply(
    applied: &AppliedLimit,
    decision: Option<Decision>,
    route: &Route,
    who: Who<'_>,
    admission: &mut Admission,
) -> Result<(), Failure> {
    if let Some(decision) = decision {
        if !decision.admitted {
            applied.refused.inc();
            // The limit that rejects is the one that is reported.
            admission.quota = quota(applied, decision).into_iter().collect();
            return Err(rejection(applied, decision));
        }
        if route.policy.rate_limit_headers {
            admission.quota.extend(quota(applied, decision));
        }
    }
    let Some(concurrency) = &applied.limit.concurrency else { return Ok(()) };
    match concurrency.try_acquire(key(applied, route, who).as_key()) {
        Some(permit) => {
            admission.permits.keys.push(permit);
            Ok(())
        }
        None => {
            applied.refused.inc();
            let violated = ViolatedPolicy { name: applied.limit.name.clone(), limit: concurrency.max(), window: 1, reset: 1 };
            let why = format!("the limit `{}` has as many requests of this key in flight as it admits", applied.limit.name);
            Err(Failure { violated: vec![violated], ..Failure::because(Kind::RateLimited, why) })
        }
    }
}

fn rejection(applied: &AppliedLimit, decision: Decision) -> Failure {
    let name = &applied.limit.name;
    let window = applied.limit.rate.as_ref().and_then(|rate| rate.settings().windows.get(decision.window));
    let violated = window.map(|window| ViolatedPolicy {
        name: name.clone(),
        limit: window.count.get(),
        window: window.window.as_secs().max(1),
        reset: whole_seconds(decision.wait),
    });
    Failure {
        retry_after: Some(decision.wait),
        violated: violated.into_iter().collect(),
        ..Failure::because(Kind::RateLimited, ["the limit `", name, "` is used up"].concat())
    }
}

fn quota(applied: &AppliedLimit, decision: Decision) -> Option<Quota> {
    let window = applied.limit.rate.as_ref()?.settings().windows.get(decision.window)?;
    let reset = if decision.admitted { window.window.as_secs().max(1) } else { whole_seconds(decision.wait) };
    Some(Quota { quota_policy: Arc::clone(applied.quota_policies.get(decision.window)?), remaining: decision.remaining, reset })
}
