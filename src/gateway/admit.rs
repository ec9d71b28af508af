//! Admission: rejects what the route does not serve, applies its limits, finds out who the user is, reads the body where the route wants that first, and takes the
//! permits that the request needs.

use tokio::time::Instant;

use super::admission::{Admission, Permits};
use super::authenticate::authenticate;
use super::identity::Entry;
use super::limit_key::Who;
use super::outcome::Passed;
use super::request::{Inbound, Request};
use super::state::{Client, Gateway};
use super::{buffer, deadline, limits};
use crate::failure::{Failure, Kind};
use crate::limit::gate::Refused;
use crate::plan::{Forward, Route};
use crate::policy::Maintenance;

/// What a request still waits for before the backend is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// The index of the first limit that gateways share.
    first_shared: Option<usize>,
    /// Bytes of the body that are read first.
    body: Option<usize>,
}

/// Admits a request at once, or says what it has to wait for.
///
/// # Errors
/// The route does not serve it, or a limit rejects it.
pub(super) fn admit(
    gateway: &Gateway,
    route: &Route,
    request: Request<'_>,
    inbound: &Inbound,
    admission: &mut Admission,
) -> Result<Option<Waiting>, Failure> {
    check_open(route, request)?;
    admission.deadline = deadline::of(route, request)?;
    let first_shared = limits::check(route, Who { request, headers: &inbound.headers }, admission)?;
    let body = buffer::wanted(route, request, inbound);
    let at_once = first_shared.is_none() && body.is_none() && route.auth.is_none();
    let admitted = at_once && admission.permits.take(gateway, route);
    Ok((!admitted).then_some(Waiting { first_shared, body }))
}

/// What becomes of a request that had to wait.
pub(super) enum Waited {
    /// It goes on.
    Admitted(Inbound),
    /// It has its response already.
    Answered(Box<Passed>),
}

/// Waits for what a request has to wait for: limits that gateways share, who the user is, its body, its permits.
///
/// # Errors
/// A limit rejects it, its user may not enter, its body does not arrive, or no permit becomes free in time.
pub(super) async fn wait(
    gateway: &Gateway,
    (client, route): (&Client, &Route),
    request: Request<'_>,
    inbound: Inbound,
    waiting: Waiting,
    admission: &mut Admission,
) -> Result<Waited, Failure> {
    let Inbound { headers, mut payload, upgrade, mut identity } = inbound;
    if let Some(first) = waiting.first_shared {
        limits::check_shared(gateway, route, Who { request, headers: &headers }, admission, first).await?;
    }
    if let Some(auth) = &route.auth {
        match authenticate(gateway, client, (route, auth), request, &headers, admission.deadline).await? {
            Entry::Admitted(user) => identity = Some(Box::new(user)),
            Entry::Redirected(passed) => return Ok(Waited::Answered(passed)),
        }
    }
    if let Some(max) = waiting.body {
        payload = buffer::fill(max, gateway, route, request, payload, admission.deadline).await?;
    }
    admission.permits.wait(gateway, route, admission.deadline).await?;
    Ok(Waited::Admitted(Inbound { headers, payload, upgrade, identity }))
}

/// Rejects what the route does not serve at all: because of maintenance, or because the body is too large.
fn check_open(route: &Route, request: Request<'_>) -> Result<(), Failure> {
    let policy = &route.policy;
    if let (Some(length), Some(limit)) = (request.seen.content_length, policy.request_body_limit)
        && length > limit
    {
        return Err(Failure::because(Kind::PayloadTooLarge, format!("Content-Length {length} is over request_body_limit {limit}")));
    }
    let wait = match policy.maintenance {
        None => return Ok(()),
        Some(Maintenance::Now) => None,
        Some(Maintenance::Until(end)) => match end.duration_since(request.context.wall) {
            Ok(left) if !left.is_zero() => Some(left),
            Ok(_) | Err(_) => return Ok(()),
        },
    };
    Err(Failure { retry_after: wait, ..Failure::new(Kind::Maintenance) })
}

impl Permits {
    /// Takes the permits that the request needs, if they are free; false when it has to wait for one. The backend's comes first: a request
    /// that waits for one backend must not hold a permit that others could use.
    fn take(&mut self, gateway: &Gateway, route: &Route) -> bool {
        if let Some(gate) = route.gate() {
            self.backend = gate.try_acquire();
            if self.backend.is_none() {
                return false;
            }
        }
        if let Some(gate) = &gateway.plan.gate {
            self.process = gate.try_acquire();
        }
        gateway.plan.gate.is_none() || self.process.is_some()
    }

    /// Waits for the permits that the request does not have yet.
    async fn wait(&mut self, gateway: &Gateway, route: &Route, deadline: Option<Instant>) -> Result<(), Failure> {
        if let Some(gate) = route.gate().filter(|_| self.backend.is_none()) {
            let permit = gate.acquire(deadline).await;
            self.backend = Some(permit.map_err(|refused| overloaded(refused, "max_in_flight of the backend is reached"))?);
        }
        if let Some(gate) = gateway.plan.gate.as_ref().filter(|_| self.process.is_none()) {
            let permit = gate.acquire(deadline).await;
            self.process = Some(permit.map_err(|refused| overloaded(refused, "listen.max_in_flight is reached"))?);
        }
        Ok(())
    }
}

/// Reports to an adaptive limit that no response came. Deadlines do not count: clients choose them.
pub(super) fn unanswered((route, forward): (&Route, &Forward), failure: &Failure) {
    if let (Some(gate), Some(waited), Kind::ResponseTimeout) = (&forward.gate, route.policy.timeouts.response, failure.kind) {
        gate.record(waited, Instant::now());
    }
}

fn overloaded(refused: Refused, why: &str) -> Failure {
    match refused {
        Refused::Full => Failure::because(Kind::Overloaded, why),
        Refused::TooLate => Failure::because(Kind::TotalTimeout, why),
    }
}
