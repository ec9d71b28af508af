//! What went wrong: one closed enum of kinds, and the value that carries a kind through the house.
//!
//! `catalog` says what each kind means, `classify` turns foreign errors into kinds (the only downcasts of the project).
//! This room knows nothing of responses, formats or logs.

pub mod catalog;
pub mod classify;

use std::time::Duration;

use http::HeaderValue;

/// Everything that can end a request other than the upstream's success. One row of the catalogue each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the catalogue says what each one means")]
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
    ResponseTimeout,
    TotalTimeout,
    UploadTimeout,
    UpstreamError,
    UpstreamBadGateway,
    UpstreamUnavailable,
    UpstreamGatewayTimeout,
    UpstreamRateLimited,
    UpstreamClientError,
    /// A database refused a duplicate, and the route asked to tell.
    Duplicate,
    /// A database refused a reference, and the route asked to tell.
    Reference,
    NoEndpoint,
    Overloaded,
    ShuttingDown,
    Maintenance,
    Denied,
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
    LoopDetected,
    ClientClosed,
    Internal,
}

impl Kind {
    /// Every kind, in the order of the catalogue.
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
        Self::LoopDetected,
        Self::ClientClosed,
        Self::Internal,
    ];

    /// The kind of an upstream answer with this status, if it is an error (contract section 4).
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

/// A rate-limit policy that refused a request, for `details.violatedPolicies` and the `RateLimit` headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViolatedPolicy {
    /// The limit's name in the configuration.
    pub name: String,
    /// Requests per window.
    pub limit: u32,
    /// Window in seconds, at least 1.
    pub window: u64,
    /// Seconds until a request is admitted again, at least 1.
    pub reset: u64,
}

/// What happened, with what the answer and the log need of it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The row of the catalogue.
    pub kind: Kind,
    /// For the log and development mode: the error chain or the rule that refused. Never sent in production.
    pub detail: Option<Box<str>>,
    /// When a retry makes sense, where the failing part knows it.
    pub retry_after: Option<Duration>,
    /// `Allow` of a 405.
    pub allow: Option<HeaderValue>,
    /// Rate limits that refused.
    pub violated: Vec<ViolatedPolicy>,
}

impl Failure {
    /// A failure of this kind and nothing more.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, detail: None, retry_after: None, allow: None, violated: Vec::new() }
    }

    /// A failure with its cause in words, for the log.
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
    fn every_kind_stands_at_its_place() {
        assert!(Kind::ALL.iter().enumerate().all(|(at, kind)| *kind as usize == at));
        assert_eq!(Kind::ALL.last(), Some(&Kind::Internal));
    }
}
