//! The end of a visit: when the last byte went out, the connection goes back, the place is free, the record is written.

use std::sync::Arc;

use crate::body::Witness;
use crate::failure::Failure;
use crate::limit::inflight::Permit;
use crate::observe::visit::{End, Visit};
use crate::relay::Tail;
use crate::upstream::dispatch::Lease;
use crate::upstream::upload::Progress;

/// What a streamed answer still holds.
pub(super) struct Rest {
    pub(super) visit: Box<Visit>,
    pub(super) lease: Option<Lease>,
    pub(super) permit: Option<Permit>,
    pub(super) progress: Option<Arc<Progress>>,
}

impl Tail for Rest {
    fn sent(&mut self, bytes: u64) {
        self.visit.bytes_out += bytes;
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
