//! What a request holds while it is served: its permits, and the quotas that its response reports.
//!
//! Dropping a permit frees it, so a request that fails at any stage gives everything back.

use std::sync::Arc;

use tokio::time::Instant;

use super::grpc_web::Form;
use crate::limit::concurrency::KeyPermit;
use crate::limit::gate::Permit;
use crate::plan::QuotaPolicy;

/// Admits one request to its backend.
#[derive(Debug, Default)]
pub(super) struct Admission {
    pub(super) permits: Permits,
    /// Quotas for the `RateLimit` headers.
    pub(super) quota: Vec<Quota>,
    /// The deadline of the whole request.
    pub(super) deadline: Option<Instant>,
    /// The form of a gRPC-Web call that is translated.
    pub(super) web: Option<Form>,
}

/// The permits of one request. It holds them until its response was streamed, or until it ends in an error.
#[derive(Debug, Default)]
pub(super) struct Permits {
    /// Among the requests of the backend.
    pub(super) backend: Option<Permit>,
    /// Among all requests of the process.
    pub(super) process: Option<Permit>,
    /// Among the requests of the same key, for each limit that counts requests in flight.
    pub(super) keys: Vec<KeyPermit>,
}

/// The state of one limit, for the `RateLimit` headers.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    pub(super) quota_policy: Arc<QuotaPolicy>,
    pub(super) remaining: u32,
    /// Seconds.
    pub(super) reset: u64,
}
