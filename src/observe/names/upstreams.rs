//! The metrics of backends and their endpoints.

use super::labels::{BACKEND, BREAKER_STATE, CODE, CONNECT_RESULT, CONNECTION_STATE, ENDPOINT, HEDGE_OUTCOME, RETRY_OUTCOME, RETRY_REASON};
use super::metric::{Metric, Section};

/// Responses of backends.
pub const UPSTREAM: Metric = Metric::counter(
    "lockgate_upstream_responses",
    "responses",
    &[BACKEND, CODE],
    "Responses of backends, by the status that was received. A response that led to a retry is not counted",
)
.asked("sum by (backend, code) (rate(lockgate_upstream_responses_total{code=~\"5..\"}[5m]))");
/// Whether an endpoint gets requests.
pub const ENDPOINT_UP: Metric = Metric::gauge(
    "lockgate_endpoint_up",
    "0 or 1",
    &[BACKEND, ENDPOINT],
    "Whether the endpoint gets requests: 1 if it does, 0 while it is unhealthy or ejected or its circuit breaker is open",
)
.asked("count by (backend) (lockgate_endpoint_up == 0)");
/// Whether the probes of an endpoint succeed.
pub const ENDPOINT_HEALTHY: Metric =
    Metric::gauge("lockgate_endpoint_healthy", "0 or 1", &[BACKEND, ENDPOINT], "Whether the endpoint's probes succeed; 1 without probes");
/// Whether an endpoint is ejected.
pub const ENDPOINT_EJECTED: Metric = Metric::gauge(
    "lockgate_endpoint_ejected",
    "0 or 1",
    &[BACKEND, ENDPOINT],
    "Whether the endpoint is ejected, because three requests in a row got no response",
);
/// Ejections.
pub const EJECTIONS: Metric =
    Metric::counter("lockgate_endpoint_ejections", "ejections", &[BACKEND, ENDPOINT], "How often the endpoint was ejected");
/// The state of a circuit breaker.
pub const BREAKER: Metric = Metric::gauge(
    "lockgate_breaker_state",
    "0 or 1",
    &[BACKEND, ENDPOINT, BREAKER_STATE],
    "1 for the state in which the endpoint's circuit breaker is, 0 for the others",
);
/// Openings of a circuit breaker.
pub const BREAKER_OPENED: Metric =
    Metric::counter("lockgate_breaker_openings", "openings", &[BACKEND, ENDPOINT], "How often the endpoint's circuit breaker opened");
/// Requests in flight at an endpoint.
pub const ENDPOINT_IN_FLIGHT: Metric =
    Metric::gauge("lockgate_endpoint_in_flight", "requests", &[BACKEND, ENDPOINT], "Requests in flight at the endpoint");
/// Connections of a pool.
pub const POOL: Metric = Metric::gauge(
    "lockgate_upstream_connections",
    "connections",
    &[BACKEND, ENDPOINT, CONNECTION_STATE],
    "Open connections to the endpoint; those of HTTP/2 are always active",
)
.asked("sum by (endpoint) (lockgate_upstream_connections) / sum by (endpoint) (lockgate_upstream_connections_limit)");
/// The maximum of a pool.
pub const POOL_LIMIT: Metric = Metric::gauge(
    "lockgate_upstream_connections_limit",
    "connections",
    &[BACKEND, ENDPOINT],
    "Maximum number of connections to the endpoint (`pool.max_connections`)",
);
/// Requests that wait for a connection.
pub const POOL_WAITING: Metric = Metric::gauge(
    "lockgate_upstream_connections_waiting",
    "requests",
    &[BACKEND, ENDPOINT],
    "Requests that wait for a connection to the endpoint",
);
/// Attempts to connect.
pub const CONNECTS: Metric = Metric::counter(
    "lockgate_upstream_connects",
    "connections",
    &[BACKEND, ENDPOINT, CONNECT_RESULT],
    "Attempts to open a connection to the endpoint for a request, by result",
);
/// The limit of a gate.
pub const GATE_LIMIT: Metric = Metric::gauge(
    "lockgate_backend_in_flight_limit",
    "requests",
    &[BACKEND],
    "Maximum number of requests that the backend may have in flight now; it changes if the limit is adaptive",
);
/// Permits of a gate in use.
pub const GATE_IN_FLIGHT: Metric =
    Metric::gauge("lockgate_backend_in_flight", "requests", &[BACKEND], "Requests that hold a permit of the backend");
/// Requests in the queue of a gate.
pub const GATE_WAITING: Metric =
    Metric::gauge("lockgate_backend_waiting", "requests", &[BACKEND], "Requests that wait for a permit of the backend");
/// Retries.
pub const RETRIES: Metric = Metric::counter(
    "lockgate_retries",
    "attempts",
    &[BACKEND, RETRY_REASON, RETRY_OUTCOME],
    "Attempts after the first one, by why and with what outcome",
)
.asked("sum by (backend, reason) (rate(lockgate_retries_total[5m]))");
/// Retries that the budget did not pay for.
pub const BUDGET_EXHAUSTED: Metric = Metric::counter(
    "lockgate_retry_budget_exhausted",
    "attempts",
    &[BACKEND],
    "Retries and hedged attempts that were not made because the retry budget was exhausted",
);
/// Hedged attempts.
pub const HEDGES: Metric =
    Metric::counter("lockgate_hedges", "attempts", &[BACKEND, HEDGE_OUTCOME], "Second attempts beside a slow first one, by outcome");
/// Unverified certificates.
pub const UNVERIFIED: Metric = Metric::gauge(
    "lockgate_backend_tls_unverified",
    "0 or 1",
    &[BACKEND],
    "1 if the certificates of the backend are not verified, else 0; only of backends over TLS",
);

/// The metrics of this file.
pub const UPSTREAM_METRICS: Section = Section {
    title: "Backends and endpoints",
    metrics: &[
        &UPSTREAM,
        &ENDPOINT_UP,
        &ENDPOINT_HEALTHY,
        &ENDPOINT_EJECTED,
        &EJECTIONS,
        &BREAKER,
        &BREAKER_OPENED,
        &ENDPOINT_IN_FLIGHT,
        &POOL,
        &POOL_LIMIT,
        &POOL_WAITING,
        &CONNECTS,
        &GATE_LIMIT,
        &GATE_IN_FLIGHT,
        &GATE_WAITING,
        &RETRIES,
        &BUDGET_EXHAUSTED,
        &HEDGES,
        &UNVERIFIED,
    ],
};
