//! The thread of one core: its runtime, its listeners, its gateway, and its periodic tasks.
//!
//! A core takes each new plan by itself, so that nothing of a request is shared between cores. Must not know where a plan comes from.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::service::Pulse;
use crate::gateway::{self, CurrentGateway};
use crate::limit::RateLimit;
use crate::limit::inflight::InFlight;
use crate::limit::shared::StoreClient;
use crate::memory::{self, BurstEnd};
use crate::observe::recorder::{LineSettings, Recorder};
use crate::observe::trace::tracer::Tracer;
use crate::observe::writer::Sink;
use crate::plan::Plan;
use crate::server::listen::{self, Listener, ListenerSettings};

/// The time to send the last error responses after `drain_timeout` has passed.
const FINAL_RESPONSES: Duration = Duration::from_millis(500);
/// Turns of a core's tasks before its runtime ends.
const FAREWELL_TURNS: usize = 4;
/// The interval at which a core passes its log lines to the writer.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// The number of flushes between two sweeps, which close expired upstream connections, evict idle rate-limit keys and release memory.
const SWEEP_EVERY: u32 = 5;
/// The number of plans that may wait for a core. The reload waits for each plan to be taken, so there is never more than one.
const WAITING_PLANS: usize = 1;

/// A plan that a core is to take.
#[derive(Debug)]
pub(super) struct NextPlan {
    pub(super) plan: Arc<Plan>,
    pub(super) lines: LineSettings,
    /// Begins the spans of its requests.
    pub(super) tracer: Option<Tracer>,
    /// Listeners that this core has in addition from now on.
    pub(super) listeners: Vec<Listener>,
    /// Told when requests of this core use the plan.
    pub(super) taken: oneshot::Sender<()>,
}

/// Everything that the thread of one core needs.
pub(super) struct Worker {
    pub(super) core: gateway::Core,
    pub(super) first: NextPlan,
    pub(super) sink: Sink,
    pub(super) connections: Arc<InFlight>,
    pulse: Pulse,
    plans: mpsc::Receiver<NextPlan>,
}

impl Worker {
    /// Creates the worker of a core, and the sender of the plans that follow the first one. The worker ends when the sender is dropped and
    /// its listeners are closed.
    pub(super) fn new(
        core: gateway::Core,
        first: NextPlan,
        sink: Sink,
        connections: Arc<InFlight>,
        pulse: Pulse,
    ) -> (Self, mpsc::Sender<NextPlan>) {
        let (sender, plans) = mpsc::channel(WAITING_PLANS);
        (Self { core, first, sink, connections, pulse, plans }, sender)
    }

    /// Serves requests on a new runtime until the shutdown is complete. Returns true if every connection ended by itself.
    pub(super) fn run(self) -> io::Result<bool> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (drained, gateway) = runtime.block_on(self.serve());
        // Requests that did not finish in time are dropped here; their log lines are written as well.
        drop(runtime);
        gateway.get().recorder.flush();
        Ok(drained)
    }

    async fn serve(self) -> (bool, Arc<CurrentGateway>) {
        let Self { core, first, sink, connections, pulse, mut plans } = self;
        let NextPlan { plan, lines, tracer, listeners, taken } = first;
        let recorder = Recorder::new(core.upstreams.core, Arc::clone(&plan.metrics), Arc::clone(&plan.no_route), lines, sink);
        let gateway = Arc::new(CurrentGateway::new(Arc::new(core), Arc::clone(&plan), store_client(&plan), Arc::new(recorder), tracer));
        drop(plan);
        let (alive, mut all_gone) = mpsc::channel::<Infallible>(1);
        let upkeep = tokio::spawn(upkeep(Arc::clone(&gateway), pulse));
        let settings = ListenerSettings { gateway: Arc::clone(&gateway), connections, alive };
        let mut accepting = JoinSet::new();
        let listen = |listeners: Vec<Listener>, accepting: &mut JoinSet<_>| {
            for listener in listeners {
                accepting.spawn(listen::accept(listener, settings.clone()));
            }
        };
        listen(listeners, &mut accepting);
        let _ = taken.send(());
        loop {
            tokio::select! {
                Some(NextPlan { plan, lines, tracer, listeners, taken }) = plans.recv() => {
                    take(&gateway, plan, lines, tracer);
                    listen(listeners, &mut accepting);
                    let _ = taken.send(());
                }
                Some(ended) = accepting.join_next() => {
                    if let Ok(Err(error)) = ended {
                        tracing::error!(%error, "a listener failed");
                    }
                }
                // No plan follows, and no listener is open.
                else => break,
            }
        }
        drop(settings);
        let drain_timeout = gateway.get().plan.listen.drain_timeout;
        let drained = tokio::time::timeout(drain_timeout, all_gone.recv()).await.is_ok();
        if !drained {
            // A request without any response byte gets an error response; a response that has begun is aborted.
            gateway.core.over.notify_waiters();
            let _ = tokio::time::timeout(FINAL_RESPONSES, all_gone.recv()).await;
        }
        upkeep.abort();
        leave(&gateway.get().plan, gateway.core.upstreams.core).await;
        (drained, gateway)
    }
}

