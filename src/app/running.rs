//! What runs: the plan, the listeners, the cores and the background tasks, and the change from one plan to the next.
//!
//! One task owns this value, so changes happen one after the other. Must not know why a plan changes.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::certificates;
use super::core::NextPlan;
use super::listeners::Listeners;
use super::log;
use super::notify::Notifiers;
use super::start_error::StartError;
use super::telemetry::Exporters;
use crate::admin::AdminListener;
use crate::limit::inflight::InFlight;
use crate::notify::event::Events;
use crate::observe::recorder::LineSettings;
use crate::observe::writer::Sink;
use crate::plan::Plan;
use crate::server::listen::{Listener, SURPLUS};
use crate::upstream::background;
use crate::upstream::connect::resolve::Resolver;

/// The time within which a core takes a new plan. It takes microseconds unless the machine is overloaded.
const TAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What runs.
#[derive(Debug)]
pub(super) struct Running {
    /// The plan of new requests.
    pub(super) plan: Arc<ArcSwap<Plan>>,
    pub(super) listeners: Listeners,
    pub(super) admin: AdminListener,
    /// One sender of plans per core.
    pub(super) cores: Vec<mpsc::Sender<NextPlan>>,
    pub(super) connections: Arc<InFlight>,
    pub(super) resolver: Resolver,
    pub(super) lines: LineSettings,
    /// The export of traces.
    pub(super) exporters: Exporters,
    /// Who is told of failures.
    pub(super) notifiers: Notifiers,
    pub(super) sink: Sink,
    /// The background tasks of the plan, on the caller's runtime. They end when this is dropped.
    pub(super) background: JoinSet<()>,
}

impl Running {
    /// Replaces the running plan, and returns it once every new request gets the new one.
    ///
    /// # Errors
    /// Fails if an address cannot be bound or the log file cannot be written; then nothing has changed.
    pub(super) async fn apply(&mut self, plan: Plan) -> Result<Arc<Plan>, StartError> {
        // The file first: a client that connects to a new listener must not be let down.
        let (running, log) = (self.plan.load_full(), plan.log.clone());
        let opened = tokio::task::spawn_blocking(move || log::next_outputs(&running.log, &log)).await;
        let outputs = opened.map_err(std::io::Error::other)??;
        let own_admin = Some(self.admin.configured);
        let mut bound = self.listeners.bind(&plan.listen, own_admin)?;
        let admin = match plan.listen.admin == self.admin.configured {
            true => None,
            false => Some(self.listeners.bind_admin(plan.listen.admin, own_admin, &plan.listen)?),
        };
        if let Some(outputs) = outputs {
            self.sink.redirect(outputs)?;
        }
        self.lines.level.configure(plan.log.level);
        self.lines = plan.log.lines(&self.lines.level, self.lines.terminal);
        let plan = Arc::new(plan);
        self.connections.set_max(plan.listen.max_connections + SURPLUS);
        self.hand_over(&plan, std::mem::take(&mut bound.per_core)).await;
        plan.activate();
        let before = self.plan.swap(Arc::clone(&plan));
        for address in bound.addresses() {
            tracing::info!(%address, "listening");
        }
        self.listeners.add(bound);
        if let Some(admin) = admin {
            self.admin.replace(admin);
        }
        self.listeners.close_removed(&plan.listen);
        self.notifiers.apply(&plan).await;
        self.background = background(&plan, &self.resolver, &self.notifiers.events);
        Ok(before)
    }

    /// Gives the plan to all cores, and waits until they use it.
    async fn hand_over(&mut self, plan: &Arc<Plan>, per_core: Vec<Vec<Listener>>) {
        let tracer = self.exporters.tracer(plan.telemetry.as_ref(), &plan.metrics);
        let mut waiting = Vec::new();
        for (core, listeners) in self.cores.iter().zip(per_core) {
            let (taken, is_taken) = oneshot::channel();
            let next = NextPlan { plan: Arc::clone(plan), lines: self.lines.clone(), tracer: tracer.clone(), listeners, taken };
            // A core without a receiver has ended with the process.
            if core.send(next).await.is_ok() {
                waiting.push(is_taken);
            }
        }
        for (core, is_taken) in waiting.into_iter().enumerate() {
            if tokio::time::timeout(TAKE_TIMEOUT, is_taken).await.is_err() {
                tracing::error!(core, "the core is too busy to take the new configuration; it will when it can");
            }
        }
    }
}

/// Starts the background tasks of a plan.
pub(super) fn background(plan: &Arc<Plan>, resolver: &Resolver, events: &Events) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for backend in plan.destinations() {
        tasks.spawn(background::watch(Arc::clone(backend), resolver.clone()));
    }
    match &plan.listen.tls {
        Some(listener) => {
            tasks.spawn(certificates::watch(Arc::clone(&listener.certificates), Arc::clone(&plan.metrics), events.clone()));
        }
        None => plan.metrics.tls.certificate_ends(std::iter::empty()),
    }
    tasks
}
