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
    /// One for the running configuration, and those of earlier ones that have not ended.
    tasks: JoinSet<()>,
    /// The settings that new requests use, and the handle of their exporter.
    current: Option<(Arc<Telemetry>, Tracer)>,
    stop: watch::Sender<bool>,
    resolver: Resolver,
}

impl Exporters {
    pub(super) fn new(resolver: Resolver) -> Self {
        Self { tasks: JoinSet::new(), current: None, stop: watch::Sender::new(false), resolver }
    }

    /// Returns the handle for requests of a configuration with these settings; `None` without a collector. Settings that have not changed
    /// keep their exporter. That of other settings sends what is queued and ends, once the last request that uses it has ended.
    /// Must be called within the runtime that the exporters run on.
    pub(super) fn tracer(&mut self, settings: Option<&Arc<Telemetry>>, metrics: &Metrics) -> Option<Tracer> {
        // Those of earlier settings that have ended.
        while self.tasks.try_join_next().is_some() {}
        let kept = self.current.take().filter(|(current, _)| settings.is_some_and(|settings| settings.is_same(current)));
        self.current = kept.or_else(|| settings.map(|settings| (Arc::clone(settings), self.start(settings, metrics))));
        self.current.as_ref().map(|(_, tracer)| tracer.clone())
    }

    /// Starts an exporter.
    fn start(&mut self, settings: &Arc<Telemetry>, metrics: &Metrics) -> Tracer {
        let queue = Arc::new(Queue::new(metrics.traces.clone()));
        let resource = Resource::new(settings.resource.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let collector = HttpCollector::new(Arc::clone(settings), self.resolver.clone());
        self.tasks.spawn(export(Arc::clone(&queue), resource, collector, self.stop.subscribe()));
        Tracer::new(settings.choice, queue)
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