/// Returns a client of the shared store, which begins to connect.
fn store_client(plan: &Plan) -> Option<StoreClient> {
    let client = plan.store.as_ref().map(|store| StoreClient::new(store.address.clone()));
    client.iter().for_each(StoreClient::connect);
    client
}

/// Makes a plan the one of the next request.
fn take(current: &CurrentGateway, plan: Arc<Plan>, lines: LineSettings, tracer: Option<Tracer>) {
    let before = current.get();
    let same_store = plan.store.as_ref().map(|store| &store.address) == before.plan.store.as_ref().map(|store| &store.address);
    let shared = if same_store { before.shared.clone() } else { store_client(&plan) };
    let recorder = before.recorder.successor(Arc::clone(&plan.no_route), lines);
    retire_removed(&before.plan, &plan, current.core.upstreams.core);
    current.replace(plan, shared, recorder, tracer);
}

/// Tells the endpoints that a new plan does not have that this core's HTTP/2 connections to them get no further requests.
fn retire_removed(before: &Plan, plan: &Plan, core: usize) {
    let kept: Vec<_> = plan.destinations().flat_map(|backend| backend.endpoints()).collect();
    let removed = before.destinations().flat_map(|backend| backend.endpoints());
    for endpoint in removed.filter(|endpoint| endpoint.pool.multiplex().is_some()) {
        if !kept.iter().any(|kept| Arc::ptr_eq(kept, &endpoint)) {
            endpoint.pool.multiplex().iter().for_each(|multiplex| multiplex.retire(core));
        }
    }
}

/// Tells the endpoints of this core's HTTP/2 connections that the gateway leaves.
async fn leave(plan: &Plan, core: usize) {
    for endpoint in plan.backends.iter().flat_map(|backend| backend.endpoints()) {
        endpoint.pool.multiplex().iter().for_each(|multiplex| multiplex.retire(core));
    }
    // Each turn lets the tasks of the connections run, which write to a socket that takes a frame at once.
    for _ in 0..FAREWELL_TURNS {
        tokio::task::yield_now().await;
    }
}

/// Runs the periodic tasks of a core: flushes log lines, sets the wall clock, closes expired upstream connections, evicts idle rate-limit
/// keys and releases free memory.
async fn upkeep(current: Arc<CurrentGateway>, pulse: Pulse) {
    let core = current.core.upstreams.core;
    let mut tick = tokio::time::interval(FLUSH_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0u32;
    let mut burst_end = BurstEnd::default();
    loop {
        tick.tick().await;
        pulse.beat();
        let gateway = current.get();
        gateway.recorder.flush();
        current.core.wall.set();
        ticks = ticks.wrapping_add(1);
        if ticks.is_multiple_of(SWEEP_EVERY) {
            let (now, plan) = (Instant::now(), &gateway.plan);
            if core == 0 {
                plan.limits.iter().filter_map(|limit| limit.rate.as_deref()).for_each(RateLimit::evict_idle);
            }
            for endpoint in plan.destinations().flat_map(|backend| backend.endpoints()) {
                endpoint.pool.sweep(core, now);
            }
            if burst_end.tick(plan.metrics.all_received()) {
                memory::give_back();
            }
        }
    }
}
