//! Composition root: builds the parts from a plan, owns threads and tasks, and shuts them down in order.
//!
//! One thread with its own runtime per core serves requests; the caller's runtime serves the admin listener. Shutdown: not
//! ready, wait `drain_delay`, refuse new requests and close the listeners, wait for the rest within `drain_timeout`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::admin;
use crate::context::WallClock;
use crate::gateway::{Gateway, Lifecycle};
use crate::limit::RateLimit;
use crate::limit::inflight::InFlight;
use crate::limit::shared::StoreClient;
use crate::memory::{self, BurstEnd};
use crate::observe::recorder::{LineSettings, Recorder};
use crate::observe::writer::Sink;
use crate::plan::Plan;
use crate::server::listen::{self, SURPLUS};
use crate::upstream::attempt::Upstreams;
use crate::upstream::background as upstream_watch;
use crate::upstream::connect::connector::Connector;
use crate::upstream::connect::resolve::Resolver;

/// How long the last answers of a drain that took too long may take to be written.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How often a core hands its log lines over.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Every so many flushes, idle upstream connections and rate-limit keys are looked through, and memory may go back.
const SWEEP_EVERY: u32 = 5;

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// As configured.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A thread or runtime cannot be had.
    #[error("cannot start a worker: {0}")]
    Worker(#[from] io::Error),
}

/// A running gateway.
#[derive(Debug)]
pub struct App {
    /// Data addresses, with the ports that were chosen.
    pub addresses: Vec<SocketAddr>,
    /// Admin address.
    pub admin: SocketAddr,
    plan: Arc<Plan>,
    lifecycle: Arc<Lifecycle>,
    closing: watch::Sender<bool>,
    workers: Vec<JoinHandle<io::Result<bool>>>,
    /// Names and probes, on the caller's runtime: they end with this.
    _watching: tokio::task::JoinSet<()>,
    sink: Sink,
}

/// What one worker thread gets.
struct Worker {
    core: usize,
    plan: Arc<Plan>,
    lifecycle: Arc<Lifecycle>,
    via: HeaderValue,
    resolver: Resolver,
    recorder: Arc<Recorder>,
    listeners: Vec<std::net::TcpListener>,
    connections: Arc<InFlight>,
    closing: watch::Receiver<bool>,
}

impl App {
    /// Starts everything. Must be called within a runtime: the admin listener lives there. Log lines go to `sink`.
    ///
    /// # Errors
    /// When an address or a thread cannot be had; what was started ends with the runtime and the process.
    pub fn start(plan: Plan, sink: Sink, lines: LineSettings) -> Result<Self, StartError> {
        let plan = Arc::new(plan);
        let cores = plan.listen.workers;
        let mut per_core: Vec<Vec<std::net::TcpListener>> = (0..cores).map(|_| Vec::new()).collect();
        let mut addresses = Vec::new();
        for address in &plan.listen.http {
            let listeners = listen::bind(*address, cores).map_err(|source| StartError::Bind { address: *address, source })?;
            addresses.extend(listeners.first().and_then(|listener| listener.local_addr().ok()));
            for (core, listener) in per_core.iter_mut().zip(listeners) {
                core.push(listener);
            }
        }
        plan.activate();
        let lifecycle = Arc::new(Lifecycle::default());
        let (closing, watching) = watch::channel(false);
        let admin = admin::start(Arc::clone(&plan), Arc::clone(&lifecycle))
            .map_err(|source| StartError::Bind { address: plan.listen.admin, source })?;
        let via = via();
        let resolver = Resolver::default();
        let connections = Arc::new(InFlight::new(plan.listen.max_connections + SURPLUS));
        let mut watchers = tokio::task::JoinSet::new();
        for backend in &plan.backends {
            watchers.spawn(upstream_watch::watch(Arc::clone(backend), resolver.clone()));
        }
        let mut app = Self { addresses, admin, plan, lifecycle, closing, workers: Vec::new(), _watching: watchers, sink };
        for (core, listeners) in per_core.into_iter().enumerate() {
            let plan = Arc::clone(&app.plan);
            let recorder = Recorder::new(core, Arc::clone(&plan.metrics), Arc::clone(&plan.no_route), lines, app.sink.clone());
            let (lifecycle, connections) = (Arc::clone(&app.lifecycle), Arc::clone(&connections));
            let (via, resolver, closing) = (via.clone(), resolver.clone(), watching.clone());
            let worker = Worker { core, plan, lifecycle, via, resolver, recorder: Arc::new(recorder), listeners, connections, closing };
            app.workers.push(std::thread::Builder::new().name(format!("core-{core}")).spawn(move || worker.run())?);
        }
        app.lifecycle.started();
        // Off the cores: a gateway is ready before its patterns are compiled, an error that comes first waits for them.
        let prepare = || {
            crate::redact::prepare();
            memory::give_back();
        };
        drop(std::thread::Builder::new().name("prepare".into()).spawn(prepare));
        Ok(app)
    }

