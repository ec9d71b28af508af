//! Admission: rejects what the route does not serve, applies its limits, reads the body where the route wants that first, and takes the
//! permits that the request needs.

use tokio::time::Instant;

use super::admission::{Admission, Permits, Quotas};
use super::limits::Who;
use super::outcome::ErrorOutcome;
use super::request::{Inbound, Request};
use super::state::Gateway;
use super::{buffer, deadline, limits};
use crate::failure::{Failure, Kind};
use crate::limit::gate::Refused;
use crate::plan::Route;
use crate::policy::Maintenance;

/// An admitted request.
pub(super) struct Admitted {
    pub(super) admission: Admission,
    pub(super) inbound: Inbound,
    /// When it was admitted. Until it had to wait for something that is its arrival: one reading of the clock less.
    pub(super) begin: Instant,
}

/// Admits a request, or says why not.
pub(super) async fn admit(gateway: &Gateway, route: &Route, request: Request<'_>, inbound: Inbound) -> Result<Admitted, ErrorOutcome> {
    check_open(route, request)?;
    let mut admission = Admission { deadline: deadline::of(route, request)?, ..Admission::default() };
    let who = Who { request, headers: &inbound.headers };
    let first_shared = limits::check(route, who, &mut admission).map_err(|error| error.with(&admission))?;
    let wanted = buffer::wanted(route, request, &inbound);
    if first_shared.is_none() && wanted.is_none() && admission.permits.take(gateway, route) {
        return Ok(Admitted { admission, inbound, begin: request.context.arrival });
    }
    // What most requests do not need is on the heap.
    Box::pin(wait(gateway, route, request, inbound, Waiting { admission, first_shared, wanted })).await
}

/// What a request still waits for.
struct Waiting {
    admission: Admission,
    /// The index of the first limit that gateways share.
    first_shared: Option<usize>,
    /// Bytes of the body that are read first.
    wanted: Option<usize>,
}

/// Waits for what a request may have to wait for before the backend is asked: limits that gateways share, its body, its permits.
async fn wait(
    gateway: &Gateway,
    route: &Route,
    request: Request<'_>,
    inbound: Inbound,
    Waiting { mut admission, first_shared, wanted }: Waiting,
) -> Result<Admitted, ErrorOutcome> {
    let Inbound { headers, mut payload } = inbound;
    if let Some(first) = first_shared {
        let who = Who { request, headers: &headers };
        limits::check_shared(gateway, route, who, &mut admission, first).await.map_err(|error| error.with(&admission))?;
    }
    if let Some(max) = wanted {
        let filled = buffer::fill(max, gateway, route, request, payload, admission.deadline).await;
        payload = filled.map_err(|failure| ErrorOutcome::from(failure).with(&admission))?;
    }
    let waited = admission.permits.wait(gateway, route, admission.deadline).await;
    waited.map_err(|failure| ErrorOutcome::from(failure).with(&admission))?;
    Ok(Admitted { admission, inbound: Inbound { headers, payload }, begin: Instant::now() })
}

impl ErrorOutcome {
    /// The same error, which reports the quotas of this admission where it has none of its own.
    pub(super) fn with(mut self, admission: &Admission) -> Self {
        if self.quotas.is_none() && !admission.quota.is_empty() {
            self.quotas = Some(Box::new(Quotas(admission.quota.clone())));
        }
        self
    }
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
        if let Some(gate) = &route.gate {
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
        if let Some(gate) = route.gate.as_ref().filter(|_| self.backend.is_none()) {
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
pub(super) fn unanswered(route: &Route, failure: &Failure) {
    if let (Some(gate), Some(waited), Kind::ResponseTimeout) = (&route.gate, route.policy.timeouts.response, failure.kind) {
        gate.record(waited, Instant::now());
    }
}

fn overloaded(refused: Refused, why: &str) -> Failure {
    match refused {
        Refused::Full => Failure::because(Kind::Overloaded, why),
        Refused::TooLate => Failure::because(Kind::TotalTimeout, why),
    }
}
