//! The end of a visit: when the last byte went out, the connection goes back, the record is written, the place is free.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use tokio::time::Instant;

use super::arrive::Trip;
use super::grpc;
use super::inspect::bytes_in;
use crate::body::{Witness, filter_trailers};
use crate::failure::Failure;
use crate::observe::visit::End;
use crate::policy::Mode;
use crate::redact;
use crate::relay::Tail;
use crate::rpc;
use crate::upstream::attempt::response::Lease;

/// What a streamed answer still holds.
pub(super) struct Rest {
    pub(super) trip: Box<Trip>,
    pub(super) lease: Option<Lease>,
    pub(super) mode: Mode,
    pub(super) hurries: Hurries,
}

/// When as much is read of an answer as there is. Before that little is read at once: a client that takes nothing holds little.
pub(super) enum Hurries {
    /// Once the client's connection has taken more than its socket can hold.
    WhenTaken(Arc<AtomicBool>),
    /// Once so much of the answer was taken that it was not only read ahead.
    AfterAWhile,
    /// It is so already.
    Now,
}

/// Bytes of an answer of which not all were only read ahead.
const A_WHILE: u64 = 256 * 1024;

impl Tail for Rest {
    fn sent(&mut self, bytes: u64) {
        self.trip.visit.bytes_out += bytes;
        let due = match &self.hurries {
            Hurries::Now => false,
            Hurries::WhenTaken(taken) => taken.load(Ordering::Relaxed),
            Hurries::AfterAWhile => self.trip.visit.bytes_out > A_WHILE,
        };
        if let Some(lease) = self.lease.as_ref().filter(|_| due) {
            lease.lift_read_bound();
            self.hurries = Hurries::Now;
        }
    }

    fn trailers(&self, mut trailers: HeaderMap) -> Option<HeaderMap> {
        let Some(route) = &self.trip.route else { return filter_trailers(trailers, redact::leaks) };
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
        let now = Instant::now();
        self.trip.visit.end = End::Complete;
        self.trip.visit.ended = Some(now);
        if let Some(lease) = self.lease.take() {
            lease.finish(now);
        }
    }

    fn failed(mut self, failure: Failure) {
        if let Some(lease) = self.lease.take() {
            lease.aborted(failure.kind);
        }
        let visit = &mut self.trip.visit;
        visit.end = End::Aborted;
        visit.kind = Some(failure.kind);
        visit.cause = failure.detail;
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.trip.visit.bytes_in = bytes_in(&self.trip);
    }
}

/// Holds the record of an answer that is ready.
pub(super) struct Recorded(pub(super) Box<Trip>);

impl Witness for Recorded {
    fn sent(&mut self, bytes: u64) {
        self.0.visit.bytes_out = bytes;
        self.0.visit.end = End::Complete;
    }
}
