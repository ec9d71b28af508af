//! Hands failed requests to the journal.
//!
//! A success costs one comparison. Must not know how entries are made or stored.

use std::sync::Arc;

use tokio::time::Instant;

use crate::context::spans::AttemptEnd;
use crate::context::{RequestContext, Trail};
use crate::failure::Kind;
use crate::journal::observation::{Attempt, Said, Told};
use crate::journal::{Journal, Observation};
use crate::observe::access_record::{Evidence, Facts, Record, UpstreamSaid};
use crate::observe::recorder::Recorder;
use crate::plan::Plan;

/// Records requests, and hands those that failed to the journal.
struct Journaling {
    recorder: Arc<Recorder>,
    journal: Journal,
    /// The version of the configuration.
    config: Arc<str>,
}

/// Returns what gets the records of requests.
pub(super) fn records(journal: Option<&Journal>, plan: &Plan, recorder: &Arc<Recorder>) -> Arc<dyn Record> {
    let recorder = Arc::clone(recorder);
    match journal {
        None => recorder,
        Some(journal) => Arc::new(Journaling { recorder, journal: journal.clone(), config: Arc::clone(&plan.version) }),
    }
}

impl Record for Journaling {
    fn record(&self, context: &RequestContext, facts: &mut Facts) {
        self.recorder.record(context, facts);
        match facts.kind {
            // A client that leaves is no error of anyone.
            None | Some(Kind::ClientClosed) => {}
            Some(kind) => self.journal.observe(self.observation(kind, context, facts)),
        }
    }
}

impl Journaling {
    fn observation(&self, kind: Kind, context: &RequestContext, facts: &mut Facts) -> Observation {
        let Evidence { sent, body, said, told } = facts.evidence.take().map(|evidence| *evidence).unwrap_or_default();
        let said = said.map(|UpstreamSaid { headers, body, truncated, report }| Box::new(Said { headers, body, truncated, report }));
        let route = facts.route.as_deref();
        let name = |name: Option<&Arc<str>>| name.map_or_else(|| "-".into(), Arc::clone);
        Observation {
            id: context.id.clone(),
            trace: facts.trace,
            at: context.wall,
            took: facts.ended.unwrap_or_else(Instant::now).saturating_duration_since(context.arrival),
            upstream_time: facts.upstream_time,
            client: context.client,
            method: context.method.clone(),
            uri: context.uri.clone(),
            host: context.host().map(Into::into),
            version: context.version,
            headers: sent,
            body,
            route: name(route.map(|route| &route.name)),
            backend: name(route.map(|route| &route.backend)),
            endpoint: facts.trail.endpoint.clone(),
            attempts: attempts(&facts.trail, context.arrival),
            kind,
            code: facts.logged_code().to_owned().into(),
            status: facts.logged_status(),
            received: facts.received,
            cause: facts.cause.take(),
            said,
            told: told.map(|(headers, body)| Box::new(Told { headers, body })),
            config: Arc::clone(&self.config),
        }
    }
}

/// Returns the failed attempts.
fn attempts(trail: &Trail, arrival: Instant) -> Vec<Attempt> {
    let one = |failed: &crate::context::FailedAttempt| {
        let (status, kind) = match failed.outcome {
            AttemptEnd::Answered(status) => (Some(status), None),
            AttemptEnd::Failed(kind) => (None, Some(kind)),
            AttemptEnd::Abandoned => (None, None),
        };
        Attempt {
            endpoint: failed.endpoint.clone(),
            begin: failed.begin.saturating_duration_since(arrival),
            connect: failed.connect,
            took: failed.end.saturating_duration_since(failed.begin),
            status,
            kind,
        }
    };
    trail.failed.iter().map(one).collect()
}
