//! The names of all metrics, in one place because dashboards and alerts depend on them.

/// Requests that arrived. Equals the sum of `requests_total` when no request is in progress.
pub const RECEIVED: &str = "lockgate_received";
/// Requests that ended, by route and class of the status that was sent (`client_closed` or `aborted` if the response was not complete).
pub const REQUESTS: &str = "lockgate_requests";
/// Time from the arrival of a request to the last byte of its response, in seconds.
pub const DURATION: &str = "lockgate_request_duration_seconds";
/// Failures by route, code, reason (an RFC 9209 token, or `upstream_response` for an upstream error) and the status that the backend sent.
pub const FAILURES: &str = "lockgate_failures";
/// Responses of backends, by class of the status that was received.
pub const UPSTREAM: &str = "lockgate_upstream_responses";
/// Requests that a limit rejected.
pub const RATE_LIMITED: &str = "lockgate_rate_limited";
/// Requests to routes with `auth`, by result: `admitted`, `refused`, `redirected`, or `failed` because nobody could tell.
pub const AUTH: &str = "lockgate_auth";
/// Checks of shared limits, by outcome: `decided` by the store, `failed`, or `skipped` because the store had failed before.
pub const SHARED_STORE: &str = "lockgate_shared_limit_requests";
/// Successful responses from which the leak guard removed internals.
pub const MASKED: &str = "lockgate_masked_responses";
/// Errors that passed on routes with `dry_run`, by route and by the status and code that the client would have got.
pub const DRY_RUN: &str = "lockgate_dry_run";
/// 1 while an endpoint gets requests, 0 while it is unhealthy or ejected or its circuit breaker is open.
pub const ENDPOINT_UP: &str = "lockgate_endpoint_up";
/// Requests in flight at an endpoint.
pub const ENDPOINT_IN_FLIGHT: &str = "lockgate_endpoint_in_flight";
/// Maximum number of requests that a backend may have in flight now; it changes if the limit is adaptive.
pub const GATE_LIMIT: &str = "lockgate_backend_in_flight_limit";
/// Requests that hold a permit of a backend.
pub const GATE_IN_FLIGHT: &str = "lockgate_backend_in_flight";
/// Requests that wait for a permit of a backend.
pub const GATE_WAITING: &str = "lockgate_backend_waiting";
/// Retries and hedged attempts that the retry budget allowed.
pub const RETRIES: &str = "lockgate_retries";
/// Bytes of bodies that are held in memory.
pub const BUFFERED: &str = "lockgate_buffered_bytes";
/// TLS handshakes with clients, by how they ended.
pub const HANDSHAKES: &str = "lockgate_tls_handshakes";
/// When a certificate of the listener ends, in seconds since 1970, by its file.
pub const CERTIFICATE_END: &str = "lockgate_tls_certificate_end_timestamp_seconds";
/// 0 if the certificates of the listener could not be read when their files last changed, else 1.
pub const CERTIFICATES_READ: &str = "lockgate_tls_certificates_last_read_successful";
/// 1 for a backend over TLS whose certificates are not verified, 0 for others over TLS.
pub const UNVERIFIED: &str = "lockgate_backend_tls_unverified";
/// Client connections accepted.
pub const ACCEPTED: &str = "lockgate_connections_accepted";
/// Connections of trusted proxies that began without a valid PROXY header, and were closed.
pub const PROXY_HEADER_FAILURES: &str = "lockgate_proxy_header_failures";
/// Client connections open now.
pub const CONNECTIONS: &str = "lockgate_connections_open";
/// Tunnels (WebSocket and other upgrades) open now, by route.
pub const TUNNELS: &str = "lockgate_tunnels_open";
/// Requests in progress now.
pub const IN_PROGRESS: &str = "lockgate_requests_in_progress";
/// Bytes of request bodies.
pub const BYTES_IN: &str = "lockgate_request_bytes";
/// Bytes of response bodies.
pub const BYTES_OUT: &str = "lockgate_response_bytes";
/// Log lines that were dropped because they could not be written.
pub const LOG_DROPPED: &str = "lockgate_log_lines_dropped";
/// 1, with the version as a label.
pub const BUILD: &str = "lockgate_build_info";
/// Reloads of the configuration.
pub const CONFIG_RELOADS: &str = "lockgate_config_reloads";
/// Whether the configuration could be used when it was loaded last.
pub const CONFIG_SUCCESSFUL: &str = "lockgate_config_last_reload_successful";
/// When the configuration was last loaded with success.
pub const CONFIG_SUCCEEDED_AT: &str = "lockgate_config_last_reload_success_timestamp_seconds";