    /// Shuts down in order; true when every request could finish in time. `hurry` ends the waiting early.
    pub async fn shutdown(mut self, hurry: impl Future<Output = ()>) -> bool {
        let listen = &self.plan.listen;
        self.lifecycle.draining();
        tracing::info!(
            drain_delay_ms = listen.drain_delay.map_or(0, |delay| delay.as_millis() as u64),
            "draining: not ready, still serving"
        );
        let mut hurry = std::pin::pin!(hurry);
        let mut hurried = false;
        if let Some(delay) = listen.drain_delay {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = &mut hurry => hurried = true,
            }
        }
        // In this order: a connection looks at the channel only once the lifecycle says so.
        self.lifecycle.closing();
        let _ = self.closing.send(true);
        let workers = std::mem::take(&mut self.workers);
        let joined = tokio::task::spawn_blocking(move || workers.into_iter().all(|worker| matches!(worker.join(), Ok(Ok(true)))));
        let drained = match hurried {
            true => false,
            false => tokio::select! {
                drained = joined => drained.unwrap_or(false),
                () = &mut hurry => false,
            },
        };
        match drained {
            true => tracing::info!("drained"),
            false => tracing::warn!("stopped with requests in flight"),
        }
        let sink = self.sink.clone();
        let _ = tokio::task::spawn_blocking(move || sink.flush(Duration::from_secs(2))).await;
        drained
    }
}

/// `1.1 lockgate-<random>`: other gateways in the chain are no loop, this process is. Made once in a process, so it may live for
/// ever: a value without a count of its owners costs nothing to copy into every request.
fn via() -> HeaderValue {
    HeaderValue::from_static(format!("1.1 lockgate-{:08x}", fastrand::u32(..)).leak())
}

impl Worker {
    /// Runs a runtime until the shutdown is over; true when every connection ended by itself.
    fn run(self) -> io::Result<bool> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let recorder = Arc::clone(&self.recorder);
        let drained = runtime.block_on(self.serve());
        // Requests that did not finish in time end here; their lines are written too.
        drop(runtime);
        recorder.flush();
        Ok(drained)
    }

    async fn serve(self) -> bool {
        let upstreams = Upstreams { connector: Connector::new(self.resolver), core: self.core };
        let drain_timeout = self.plan.listen.drain_timeout;
        let shared = self.plan.store.as_ref().map(|store| StoreClient::new(store.address.clone()));
        shared.iter().for_each(StoreClient::connect);
        let gateway = Arc::new(Gateway {
            plan: Arc::clone(&self.plan),
            shared,
            upstreams,
            recorder: Arc::clone(&self.recorder),
            via: self.via,
            lifecycle: self.lifecycle,
            wall: WallClock::default(),
            over: Notify::new(),
        });
        let (alive, mut all_gone) = mpsc::channel::<Infallible>(1);
        let shared = listen::ListenerSettings {
            connections: self.connections,
            max: self.plan.listen.max_connections,
            closing: self.closing.clone(),
            alive,
        };
        let upkeep = tokio::spawn(upkeep(Arc::clone(&gateway)));
        let mut accepting = tokio::task::JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(listen::accept(listener, Arc::clone(&gateway), shared.clone()));
        }
        drop(shared);
        while let Some(ended) = accepting.join_next().await {
            if let Ok(Err(error)) = ended {
                tracing::error!(%error, "a listener ended");
            }
        }
        let drained = tokio::time::timeout(drain_timeout, all_gone.recv()).await.is_ok();
        if !drained {
            // A request that has sent no byte of its response yet gets an error; a response under way is aborted.
            gateway.over.notify_waiters();
            let _ = tokio::time::timeout(LAST_WORDS, all_gone.recv()).await;
        }
        upkeep.abort();
        drained
    }
}

/// The core's regular work: log lines go out, the wall clock is set, idle upstream connections whose time
/// is over go away, and memory that nobody needs goes back.
async fn upkeep(gateway: Arc<Gateway>) {
    let (plan, core) = (&gateway.plan, gateway.upstreams.core);
    let mut tick = tokio::time::interval(FLUSH_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0u32;
    let mut burst_end = BurstEnd::default();
    loop {
        tick.tick().await;
        gateway.recorder.flush();
        gateway.wall.set();
        ticks = ticks.wrapping_add(1);
        if ticks.is_multiple_of(SWEEP_EVERY) {
            let now = Instant::now();
            if core == 0 {
                plan.limits.iter().filter_map(|limit| limit.rate.as_deref()).for_each(RateLimit::evict_idle);
            }
            for endpoint in plan.backends.iter().flat_map(|backend| backend.endpoints()) {
                endpoint.pool.sweep(core, now);
            }
            if burst_end.tick(plan.metrics.all_received()) {
                memory::give_back();
            }
        }
    }
}

/// A sink on standard output, counting into the plan's metrics.
///
/// # Errors
/// When no thread can be started.
pub fn stdout_sink(dropped: &Arc<AtomicU64>) -> io::Result<Sink> {
    Sink::start(io::stdout(), Arc::clone(dropped))
}
