//! The metrics of requests, by route.

use super::labels::{AUTH_RESULT, BACKEND, CODE, REASON, ROUTE};
use super::metric::{Metric, Section};

/// Requests that arrived. Equals the sum of `requests` when no request is in progress and no route was removed.
pub const RECEIVED: Metric =
    Metric::counter("lockgate_received", "requests", &[], "Requests received").asked("rate(lockgate_received_total[5m])");
/// Requests in progress.
pub const IN_PROGRESS: Metric = Metric::gauge("lockgate_requests_in_progress", "requests", &[], "Requests in progress");
/// Requests that ended.
pub const REQUESTS: Metric = Metric::counter(
    "lockgate_requests",
    "requests",
    &[ROUTE, BACKEND, CODE, REASON],
    "Requests that ended, by the status that the client was sent and the reason of an error",
)
.asked("sum by (route) (rate(lockgate_requests_total{code=~\"5..\"}[5m])) / sum by (route) (rate(lockgate_requests_total[5m]))");
/// Duration of requests.
pub const DURATION: Metric = Metric::histogram(
    "lockgate_request_duration_seconds",
    &[ROUTE, BACKEND],
    "Time from the arrival of a request to the last byte of its response. Of a tunnel (WebSocket), the time to its beginning",
)
.asked("histogram_quantile(0.99, sum by (route, le) (rate(lockgate_request_duration_seconds_bucket[5m])))");
/// The upstream's part of the duration.
pub const UPSTREAM_DURATION: Metric = Metric::histogram(
    "lockgate_upstream_duration_seconds",
    &[ROUTE, BACKEND],
    "Time from sending a request on an open connection to the head of the backend's response, of the attempt that was answered",
)
.asked("histogram_quantile(0.99, sum by (backend, le) (rate(lockgate_upstream_duration_seconds_bucket[5m])))");
/// The gateway's part of the duration.
pub const OVERHEAD: Metric = Metric::histogram(
    "lockgate_gateway_overhead_seconds",
    &[ROUTE, BACKEND],
    "Time from the arrival of a request until it was sent in the attempt that was answered: routing, limits and their queues, \
     authentication, reading the body ahead, connecting, and attempts before",
)
.asked("histogram_quantile(0.99, sum by (route, le) (rate(lockgate_gateway_overhead_seconds_bucket[5m])))");
/// Bytes of request bodies.
pub const BYTES_IN: Metric = Metric::counter("lockgate_request_bytes", "bytes", &[], "Bytes of request bodies that were forwarded");
/// Bytes of response bodies.
pub const BYTES_OUT: Metric = Metric::counter("lockgate_response_bytes", "bytes", &[], "Bytes of response bodies that were sent");
/// Tunnels open now.
pub const TUNNELS: Metric =
    Metric::gauge("lockgate_tunnels_open", "tunnels", &[ROUTE, BACKEND], "Open tunnels: WebSocket and other upgrades");
/// Guarded responses.
pub const MASKED: Metric = Metric::counter(
    "lockgate_masked_responses",
    "responses",
    &[ROUTE, BACKEND],
    "Successful responses from which the leak guard removed internals",
);
/// Errors that passed.
pub const DRY_RUN: Metric = Metric::counter(
    "lockgate_dry_run",
    "responses",
    &[ROUTE, BACKEND, CODE, REASON],
    "Errors that passed on routes with `dry_run`, by the status that the client would have got",
);
/// Requests to routes with `auth`.
pub const AUTH: Metric = Metric::counter("lockgate_auth", "requests", &[ROUTE, AUTH_RESULT], "Requests to routes with `auth`, by result");

/// The metrics of this file.
pub const REQUEST_METRICS: Section = Section {
    title: "Requests",
    metrics: &[
        &RECEIVED,
        &IN_PROGRESS,
        &REQUESTS,
        &DURATION,
        &UPSTREAM_DURATION,
        &OVERHEAD,
        &BYTES_IN,
        &BYTES_OUT,
        &TUNNELS,
        &MASKED,
        &DRY_RUN,
        &AUTH,
    ],
};
