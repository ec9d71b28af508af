//! Routes with `dry_run`: what an upstream sends passes as it is, and the record says what the client would have been told.
//!
//! Failures of the gateway itself are told as on any route, because there is nothing else that could pass.

use std::sync::Arc;

use bytes::Bytes;

use super::build_envelope::build_envelope;
use super::evidence;
use super::outcome::{Content, DryRun, ErrorOutcome, Passed};
use super::prepared::Prepared;
use super::read::{broken_off, described, reading_clocks};
use super::request::{Request, RequestState};
use super::state::Gateway;
use crate::body::Incoming as _;
use crate::failure::Kind;
use crate::header::HeaderList;
use crate::limit::reserve::Reserve;
use crate::observe::access_record::WouldBe;
use crate::plan::Route;
use crate::policy::Mode;
use crate::redact::Redactor;
use crate::relay::{Beyond, Collected, collect};

/// The longest message that the record keeps, in characters.
const MAX_MESSAGE: usize = 500;

/// Reads an error as on any route, and lets it pass.
pub(super) async fn error(
    kind: Kind,
    mut response: Prepared,
    route: &Route,
    (mode, buffers): (Mode, &Arc<Reserve>),
    request: Request<'_>,
) -> Result<Passed, ErrorOutcome> {
    let status = response.status.as_u16();
    if response.body.is_end_stream() {
        let read = Collected { bytes: Vec::new(), truncated: false, ended: true, failure: None };
        let outcome = described(kind, (status, response.headers.clone()), read, (route, mode), request);
        return Ok(response.stream().in_dry_run(outcome));
    }
    let most = route.policy.errors.max_body;
    let memory = buffers.take(response.holds(most));
    let most = if memory.is_some() { most } else { 0 };
    let read = collect(&mut response.body, most, reading_clocks(&route.policy, response.clocks), Beyond::Keep).await;
    match read.failure {
        // A body that takes its time goes on.
        Some(failure) if !failure.kind.row().clock => return Err(broken_off(failure).into()),
        Some(_) | None => {}
    }
    let copy = Collected { bytes: read.bytes.clone(), failure: None, ..read };
    let outcome = described(kind, (status, response.headers.clone()), copy, (route, mode), request);
    let bytes = match memory {
        Some(memory) => memory.hold(read.bytes),
        None => Bytes::from(read.bytes),
    };
    let passed = if read.truncated {
        response.stream_after(bytes.into())
    } else {
        Passed { status: response.status, headers: response.headers, content: Content::Ready(bytes) }
    };
    Ok(passed.in_dry_run(outcome))
}

impl Gateway {
    /// Records what the client would have been told, and returns what it gets.
    pub(super) fn note_dry_run(&self, passed: Passed, state: &mut RequestState) -> Passed {
        let Content::DryRun(dry_run) = passed.content else { return passed };
        let DryRun { content, outcome: ErrorOutcome { mut failure, upstream: said } } = *dry_run;
        let passed = Passed { content, ..passed };
        let upstream = said.as_deref();
        self.record(&mut failure, upstream, &mut state.record.facts);
        let Some(route) = state.route.clone() else { return passed };
        let envelope = build_envelope(&mut failure, upstream, (&route.policy, self.plan.mode), &route.presenter, state);
        // A page that may be shown as it is would have passed as well.
        let is_told = upstream.is_none_or(|upstream| upstream.page.is_none());
        state.record.facts.dry_run = Some(Box::new(WouldBe {
            status: envelope.status.as_u16(),
            code: is_told.then_some(envelope.code),
            message: is_told.then(|| envelope.message.as_str().chars().take(MAX_MESSAGE).collect()),
            redactions: upstream.map(|upstream| redactions(upstream.body.raw(), &route.presenter.redactor)).unwrap_or_default(),
        }));
        // The client gets what the upstream said.
        evidence::keep_told(self, &mut state.record.facts, said, &HeaderList::new(), &Bytes::new());
        passed
    }
}

/// The families of the internals in a body, with the number of each.
fn redactions(body: &str, redactor: &Redactor) -> Vec<(&'static str, usize)> {
    let mut found: Vec<(&'static str, usize)> = Vec::new();
    for finding in redactor.findings(body) {
        let word = finding.family.word();
        match found.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => found.push((word, 1)),
        }
    }
    found
}
