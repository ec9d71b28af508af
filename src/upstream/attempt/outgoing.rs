//! An upstream request that is complete except for what depends on the endpoint.
//!
//! Knows nothing of endpoints.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method};

use crate::body::UploadProgress;
use crate::context::spans::TraceParent;
use crate::header::HeaderList;
use crate::upstream::connect::http1::RequestHead;
use crate::upstream::heads::trace_context;
use crate::upstream::upload::Upload;

/// A request that is complete except for what depends on the endpoint.
#[derive(Debug)]
pub struct OutgoingRequest {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: PathAndQuery,
    /// The same with bytes that no URI has, if there are any.
    pub raw_target: Option<Box<[u8]>>,
    /// The headers, with the client's `Host` if it sent one.
    pub headers: HeaderList,
    /// The body. An exchange takes it, and puts it back if nothing of the request was sent.
    pub upload: Option<Upload>,
    /// The headers have the client's `Host`.
    pub has_client_host: bool,
    /// The progress of the body.
    pub progress: Option<Arc<UploadProgress>>,
    /// The request carries connection authentication (NTLM, Negotiate).
    pub connection_auth: bool,
    /// Whether the request may be sent again, and with which body.
    pub replay: Replay,
    /// The upgrade that the request asks for. It is one tunnel, so the request is not hedged.
    pub upgrade: Option<Box<Upgrade>>,
    /// There is memory to keep the begin of a streaming body until the response, for an endpoint that refuses the request.
    pub keeps_upload: bool,
    /// Hash of the affinity key, if the backend balances by one.
    pub key: Option<u64>,
}

/// An upgrade that a request asks for and its route permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The protocol.
    pub protocol: HeaderValue,
    /// The `Sec-WebSocket-Accept` that the upstream must answer; `None` for another protocol.
    pub accept: Option<HeaderValue>,
}

/// Whether a request may and can be sent again.
#[derive(Clone, Debug, Default)]
pub enum Replay {
    /// It may not: it is not idempotent, its body streams from the client, or it is bound to its connection.
    #[default]
    Never,
    /// It may, with this body, which is empty if there is none.
    Whole(Bytes),
}

impl Replay {
    /// Returns true if the request may be sent again.
    pub const fn is_possible(&self) -> bool {
        matches!(self, Self::Whole(_))
    }
}

impl OutgoingRequest {
    /// Returns the head.
    pub fn head(&self) -> RequestHead<'_> {
        RequestHead { method: &self.method, target: self.target.as_str(), raw_target: self.raw_target.as_deref(), headers: &self.headers }
    }

    /// Makes the request belong to the span of an attempt, if it has one. An operator may have taken the request out of its trace; then it
    /// stays so.
    pub(super) fn belong_to(&mut self, span: Option<TraceParent>) {
        if let Some(span) = span {
            trace_context::replace(&mut self.headers, &span);
        }
    }

    /// Restores the body if an exchange consumed it. Returns false if that is impossible.
    pub(in crate::upstream) fn restore_body(&mut self) -> bool {
        if self.upload.is_none()
            && let Replay::Whole(body) = &self.replay
        {
            self.upload = Some(Upload::whole(body.clone()).0);
            // The first attempt's upload is over. A body that is sent from memory needs no clock of the client.
            self.progress = None;
        }
        self.upload.is_some()
    }

    /// Copies a request that was not sent yet. Returns `None` if its body streams.
    pub(in crate::upstream) fn duplicate(&self) -> Option<Box<Self>> {
        let (Some(_), Replay::Whole(body)) = (&self.upload, &self.replay) else { return None };
        Some(Box::new(Self {
            method: self.method.clone(),
            target: self.target.clone(),
            raw_target: self.raw_target.clone(),
            headers: self.headers.clone(),
            upload: Some(Upload::whole(body.clone()).0),
            has_client_host: self.has_client_host,
            progress: None,
            connection_auth: self.connection_auth,
            replay: self.replay.clone(),
            upgrade: self.upgrade.clone(),
            keeps_upload: true,
            key: self.key,
        }))
    }
}
