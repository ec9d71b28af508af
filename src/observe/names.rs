//! The names of all metrics, in one place: dashboards and alerts are written against them.

/// Requests that arrived. Equals the sum of `requests_total` once all are answered.
pub const RECEIVED: &str = "lockgate_received";
/// Requests that ended, by route and class of the status sent (`client_closed`, `aborted` for those without a whole answer).
pub const REQUESTS: &str = "lockgate_requests";
/// Time from arrival to the last byte of the answer, in seconds.
pub const DURATION: &str = "lockgate_request_duration_seconds";
/// Failures by route, code, reason (RFC 9209 token, or `upstream_response` where the backend itself answered with an error) and the status
/// that the backend sent.
pub const FAILURES: &str = "lockgate_failures";
/// Answers of backends, by class of the status received.
pub const UPSTREAM: &str = "lockgate_upstream_responses";
/// Requests refused by a rate limit.
pub const RATE_LIMITED: &str = "lockgate_rate_limited";
/// Requests of shared limits, by what the store said: `decided`, `failed`, or `skipped` because it had failed before.
pub const SHARED_STORE: &str = "lockgate_shared_limit_requests";
/// Successes of guarded routes out of which leaks were taken.
pub const MASKED: &str = "lockgate_masked_responses";
/// 1 while an endpoint gets its share of the requests, 0 while probes, its ejector or its breaker keep it out.
pub const ENDPOINT_UP: &str = "lockgate_endpoint_up";
/// Requests in flight at an endpoint.
pub const ENDPOINT_IN_FLIGHT: &str = "lockgate_endpoint_in_flight";
/// Requests that a backend may have in flight now; an adaptive limit moves.
pub const GATE_LIMIT: &str = "lockgate_backend_in_flight_limit";
/// Requests that hold a place of a backend with such a limit.
pub const GATE_IN_FLIGHT: &str = "lockgate_backend_in_flight";
/// Requests that wait for such a place.
pub const GATE_WAITING: &str = "lockgate_backend_waiting";
/// Tries beyond the first that the budget paid for.
pub const RETRIES: &str = "lockgate_retries";
/// Bytes of bodies that are held in memory.
pub const BUFFERED: &str = "lockgate_buffered_bytes";
/// Client connections accepted.
pub const ACCEPTED: &str = "lockgate_connections_accepted";
/// Client connections open now.
pub const CONNECTIONS: &str = "lockgate_connections_open";
/// Requests in progress now.
pub const IN_PROGRESS: &str = "lockgate_requests_in_progress";
/// Bytes of request bodies.
pub const BYTES_IN: &str = "lockgate_request_bytes";
/// Bytes of response bodies.
pub const BYTES_OUT: &str = "lockgate_response_bytes";
/// Log lines dropped because the sink was too slow.
pub const LOG_DROPPED: &str = "lockgate_log_lines_dropped";
/// 1, with the version as a label.
pub const BUILD: &str = "lockgate_build_info";
