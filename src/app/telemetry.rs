//! The export of traces: one exporter for each configuration that has run, on the caller's runtime. Must not know requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::collector::HttpCollector;
use crate::observe::metrics::Metrics;
use crate::observe::trace::export::{Resource, export};
use crate::observe::trace::queue::Queue;
use crate::observe::trace::tracer::Tracer;
use crate::plan::Telemetry;
use crate::upstream::connect::resolve::Resolver;

/// How long the shutdown waits for the last spans to be sent.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The exporters that run. Dropping this ends them at once.
#[derive(Debug)]
pub(super) struct Exporters {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    resolver: Resolver,
}

impl Exporters {
    pub(super) fn new(resolver: Resolver) -> Self {
        Self { tasks: JoinSet::new(), stop: watch::Sender::new(false), resolver }
    }

    /// Starts an exporter with these settings. Returns the handle for new requests; `None` without a collector. Once the last copy of the
    /// handle is dropped, the exporter sends what is queued and ends, so that a new configuration only has to start another one.
    /// Must be called within the runtime that the exporter is to run on.
    pub(super) fn start(&mut self, settings: Option<&Arc<Telemetry>>, metrics: &Metrics) -> Option<Tracer> {
        // Those of earlier configurations that have ended.
        while self.tasks.try_join_next().is_some() {}
        let settings = settings?;
        let queue = Arc::new(Queue::new(metrics.traces.clone()));
        let resource = Resource::new(settings.resource.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let collector = HttpCollector::new(Arc::clone(settings), self.resolver.clone());
        self.tasks.spawn(export(Arc::clone(&queue), resource, collector, self.stop.subscribe()));
        Some(Tracer::new(settings.choice, queue))
    }

    /// Sends what is queued, within a bounded time.
    pub(super) async fn flush(mut self) {
        let _ = self.stop.send(true);
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FLUSH_TIMEOUT, all_ended).await.is_err() {
            tracing::warn!("the last traces could not be sent in time");
        }
    }
}
