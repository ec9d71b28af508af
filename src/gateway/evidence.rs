//! Keeps what the journal shows of an error: what arrived or what the upstream was sent, what it said, and what the client is told.
//!
//! Without a journal, nothing is kept. Must not know what becomes of it.

use std::sync::Arc;

use bytes::Bytes;

use super::outcome::UpstreamError;
use super::state::Gateway;
use crate::body::{Excerpt, RequestBody};
use crate::header::HeaderList;
use crate::observe::access_record::{Facts, UpstreamSaid};
use crate::report::Report;
use crate::upstream::attempt::outgoing::OutgoingRequest;
use crate::upstream::attempt::response::UpstreamResponse;

/// Copies the beginning of a request's body as it passes, if the journal keeps that and there is memory for it.
pub(super) fn keep_body(gateway: &Gateway, facts: &mut Facts, headers: &HeaderList, body: RequestBody) -> RequestBody {
    let max = gateway.plan.journal.as_ref().map_or(0, |journal| journal.request_body);
    if max == 0 || gateway.core.journal.is_none() {
        return body;
    }
    let Some(share) = gateway.plan.buffers.take(max) else { return body };
    let excerpt = Arc::new(Excerpt::new(max, headers, share));
    facts.evidence.get_or_insert_default().body = Some(Arc::clone(&excerpt));
    body.copied(excerpt)
}

/// Keeps the headers of a request that is rejected.
pub(super) fn keep_arrived(gateway: &Gateway, facts: &mut Facts, headers: HeaderList) {
    if gateway.core.journal.is_some() {
        facts.evidence.get_or_insert_default().sent = headers;
    }
}

/// Keeps the headers that an upstream was sent, if it did not answer or answers with an error.
pub(super) fn keep_sent(gateway: &Gateway, facts: &mut Facts, outgoing: &mut OutgoingRequest, response: Option<&UpstreamResponse>) {
    if gateway.core.journal.is_some() && response.is_none_or(|response| response.status.as_u16() >= 400) {
        facts.evidence.get_or_insert_default().sent = std::mem::take(&mut outgoing.headers);
    }
}

/// Keeps what the upstream said and what the client is told.
pub(super) fn keep_told(gateway: &Gateway, facts: &mut Facts, upstream: Option<Box<UpstreamError>>, headers: &HeaderList, body: &Bytes) {
    if gateway.core.journal.is_none() {
        return;
    }
    let evidence = facts.evidence.get_or_insert_default();
    evidence.said = upstream.map(|upstream| {
        let UpstreamError { headers, report, body, truncated, .. } = *upstream;
        // A body that the client is not told of was not read.
        let report = Some(report).filter(|report| *report != Report::default());
        UpstreamSaid { headers, body: body.into_raw(), truncated, report }
    });
    evidence.told = Some((headers.clone(), body.clone()));
}
