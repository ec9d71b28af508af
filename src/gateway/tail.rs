//! The end of a visit: when the last byte went out, the connection goes back, the place is free, the record is written.

use std::sync::Arc;

use http::HeaderMap;

use super::grpc;
use crate::body::{Witness, filter_trailers};
use crate::failure::Failure;
use crate::limit::inflight::Permit;
use crate::observe::visit::{End, Visit};
use crate::plan::Route;
use crate::policy::Mode;
use crate::redact;
use crate::relay::Tail;
use crate::rpc;
use crate::upstream::dispatch::Lease;
use crate::upstream::upload::Progress;

/// What a streamed answer still holds.
pub(super) struct Rest {
    pub(super) visit: Box<Visit>,
    pub(super) lease: Option<Lease>,
    pub(super) permit: Option<Permit>,
    pub(super) progress: Option<Arc<Progress>>,
    pub(super) route: Option<Arc<Route>>,
    pub(super) mode: Mode,
}

impl Tail for Rest {
    fn sent(&mut self, bytes: u64) {
        self.visit.bytes_out += bytes;
    }

    fn trailers(&self, mut trailers: HeaderMap) -> Option<HeaderMap> {
        let Some(route) = &self.route else { return filter_trailers(trailers, redact::leaks) };
        let redactor = &route.voice.redactor;
        let grpc = trailers.contains_key(rpc::GRPC_STATUS);
        if grpc {
            grpc::tidy(&mut trailers, redactor, self.mode);
        }
        // Details are base64: they were looked through before, and only a call that failed has them.
        let details = trailers.remove(rpc::GRPC_DETAILS).filter(|_| grpc);
        let mut kept = filter_trailers(trailers, |value| redactor.leaks(value));
        if let (Some(details), Some(kept)) = (details, &mut kept) {
            kept.insert(rpc::GRPC_DETAILS, details);
        }
        kept
    }

    fn finished(mut self) {
        self.visit.end = End::Complete;
        if let Some(lease) = self.lease.take() {
            lease.finish();
        }
        drop(self.permit.take());
    }

    fn failed(mut self, failure: Failure) {
        self.visit.end = End::Aborted;
        self.visit.kind = Some(failure.kind);
        self.visit.cause = failure.detail;
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress {
            self.visit.bytes_in = progress.bytes();
        }
    }
}

/// Holds the record of an answer that is ready.
pub(super) struct Recorded(pub(super) Box<Visit>);

impl Witness for Recorded {
    fn sent(&mut self, bytes: u64) {
        self.0.bytes_out = bytes;
        self.0.end = End::Complete;
    }
}
