//! The limits of a route, in their order: lists of clients, rates, counts in flight. The first that refuses decides.
//!
//! Limits in this process are asked as the request comes; from the first one that gateways share on, the rest is asked in turn, on
//! the heap.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::Gateway;
use super::admit::whole_seconds;
use super::arrive::Trip;
use crate::config::file::{KeySource, OnFailure};
use crate::failure::{Failure, Kind, ViolatedPolicy};
use crate::limit::shared::Unanswered;
use crate::limit::{self, Decision, Key, Listed, RateLimit, Store};
use crate::plan::{AppliedLimit, QuotaPolicy, Route};

/// What a limit says of its quota, for the `RateLimit` headers.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    pub(super) quota_policy: Arc<QuotaPolicy>,
    pub(super) remaining: u32,
    /// Seconds.
    pub(super) reset: u64,
}

/// Lets the request pass the limits in this process. The place of the first limit that must be asked elsewhere, if there is one.
///
/// # Errors
/// Which limit refused.
pub(super) fn enter(route: &Route, trip: &mut Trip) -> Result<Option<usize>, Failure> {
    for (at, applied) in route.limits.iter().enumerate() {
        if !counts(applied, trip)? {
            continue;
        }
        if matches!(applied.limit.store, Store::Shared) {
            return Ok(Some(at));
        }
        let decision = applied.limit.rate.as_ref().map(|rate| rate.check(key(applied, route, trip), applied.cost));
        judge(applied, decision, route, trip)?;
    }
    Ok(None)
}

/// Is the limit for this client, by its lists?
fn counts(applied: &AppliedLimit, trip: &Trip) -> Result<bool, Failure> {
    match applied.limit.listed(trip.context().client) {
        Listed::Counted => Ok(true),
        Listed::Allowed => Ok(false),
        Listed::Denied => Err(Failure::because(Kind::Denied, format!("the limit `{}` denies this address", applied.limit.name))),
    }
}

/// The limits from `first` on, some of which gateways share.
///
/// # Errors
/// Which limit refused.
pub(super) async fn ask(gateway: &Gateway, route: &Route, trip: &mut Trip, first: usize) -> Result<(), Failure> {
    // A store that failed this request once is not asked again for it.
    let mut failed = false;
    for applied in &route.limits[first..] {
        if !counts(applied, trip)? {
            continue;
        }
        let decision = match (&applied.limit.rate, &applied.limit.store) {
            (None, _) => None,
            (Some(rate), Store::Local) => Some(rate.check(key(applied, route, trip), applied.cost)),
            (Some(rate), Store::Shared) => shared(gateway, applied, rate, route, trip, &mut failed).await,
        };
        judge(applied, decision, route, trip)?;
    }
    Ok(())
}

/// The store's decision, or what stands in for it; `None` admits without one.
async fn shared(
    gateway: &Gateway,
    applied: &AppliedLimit,
    rate: &RateLimit,
    route: &Route,
    trip: &Trip,
    failed: &mut bool,
) -> Option<Decision> {
    let (store, plan) = (gateway.shared.as_ref()?, gateway.plan.store.as_ref()?);
    let key = key(applied, route, trip);
    let asked = if *failed { Err(Unanswered::Skipped) } else { store.check(rate.settings(), key, applied.cost).await };
    let [decided, failures, skipped] = &plan.asked;
    match asked {
        Ok(decision) => {
            decided.inc();
            return Some(decision);
        }
        Err(Unanswered::Failed) => failures.inc(),
        Err(Unanswered::Skipped) => skipped.inc(),
    };
    *failed = true;
    match plan.on_failure {
        OnFailure::Local => Some(rate.check(key, applied.cost)),
        OnFailure::Allow => None,
        OnFailure::Deny => Some(Decision { admitted: false, window: 0, remaining: 0, wait: Duration::from_secs(1) }),
    }
}

fn key<'t>(applied: &AppliedLimit, route: &'t Route, trip: &'t Trip) -> Key<'t> {
    match &applied.key {
        KeySource::ClientIp => limit::of_address(trip.context().client),
        KeySource::Global => Key::Global,
        KeySource::Route => limit::of_value(route.metrics.name.as_bytes()),
        KeySource::Header(name) => limit::of_value(only(trip.headers.get_all(name))),
    }
}

/// The one value of a header. Several count as none: a second line is no way round a limit, whichever of them the backend reads.
fn only(values: http::header::GetAll<'_, HeaderValue>) -> &[u8] {
    let mut values = values.iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.as_bytes(),
        _ => b"",
    }
}

/// Acts on a decision, then on what is in flight.
fn judge(applied: &AppliedLimit, decision: Option<Decision>, route: &Route, trip: &mut Trip) -> Result<(), Failure> {
    if let Some(decision) = decision {
        if !decision.admitted {
            applied.refused.inc();
            trip.quota = quota(applied, decision).into_iter().collect();
            return Err(refusal(applied, decision));
        }
        if route.policy.rate_limit_headers {
            trip.quota.extend(quota(applied, decision));
        }
    }
    let Some(concurrency) = &applied.limit.concurrency else { return Ok(()) };
    match concurrency.enter(key(applied, route, trip)) {
        Some(pass) => {
            trip.held.push(pass);
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

fn refusal(applied: &AppliedLimit, decision: Decision) -> Failure {
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
        ..Failure::because(Kind::RateLimited, format!("the limit `{name}` is used up"))
    }
}

fn quota(applied: &AppliedLimit, decision: Decision) -> Option<Quota> {
    let window = applied.limit.rate.as_ref()?.settings().windows.get(decision.window)?;
    let reset = if decision.admitted { window.window.as_secs().max(1) } else { whole_seconds(decision.wait) };
    Some(Quota { quota_policy: Arc::clone(applied.quota_policies.get(decision.window)?), remaining: decision.remaining, reset })
}
