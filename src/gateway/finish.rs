//! The end of a response: writes the record and frees the permits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use tokio::time::Instant;

use super::admission::Permits;
use super::build_envelope::build_envelope;
use super::grpc;
use super::request::RequestState;
use crate::body::{OnSent, filter_trailers};
use crate::failure::Failure;
use crate::header::HeaderList;
use crate::observe::access_record::End;
use crate::policy::Mode;
use crate::redact;
use crate::relay::OnFinish;
use crate::render;
use crate::rpc;

/// What a streamed response holds until its end.
pub(super) struct StreamEnd {
    pub(super) state: Box<RequestState>,
    /// Freed when the response was streamed.
    pub(super) _permits: Permits,
    pub(super) mode: Mode,
    pub(super) read_bound: ReadBound,
    /// The client reads the status of the call in the trailers, also that of a failure after the head.
    pub(super) ends_in_trailers: bool,
}

/// When the bound on single reads of a response is lifted. Until then little is read at once, so that a client that takes nothing holds
/// little memory.
pub(super) enum ReadBound {
    /// Once the client's connection has taken more than its socket can hold.
    WhenTaken(Arc<AtomicBool>),
    /// Once the client took more than can have been read ahead.
    AfterAWhile,
    /// It is lifted already.
    Lifted,
}

/// More bytes than can have been read ahead.
const A_WHILE: u64 = 256 * 1024;

impl OnFinish for StreamEnd {
    fn sent(&mut self, bytes: u64) -> bool {
        self.state.record.facts.bytes_out += bytes;
        let due = match &self.read_bound {
            ReadBound::Lifted => false,
            ReadBound::WhenTaken(taken) => taken.load(Ordering::Relaxed),
            ReadBound::AfterAWhile => self.state.record.facts.bytes_out > A_WHILE,
        };
        if due {
            self.read_bound = ReadBound::Lifted;
        }
        due
    }

    fn trailers(&self, mut trailers: HeaderMap) -> Option<HeaderMap> {
        let Some(route) = &self.state.route else { return filter_trailers(trailers, redact::leaks) };
        if route.policy.dry_run {
            return Some(trailers);
        }
        let redactor = &route.presenter.redactor;
        let grpc = trailers.contains_key(rpc::GRPC_STATUS);
        if grpc {
            let mut lines = HeaderList::from(&trailers);
            grpc::tidy(&mut lines, redactor, self.mode);
            trailers = (&lines).into();
        }
        // Details are base64 and were cleaned before. Only a failed call has them.
        let details = trailers.remove(rpc::GRPC_DETAILS).filter(|_| grpc);
        let mut kept = filter_trailers(trailers, |value| redactor.leaks(value));
        if let (Some(details), Some(kept)) = (details, &mut kept) {
            kept.insert(rpc::GRPC_DETAILS, details);
        }
        kept
    }

    fn finished(mut self) {
        self.state.record.facts.end = End::Complete;
        self.state.record.facts.ended = Some(Instant::now());
    }

    fn failed(mut self, mut failure: Failure) -> Option<HeaderMap> {
        let trailers = self.ends_in_trailers.then(|| self.failure_trailers(&mut failure)).flatten();
        let facts = &mut self.state.record.facts;
        facts.end = End::Aborted;
        facts.kind = Some(failure.kind);
        facts.cause = failure.detail;
        trailers
    }
}

impl StreamEnd {
    /// The trailers of a gRPC call that failed after its head: the headers of an error response.
    fn failure_trailers(&self, failure: &mut Failure) -> Option<HeaderMap> {
        let route = self.state.route.as_ref()?;
        let envelope = build_envelope(failure, None, (&route.policy, self.mode), &route.presenter, &self.state);
        Some(render::grpc_trailers(&envelope).into_iter().collect())
    }
}

/// Holds the record of a response whose body is complete.
pub(super) struct ReadyEnd(pub(super) Box<RequestState>);

impl OnSent for ReadyEnd {
    fn sent(&mut self, bytes: u64) {
        self.0.record.facts.bytes_out = bytes;
        self.0.record.facts.end = End::Complete;
    }
}
