//! The catalog of errors: one row per kind of failure with its status, code, reason, retry advice, severity and cause.
//!
//! `lockgate errors`, the table in docs/errors.md, the metrics and the tests read this table; nothing repeats it. Must not know how a
//! failure is detected (`classify`) or rendered (`render`).

use super::Kind;

/// Whether the client may send the same request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Any request may be repeated after `Retry-After`, because nothing was processed.
    AfterWait,
    /// Only an idempotent request may be repeated, because the upstream may have processed it.
    IfIdempotent,
    /// The same request will fail again.
    No,
}

impl Retry {
    /// Returns the text for tables and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AfterWait => "after Retry-After",
            Self::IfIdempotent => "if idempotent",
            Self::No => "no",
        }
    }
}

/// The level of a failure in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The gateway failed.
    Error,
    /// A backend failed or cannot take more requests.
    Warn,
    /// The client made an error, or the gateway rejected the request as configured.
    Info,
}

/// The gRPC status codes that the gateway sends (<https://grpc.io/docs/guides/status-codes/>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grpc {
    /// 2
    Unknown,
    /// 4
    DeadlineExceeded,
    /// 7
    PermissionDenied,
    /// 12
    Unimplemented,
    /// 13
    Internal,
    /// 14
    Unavailable,
    /// 16
    Unauthenticated,
}

impl Grpc {
    /// Returns the numeric code.
    pub const fn number(self) -> u8 {
        match self {
            Self::Unknown => 2,
            Self::DeadlineExceeded => 4,
            Self::PermissionDenied => 7,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }
}

/// A row of the catalog.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The HTTP status that is sent; 0 if the status of the upstream is kept.
    pub status: u16,
    /// The stable code in the body; empty if the upstream's code is kept or the code follows from the status.
    pub code: &'static str,
    /// The `error` token of `Proxy-Status` (RFC 9209 2.3); empty if the upstream responded and only its status is reported.
    pub reason: &'static str,
    /// Whether the client may repeat the request.
    pub retry: Retry,
    /// The level in the log.
    pub severity: Severity,
    /// Whether the failure counts against the endpoint, in its ejector and its circuit breaker.
    pub blames_backend: bool,
    /// Whether a timeout elapsed; gRPC clients get DEADLINE_EXCEEDED.
    pub clock: bool,
    /// The cause for operators, as a clause without a full stop.
    pub cause: &'static str,
}

const fn row(status: u16, code: &'static str, reason: &'static str, retry: Retry, severity: Severity, cause: &'static str) -> Row {
    Row { status, code, reason, retry, severity, blames_backend: false, clock: false, cause }
}

/// Returns a row that counts against the backend.
const fn backend(status: u16, code: &'static str, reason: &'static str, cause: &'static str) -> Row {
    let mut row = row(status, code, reason, Retry::IfIdempotent, Severity::Warn, cause);
    row.blames_backend = true;
    row
}

/// Returns a row for an elapsed timeout that counts against the backend.
const fn clock(reason: &'static str, cause: &'static str) -> Row {
    let mut row = backend(504, "UPSTREAM_TIMEOUT", reason, cause);
    row.clock = true;
    row
}

/// Returns a row for an error of the client.
const fn client(status: u16, code: &'static str, reason: &'static str, cause: &'static str) -> Row {
    row(status, code, reason, Retry::No, Severity::Info, cause)
}

const UNREACHABLE: &str = "UPSTREAM_UNREACHABLE";
const LOST: &str = "UPSTREAM_CONNECTION_LOST";
const PROTOCOL: &str = "UPSTREAM_PROTOCOL_ERROR";
const UNAVAILABLE: &str = "UPSTREAM_UNAVAILABLE";

