//! An upstream request that is complete except for what depends on the endpoint.
//!
//! Knows nothing of endpoints.

use std::sync::Arc;

use http::{HeaderValue, Request};

use super::replay::Replay;
use crate::body::UploadProgress;
use crate::upstream::heads::origin_form::origin_form;
use crate::upstream::upload::Upload;

/// A request that is complete except for what depends on the endpoint.
#[derive(Debug)]
pub struct OutgoingRequest {
    /// The request, without `Host`. An exchange takes it, and puts it back if nothing of it was sent.
    pub request: Option<Request<Upload>>,
    /// The client's `Host`.
    pub client_host: Option<HeaderValue>,
    /// The progress of the body.
    pub progress: Option<Arc<UploadProgress>>,
    /// The request carries connection authentication (NTLM, Negotiate).
    pub connection_auth: bool,
    /// Whether the request may be sent again, and with which body.
    pub replay: Replay,
    /// Hash of the affinity key, if the backend balances by one.
    pub key: Option<u64>,
}

impl OutgoingRequest {
    /// Copies a request that was not sent yet. Returns `None` if its body streams.
    pub(in crate::upstream) fn duplicate(&self) -> Option<Box<Self>> {
        let (Some(request), Replay::Whole(body)) = (&self.request, &self.replay) else { return None };
        let target = request.uri().path_and_query().cloned()?;
        let body = Upload::whole(body.clone()).0;
        let request = origin_form(request.method().clone(), target, request.headers().clone(), body).ok()?;
        Some(Box::new(Self {
            request: Some(request),
            client_host: self.client_host.clone(),
            progress: None,
            connection_auth: self.connection_auth,
            replay: self.replay.clone(),
            key: self.key,
        }))
    }
}
