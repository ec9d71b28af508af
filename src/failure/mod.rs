//! Failures: the closed enum of their kinds, and the value that carries a kind with its details.
//!
//! `catalog` holds the properties of each kind, and `advice` what the operator does about it; `classify` converts errors of libraries into
//! kinds, and `tls_diagnosis` explains those of TLS. Must not know responses, formats or logs.

mod advice;
pub mod catalog;
pub mod classify;
mod tls_diagnosis;

use std::time::Duration;

use http::HeaderValue;

/// The kinds of failures: everything but a success of the upstream that can end a request. Each kind has one row in the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the catalog describes each kind")]
pub enum Kind {
    DnsError,
    DnsTimeout,
    Unroutable,
    Prohibited,
    ConnectionRefused,
    ConnectTimeout,
    TlsProtocol,
    TlsCertificate,
    TlsAlert,
    ConnectionLost,
    ResponseIncomplete,
    ResponseMalformed,
    ResponseCoding,
    ResponseHeadersTooLarge,
    ResponseHeaderTooLarge,
    StreamRefused,
    ResponseTimeout,
    TotalTimeout,
    UploadTimeout,
    UpstreamError,
    UpstreamBadGateway,
    UpstreamUnavailable,
    UpstreamGatewayTimeout,
    UpstreamRateLimited,
    UpstreamClientError,
    Duplicate,
    Reference,
    NoEndpoint,
    Overloaded,
    ShuttingDown,
    Maintenance,
    Denied,
    Unauthorized,
    AuthRefused,
    AuthUnavailable,
    Responded,
    RateLimited,
    RouteNotFound,
    MethodNotAllowed,
    BadRequest,
    PayloadTooLarge,
    UriTooLong,
    HeadersTooLarge,
    RequestTimeout,
    ExpectationFailed,
    CodingNotSupported,
    UpgradeNotPermitted,
    WebSocketVersion,
    LoopDetected,
    ClientClosed,
    Internal,
}

impl Kind {
    /// All kinds, in the order of the catalog.
    pub const ALL: &'static [Self] = &[
        Self::DnsError,
        Self::DnsTimeout,
        Self::Unroutable,
        Self::Prohibited,
        Self::ConnectionRefused,
        Self::ConnectTimeout,
        Self::TlsProtocol,
        Self::TlsCertificate,
        Self::TlsAlert,
        Self::ConnectionLost,
        Self::ResponseIncomplete,
        Self::ResponseMalformed,
        Self::ResponseCoding,
        Self::ResponseHeadersTooLarge,
        Self::ResponseHeaderTooLarge,
        Self::StreamRefused,
        Self::ResponseTimeout,
        Self::TotalTimeout,
        Self::UploadTimeout,
        Self::UpstreamError,
        Self::UpstreamBadGateway,
        Self::UpstreamUnavailable,
        Self::UpstreamGatewayTimeout,
        Self::UpstreamRateLimited,
        Self::UpstreamClientError,
        Self::Duplicate,
        Self::Reference,
        Self::NoEndpoint,
        Self::Overloaded,
        Self::ShuttingDown,
        Self::Maintenance,
        Self::Denied,
        Self::Unauthorized,
        Self::AuthRefused,
        Self::AuthUnavailable,
        Self::Responded,
        Self::RateLimited,
        Self::RouteNotFound,
        Self::MethodNotAllowed,
        Self::BadRequest,
        Self::PayloadTooLarge,
        Self::UriTooLong,
        Self::HeadersTooLarge,
        Self::RequestTimeout,
        Self::ExpectationFailed,
        Self::CodingNotSupported,
        Self::UpgradeNotPermitted,
        Self::WebSocketVersion,
        Self::LoopDetected,
        Self::ClientClosed,
        Self::Internal,
    ];

    /// Returns where this kind of failure arises.
    pub const fn origin(self) -> Origin {
        match self {
            Self::DnsError
            | Self::DnsTimeout
            | Self::Unroutable
            | Self::ConnectionRefused
            | Self::ConnectTimeout
            | Self::TlsProtocol
            | Self::TlsCertificate
            | Self::TlsAlert
            | Self::StreamRefused => Origin::Connect,
            Self::ConnectionLost | Self::ResponseIncomplete => Origin::Lost,
            Self::ResponseTimeout => Origin::SlowResponse,
            Self::Prohibited
            | Self::ResponseMalformed
            | Self::ResponseCoding
            | Self::ResponseHeadersTooLarge
            | Self::ResponseHeaderTooLarge
            | Self::TotalTimeout
            | Self::UploadTimeout => Origin::Exchange,
            Self::UpstreamError | Self::UpstreamBadGateway | Self::UpstreamUnavailable | Self::UpstreamGatewayTimeout => {
                Origin::UpstreamServerError
            }
            Self::UpstreamRateLimited | Self::UpstreamClientError => Origin::UpstreamClientError,
            Self::NoEndpoint
            | Self::Overloaded
            | Self::ShuttingDown
            | Self::Maintenance
            | Self::Denied
            | Self::AuthUnavailable
            | Self::Responded
            | Self::RateLimited
            | Self::RouteNotFound
            | Self::UpgradeNotPermitted
            | Self::MethodNotAllowed => Origin::Configuration,
            Self::Duplicate
            | Self::Reference
            | Self::Unauthorized
            | Self::AuthRefused
            | Self::BadRequest
            | Self::PayloadTooLarge
            | Self::UriTooLong
            | Self::HeadersTooLarge
            | Self::RequestTimeout
            | Self::ExpectationFailed
            | Self::CodingNotSupported
            | Self::WebSocketVersion
            | Self::LoopDetected
            | Self::ClientClosed => Origin::Client,
            Self::Internal => Origin::Internal,
        }
    }

    /// Returns the kind of an upstream response with this status, or `None` if the status is not an error (contract section 4).
    pub const fn of_upstream_status(status: u16) -> Option<Self> {
        match status {
            429 => Some(Self::UpstreamRateLimited),
            400..=499 => Some(Self::UpstreamClientError),
            502 => Some(Self::UpstreamBadGateway),
            503 => Some(Self::UpstreamUnavailable),
            504 => Some(Self::UpstreamGatewayTimeout),
            500..=599 => Some(Self::UpstreamError),
            _ => None,
        }
    }
}

