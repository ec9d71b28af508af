//! Admission: rate limits first, then a place at the backend.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::arrive::Trip;
use crate::config::file::KeySource;
use crate::failure::{Failure, Kind, ViolatedPolicy};
use crate::limit::{self, Decision, Key, Settings};
use crate::plan::{AppliedLimit, QuotaPolicy, Route};

/// What a limit says of its quota, for the `RateLimit` headers.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    pub(super) quota_policy: Arc<QuotaPolicy>,
    pub(super) remaining: u32,
    /// Seconds.
    pub(super) reset: u64,
}

/// Lets the request in, or says which limit refused it.
pub(super) fn enter(route: &Route, trip: &mut Trip) -> Result<(), Failure> {
    for applied in &route.limits {
        let decision = decide(applied, route, trip);
        let settings = applied.limit.settings();
        if !decision.admitted {
            applied.refused.inc();
            trip.quota = vec![quota(applied, decision)];
            return Err(refusal(settings, decision));
        }
        if route.policy.rate_limit_headers {
            trip.quota.push(quota(applied, decision));
        }
    }
    if let Some(gate) = &route.gate {
        let permit = gate.enter().ok_or_else(|| Failure::because(Kind::Overloaded, "max_in_flight of the backend is reached"))?;
        trip.permit = Some(permit);
    }
    Ok(())
}

fn decide(applied: &AppliedLimit, route: &Route, trip: &Trip) -> Decision {
    match &applied.key {
        KeySource::ClientIp => applied.limit.check(limit::of_address(trip.context().client)),
        KeySource::Global => applied.limit.check(Key::Global),
        KeySource::Route => applied.limit.check(limit::of_value(route.metrics.name.as_bytes())),
        KeySource::Header(name) => applied.limit.check(limit::of_value(trip.headers.get(name).map_or(b"", HeaderValue::as_bytes))),
    }
}

fn refusal(settings: &Settings, decision: Decision) -> Failure {
    let violated = ViolatedPolicy {
        name: settings.name.clone(),
        limit: settings.count.get(),
        window: settings.window.as_secs().max(1),
        reset: whole_seconds(decision.wait),
    };
    Failure {
        retry_after: Some(decision.wait),
        violated: vec![violated],
        ..Failure::because(Kind::RateLimited, format!("the limit `{}` is used up", settings.name))
    }
}

fn quota(applied: &AppliedLimit, decision: Decision) -> Quota {
    let window = applied.limit.settings().window.as_secs().max(1);
    let reset = if decision.admitted { window } else { whole_seconds(decision.wait) };
    Quota { quota_policy: Arc::clone(&applied.quota_policy), remaining: decision.remaining, reset }
}

/// Rounded up, at least 1: a client that waits this long is never too early.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(3)), 3);
    }
}