impl Kind {
    /// Returns the row of this kind. The match is exhaustive, so a new kind does not compile without a row.
    #[allow(clippy::too_many_lines, reason = "a table, one row a line")]
    pub const fn row(self) -> Row {
        match self {
            Self::DnsError => backend(502, UNREACHABLE, "dns_error", "the backend's name does not resolve"),
            Self::DnsTimeout => clock("dns_timeout", "resolving the backend's name took too long"),
            Self::Unroutable => {
                backend(502, UNREACHABLE, "destination_ip_unroutable", "there is no route to the backend's host or network")
            }
            Self::Prohibited => {
                backend(502, UNREACHABLE, "destination_ip_prohibited", "connections to the backend's address are not permitted")
            }
            Self::ConnectionRefused => backend(502, UNREACHABLE, "connection_refused", "the backend refused the connection"),
            Self::ConnectTimeout => clock("connection_timeout", "connecting to the backend took too long"),
            Self::TlsProtocol => backend(502, UNREACHABLE, "tls_protocol_error", "the TLS handshake with the backend failed"),
            Self::TlsCertificate => backend(502, UNREACHABLE, "tls_certificate_error", "the backend's certificate is not valid"),
            Self::TlsAlert => backend(502, UNREACHABLE, "tls_alert_received", "the backend ended the TLS handshake with an alert"),
            Self::ConnectionLost => {
                backend(502, LOST, "connection_terminated", "the backend closed or reset the connection before a response")
            }
            Self::ResponseIncomplete => {
                backend(502, LOST, "http_response_incomplete", "the backend closed or reset the connection within its response")
            }
            Self::ResponseMalformed => backend(502, PROTOCOL, "http_protocol_error", "the backend's response is not valid HTTP"),
            Self::ResponseCoding => backend(502, PROTOCOL, "http_response_transfer_coding", "the backend's chunked coding is invalid"),
            Self::ResponseHeadersTooLarge => {
                backend(502, PROTOCOL, "http_response_header_section_size", "the header section of the backend's response is too large")
            }
            Self::ResponseHeaderTooLarge => {
                backend(502, PROTOCOL, "http_response_header_size", "a header of the backend's response is too large")
            }
            Self::StreamRefused => {
                backend(503, UNAVAILABLE, "destination_unavailable", "the backend refused the request (GOAWAY or RST_STREAM of HTTP/2)")
            }
            Self::ResponseTimeout => clock("connection_read_timeout", "the backend sent no response headers in time"),
            Self::TotalTimeout => clock("http_response_timeout", "the deadline of the request passed"),
            Self::UploadTimeout => clock("connection_write_timeout", "the backend did not read the request body in time"),
            Self::UpstreamError => backend(502, "UPSTREAM_ERROR", "", "the backend responded with 500, 501, 505 or another 5xx"),
            Self::UpstreamBadGateway => backend(502, "UPSTREAM_ERROR", "", "the backend responded with 502"),
            Self::UpstreamUnavailable => backend(503, UNAVAILABLE, "", "the backend responded with 503"),
            Self::UpstreamGatewayTimeout => backend(504, "UPSTREAM_TIMEOUT", "", "the backend responded with 504"),
            Self::UpstreamRateLimited => {
                row(429, "UPSTREAM_RATE_LIMITED", "", Retry::IfIdempotent, Severity::Info, "the backend responded with 429")
            }
            Self::Duplicate => {
                row(409, "DUPLICATE_ERROR", "", Retry::No, Severity::Info, "the backend's database rejected a duplicate (database_errors)")
            }
            Self::Reference => {
                row(400, "REFERENCE_ERROR", "", Retry::No, Severity::Info, "the backend's database rejected a reference (database_errors)")
            }
            Self::UpstreamClientError => row(0, "", "", Retry::No, Severity::Info, "the backend responded with another 4xx"),
            Self::NoEndpoint => row(
                503,
                UNAVAILABLE,
                "destination_unavailable",
                Retry::IfIdempotent,
                Severity::Warn,
                "no endpoint of the backend is available",
            ),
            Self::Overloaded => row(
                503,
                "OVERLOADED",
                "connection_limit_reached",
                Retry::AfterWait,
                Severity::Warn,
                "an in-flight, connection or queue limit is reached",
            ),
            Self::ShuttingDown => {
                row(503, "SHUTTING_DOWN", "proxy_internal_response", Retry::AfterWait, Severity::Info, "the gateway is shutting down")
            }
            Self::Maintenance => row(
                503,
                UNAVAILABLE,
                "destination_unavailable",
                Retry::IfIdempotent,
                Severity::Info,
                "the route is under maintenance (`maintenance` in its configuration)",
            ),
            Self::Responded => {
                row(0, "", "proxy_internal_response", Retry::No, Severity::Info, "the route responds with this status (`respond`)")
            }
            Self::Denied => client(
                403,
                "FORBIDDEN",
                "http_request_denied",
                "the client's address is refused (`access` of the route, or `deny` of a limit)",
            ),
            Self::Unauthorized => client(401, "UNAUTHORIZED", "http_request_denied", "the request has no valid credentials (`auth`)"),
            Self::AuthRefused => client(403, "FORBIDDEN", "http_request_denied", "the authentication service refused the request (`auth`)"),
            Self::AuthUnavailable => row(
                503,
                UNAVAILABLE,
                "destination_unavailable",
                Retry::IfIdempotent,
                Severity::Warn,
                "the authentication service gave no usable answer in time (`auth`)",
            ),
            Self::RateLimited => {
                row(429, "RATE_LIMITED", "http_request_error", Retry::AfterWait, Severity::Info, "a rate limit of the gateway is reached")
            }
            Self::RouteNotFound => client(404, "ROUTE_NOT_FOUND", "destination_not_found", "no route matches host and path"),
            Self::MethodNotAllowed => client(405, "METHOD_NOT_ALLOWED", "http_request_denied", "the route does not allow the method"),
            Self::BadRequest => client(400, "BAD_REQUEST", "http_request_error", "the request is malformed or ambiguous"),
            Self::PayloadTooLarge => client(413, "PAYLOAD_TOO_LARGE", "http_request_error", "the request body is too large"),
            Self::UriTooLong => client(414, "URI_TOO_LONG", "http_request_error", "the request target is too long"),
            Self::HeadersTooLarge => {
                client(431, "HEADERS_TOO_LARGE", "http_request_error", "the request headers are too large or too many")
            }
            Self::RequestTimeout => row(
                408,
                "REQUEST_TIMEOUT",
                "http_request_error",
                Retry::IfIdempotent,
                Severity::Info,
                "the client sent its headers or body too slowly",
            ),
            Self::ExpectationFailed => {
                client(417, "EXPECTATION_FAILED", "http_request_error", "the gateway cannot meet the `Expect` header")
            }
            Self::CodingNotSupported => {
                client(501, "NOT_IMPLEMENTED", "proxy_internal_response", "the transfer coding of the request is not supported")
            }
            Self::UpgradeNotPermitted => {
                client(501, "NOT_IMPLEMENTED", "http_request_denied", "the route does not permit the upgrade to WebSocket (`upgrades`)")
            }
            Self::WebSocketVersion => {
                client(426, "UPGRADE_REQUIRED", "http_request_error", "the version of the WebSocket handshake is not 13")
            }
            Self::LoopDetected => row(
                502,
                "LOOP_DETECTED",
                "proxy_loop_detected",
                Retry::No,
                Severity::Warn,
                "the request has passed through this gateway before",
            ),
            Self::ClientClosed => {
                row(499, "CLIENT_CLOSED", "", Retry::No, Severity::Info, "the client closed the connection (logged, never sent)")
            }
            Self::Internal => {
                row(500, "INTERNAL_ERROR", "proxy_internal_error", Retry::No, Severity::Error, "the gateway had an internal error")
            }
        }
    }
}