/// Where a failure arises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Reaching an endpoint: name resolution, TCP, TLS, a stream of HTTP/2.
    Connect,
    /// A connection that was lost before the response was complete.
    Lost,
    /// A response head that did not arrive in time.
    SlowResponse,
    /// Any other part of the exchange with an endpoint.
    Exchange,
    /// A 5xx response of the upstream.
    UpstreamServerError,
    /// A 4xx response of the upstream.
    UpstreamClientError,
    /// The limits, routes or state of the gateway, which its operator configures.
    Configuration,
    /// The request of the client.
    Client,
    /// A fault of the gateway.
    Internal,
}

/// A rate limit that rejected a request, for `details.violatedPolicies` and the `RateLimit` headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViolatedPolicy {
    /// The name of the limit in the configuration.
    pub name: String,
    /// The number of requests per window.
    pub limit: u32,
    /// The length of the window in seconds, at least 1.
    pub window: u64,
    /// The time in seconds until a request is admitted again, at least 1.
    pub reset: u64,
}

/// The reason why a request did not succeed, with the details that the response and the log need.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The kind, which selects the row of the catalog.
    pub kind: Kind,
    /// The error chain or the rule that rejected the request, for the log and development mode. Never sent in production mode.
    pub detail: Option<Box<str>>,
    /// The time after which a retry can succeed, if it is known.
    pub retry_after: Option<Duration>,
    /// The status of [`Kind::Responded`], which the operator chose.
    pub status: u16,
    /// The `Allow` header of a 405.
    pub allow: Option<HeaderValue>,
    /// The `WWW-Authenticate` header of a 401. Few failures have one, so it is on the heap.
    pub challenge: Option<Box<HeaderValue>>,
    /// The rate limits that rejected the request.
    pub violated: Vec<ViolatedPolicy>,
}

impl Failure {
    /// Creates a failure without details.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, detail: None, retry_after: None, status: 0, allow: None, challenge: None, violated: Vec::new() }
    }

    /// Creates a failure with a cause for the log.
    pub fn because(kind: Kind, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into().into_boxed_str()), ..Self::new(kind) }
    }
}

impl From<Kind> for Failure {
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.detail.as_deref().unwrap_or(self.kind.row().cause))
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_are_listed_in_order() {
        assert!(Kind::ALL.iter().enumerate().all(|(at, kind)| *kind as usize == at));
        assert_eq!(Kind::ALL.last(), Some(&Kind::Internal));
    }
}
