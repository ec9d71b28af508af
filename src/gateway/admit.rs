//! Admission: what the route does not serve is refused, and the places that a request needs are taken.

use std::time::Duration;

use tokio::time::Instant;

use super::Gateway;
use super::arrive::Trip;
use crate::failure::{Failure, Kind};
use crate::limit::gate::Refused;
use crate::plan::Route;
use crate::policy::Maintenance;

/// Refuses what the route does not serve at all: by maintenance, or because the body is too large.
pub(super) fn check_open(route: &Route, trip: &Trip) -> Result<(), Failure> {
    let policy = &route.policy;
    if let (Some(length), Some(limit)) = (trip.seen.content_length, policy.request_body_limit)
        && length > limit
    {
        return Err(Failure::because(Kind::PayloadTooLarge, format!("Content-Length {length} is over request_body_limit {limit}")));
    }
    let wait = match policy.maintenance {
        None => return Ok(()),
        Some(Maintenance::Now) => None,
        Some(Maintenance::Until(end)) => match end.duration_since(trip.context().wall) {
            Ok(left) if !left.is_zero() => Some(left),
            _ => return Ok(()),
        },
    };
    Err(Failure { retry_after: wait, ..Failure::new(Kind::Maintenance) })
}

/// Takes the places that the request needs, if they are free; false when it has to wait for one. The backend's first: who waits
/// for one backend must not hold a place that others could use.
pub(super) fn pass(gateway: &Gateway, route: &Route, trip: &mut Trip) -> bool {
    if let Some(gate) = &route.gate {
        trip.permit = gate.enter();
        if trip.permit.is_none() {
            return false;
        }
    }
    if let Some(gate) = &gateway.plan.gate {
        trip.place = gate.enter();
    }
    gateway.plan.gate.is_none() || trip.place.is_some()
}

/// Waits for the places that the request does not have yet.
pub(super) async fn wait(gateway: &Gateway, route: &Route, trip: &mut Trip) -> Result<(), Failure> {
    if let Some(gate) = route.gate.as_ref().filter(|_| trip.permit.is_none()) {
        let permit = gate.pass(trip.deadline).await;
        trip.permit = Some(permit.map_err(|refused| overloaded(refused, "max_in_flight of the backend is reached"))?);
    }
    if let Some(gate) = gateway.plan.gate.as_ref().filter(|_| trip.place.is_none()) {
        let place = gate.pass(trip.deadline).await;
        trip.place = Some(place.map_err(|refused| overloaded(refused, "listen.max_in_flight is reached"))?);
    }
    Ok(())
}

/// No answer came: an adaptive limit learns from that too. Not from deadlines, which clients choose.
pub(super) fn unanswered(route: &Route, failure: &Failure) {
    if let (Some(gate), Some(waited), Kind::ResponseTimeout) = (&route.gate, route.policy.timeouts.response, failure.kind) {
        gate.heard(waited, Instant::now());
    }
}

fn overloaded(refused: Refused, why: &str) -> Failure {
    match refused {
        Refused::Full => Failure::because(Kind::Overloaded, why),
        Refused::TooLate => Failure::because(Kind::TotalTimeout, why),
    }
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
