//! The names of all metrics, in one place: dashboards and alerts are written against them.

/// Requests that arrived. Equals the sum of `requests_total` once all are answered.
pub const RECEIVED: &str = "lockgate_received";
/// Requests that ended, by route and class of the status sent (`client_closed`, `aborted` for those without a whole answer).
pub const REQUESTS: &str = "lockgate_requests";
/// Time from arrival to the last byte of the answer, in seconds.
pub const DURATION: &str = "lockgate_request_duration_seconds";
/// Failures by route, code and reason (RFC 9209 token, or the status the backend sent).
pub const FAILURES: &str = "lockgate_failures";
/// Answers of backends, by class of the status received.
pub const UPSTREAM: &str = "lockgate_upstream_responses";
/// Requests refused by a rate limit.
pub const RATE_LIMITED: &str = "lockgate_rate_limited";
/// Successes of guarded routes out of which leaks were taken.
pub const MASKED: &str = "lockgate_masked_responses";
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