/// Returns the gRPC status of an error response, by the HTTP status that would be sent (contract section 4).
pub const fn grpc_status(status: u16, clock: bool) -> Grpc {
    if clock {
        return Grpc::DeadlineExceeded;
    }
    match status {
        400 | 431 => Grpc::Internal,
        401 => Grpc::Unauthenticated,
        403 => Grpc::PermissionDenied,
        404 => Grpc::Unimplemented,
        429 | 502 | 503 => Grpc::Unavailable,
        504 => Grpc::DeadlineExceeded,
        _ => Grpc::Unknown,
    }
}

/// Returns the code of an error that has none of its own, by its status.
pub const fn code_of_status(status: u16) -> &'static str {
    match status {
        400 => "BAD_REQUEST",
        401 => "UNAUTHORIZED",
        402 => "PAYMENT_REQUIRED",
        403 => "FORBIDDEN",
        404 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        406 => "NOT_ACCEPTABLE",
        407 => "PROXY_AUTHENTICATION_REQUIRED",
        408 => "REQUEST_TIMEOUT",
        409 => "CONFLICT",
        410 => "GONE",
        411 => "LENGTH_REQUIRED",
        412 => "PRECONDITION_FAILED",
        413 => "PAYLOAD_TOO_LARGE",
        414 => "URI_TOO_LONG",
        415 => "UNSUPPORTED_MEDIA_TYPE",
        416 => "RANGE_NOT_SATISFIABLE",
        417 => "EXPECTATION_FAILED",
        421 => "MISDIRECTED_REQUEST",
        422 => "UNPROCESSABLE_CONTENT",
        423 => "LOCKED",
        424 => "FAILED_DEPENDENCY",
        425 => "TOO_EARLY",
        426 => "UPGRADE_REQUIRED",
        428 => "PRECONDITION_REQUIRED",
        431 => "HEADERS_TOO_LARGE",
        451 => "UNAVAILABLE_FOR_LEGAL_REASONS",
        501 => "NOT_IMPLEMENTED",
        502 => "UPSTREAM_ERROR",
        503 => UNAVAILABLE,
        504 => "UPSTREAM_TIMEOUT",
        500.. => "INTERNAL_ERROR",
        _ => "REQUEST_REFUSED",
    }
}

/// The code of a client error that reports field errors but no code.
pub const VALIDATION_ERROR: &str = "VALIDATION_ERROR";

/// All statuses that [`code_of_status`] has a code for. Each code has a message in every language.
pub const CLIENT_STATUSES: &[u16] = &[
    400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 425, 426, 428, 431, 451,
    499,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_the_rules_of_the_contract() {
        for kind in Kind::ALL {
            let row = kind.row();
            assert!(!row.cause.is_empty(), "{kind:?}");
            if row.clock {
                assert_eq!(row.status, 504, "{kind:?}: every elapsed clock is a 504");
            }
            if row.retry == Retry::AfterWait {
                assert!(["RATE_LIMITED", "OVERLOADED", "SHUTTING_DOWN"].contains(&row.code), "{kind:?}");
            }
            if row.status == 0 {
                assert!(matches!(kind, Kind::UpstreamClientError | Kind::Responded));
            }
            let token = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(row.reason.chars().all(token), "{kind:?}: RFC 9209 tokens");
        }
    }

    #[test]
    fn grpc_statuses_follow_the_contract() {
        assert_eq!(grpc_status(400, false), Grpc::Internal);
        assert_eq!(grpc_status(503, false), Grpc::Unavailable);
        assert_eq!(grpc_status(502, true), Grpc::DeadlineExceeded);
        assert_eq!(grpc_status(409, false), Grpc::Unknown);
    }
}
