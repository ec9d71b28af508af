//! Keeps what the journal shows of an error: what the upstream was sent, what it said, and what the client is told.
//!
//! Without a journal, nothing is kept. Must not know what becomes of it.

use bytes::Bytes;

use super::outcome::UpstreamError;
use super::state::Gateway;
use crate::header::HeaderList;
use crate::observe::access_record::{Facts, UpstreamSaid};
use crate::report::Report;
use crate::upstream::attempt::outgoing::OutgoingRequest;
use crate::upstream::attempt::response::UpstreamResponse;

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
