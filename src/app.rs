//! The composition root: starts the gateway from a plan, owns its threads and tasks, and shuts them down in order.
//!
//! One thread per core with its own runtime serves requests; the caller's runtime serves the admin listener. The shutdown reports that the
//! gateway is not ready, waits `drain_delay`, rejects new requests and closes the listeners, and waits up to `drain_timeout` for requests
//! in flight. Must not know command-line arguments; `cli` does.

mod certificates;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
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
use crate::upstream::background;
use crate::upstream::connect::connector::Connector;
use crate::upstream::connect::resolve::Resolver;

/// The time to send the last error responses after `drain_timeout` has passed.
const FINAL_RESPONSES: Duration = Duration::from_millis(500);
/// Turns of a core's tasks before its runtime ends.
const FAREWELL_TURNS: usize = 4;
/// The interval at which a core passes its log lines to the writer.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// The number of flushes between two sweeps, which close expired upstream connections, evict idle rate-limit keys and release memory.
const SWEEP_EVERY: u32 = 5;

/// The reason why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A thread or a runtime cannot be created.
    #[error("cannot start a worker: {0}")]
    Worker(#[from] io::Error),
}

impl StartError {
    /// Returns a text that tells the operator how to remove the cause. The text is empty if no remedy is known.
    pub fn help(&self) -> String {
        let Self::Bind { address, source } = self else { return String::new() };
        let port = address.port();
        match source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "another process has the port: `ss -ltnp 'sport = :{port}'` shows which one. Stop it, or choose another port with `listen` or `admin`"
            ),
            io::ErrorKind::PermissionDenied => format!(
                "port {port} needs a privilege: choose one from 1024, or allow it with `setcap cap_net_bind_service=+ep` on the binary, \
                 `AmbientCapabilities=CAP_NET_BIND_SERVICE` in systemd, or `-p {port}:8080` of the container"
            ),
            io::ErrorKind::AddrNotAvailable => {
                format!("no interface of this machine has the address {}: 0.0.0.0 and [::] stand for all", address.ip())
            }
            _ => String::new(),
        }
    }
}

/// A running gateway.
#[derive(Debug)]
pub struct App {
    /// The addresses of the data listener, with the actual ports.
    pub addresses: Vec<SocketAddr>,
    /// The address of the listener for TLS, with the actual port.
    pub tls: Option<SocketAddr>,
    /// The address of the admin listener, with the actual port.
    pub admin: SocketAddr,
    plan: Arc<Plan>,
    lifecycle: Arc<Lifecycle>,
    closing: watch::Sender<bool>,
    workers: Vec<JoinHandle<io::Result<bool>>>,
    /// The background tasks of backends (name resolution and probes), on the caller's runtime. They end when this is dropped.
    _background: tokio::task::JoinSet<()>,
    sink: Sink,
}

/// A listening socket of one core.
struct Listener {
    socket: std::net::TcpListener,
    /// Connections begin with a TLS handshake.
    secure: bool,
}

/// Everything that one worker thread needs.
struct Worker {
    core: usize,
    plan: Arc<Plan>,
    lifecycle: Arc<Lifecycle>,
    via: HeaderValue,
    resolver: Resolver,
    recorder: Arc<Recorder>,
    listeners: Vec<Listener>,
    connections: Arc<InFlight>,
    closing: watch::Receiver<bool>,
}

impl App {
    /// Starts the gateway. Must be called within a runtime, which serves the admin listener. Log lines go to `sink`.
    ///
    /// # Errors
    /// Fails if an address cannot be bound or a thread cannot be created. Parts that were started before end with the runtime and the
    /// process.
    pub fn start(plan: Plan, sink: Sink, lines: LineSettings) -> Result<Self, StartError> {
        let plan = Arc::new(plan);
        let cores = plan.listen.workers;
        let mut per_core: Vec<Vec<Listener>> = (0..cores).map(|_| Vec::new()).collect();
        let mut addresses = Vec::new();
        for address in &plan.listen.http {
            addresses.extend(bind(*address, false, &mut per_core)?);
        }
        let tls = plan.listen.tls.as_ref().map(|tls| bind(tls.address, true, &mut per_core)).transpose()?.flatten();
        plan.activate();
        let lifecycle = Arc::new(Lifecycle::default());
        let (closing, watching) = watch::channel(false);
        let admin = admin::start(Arc::clone(&plan), Arc::clone(&lifecycle), lines.level.clone())
            .map_err(|source| StartError::Bind { address: plan.listen.admin, source })?;
        let via = via();
        let resolver = Resolver::default();
        let connections = Arc::new(InFlight::new(plan.listen.max_connections + SURPLUS));
        let mut tasks = tokio::task::JoinSet::new();
        for backend in plan.destinations() {
            tasks.spawn(background::watch(Arc::clone(backend), resolver.clone()));
        }
        if let Some(listener) = &plan.listen.tls {
            tasks.spawn(certificates::watch(Arc::clone(&listener.certificates), Arc::clone(&plan.metrics)));
        }
        let mut app = Self { addresses, tls, admin, plan, lifecycle, closing, workers: Vec::new(), _background: tasks, sink };
        for (core, listeners) in per_core.into_iter().enumerate() {
            let plan = Arc::clone(&app.plan);
            let recorder = Recorder::new(core, Arc::clone(&plan.metrics), Arc::clone(&plan.no_route), lines.clone(), app.sink.clone());
            let (lifecycle, connections) = (Arc::clone(&app.lifecycle), Arc::clone(&connections));
            let (via, resolver, closing) = (via.clone(), resolver.clone(), watching.clone());
            let worker = Worker { core, plan, lifecycle, via, resolver, recorder: Arc::new(recorder), listeners, connections, closing };
            app.workers.push(std::thread::Builder::new().name(format!("core-{core}")).spawn(move || worker.run())?);
        }
        app.lifecycle.started();
        // The redaction patterns are compiled on a thread of their own, so that the gateway is ready before they are. An error that occurs
        // earlier waits for them.
        let prepare = || {
            crate::redact::prepare();
            memory::give_back();
        };
        drop(std::thread::Builder::new().name("prepare".into()).spawn(prepare));
        Ok(app)
    }

    /// Shuts down in order. Returns true if every request finished in time. When `stop_now` completes, the shutdown stops waiting.
    pub async fn shutdown(mut self, stop_now: impl Future<Output = ()>) -> bool {
        let listen = &self.plan.listen;
        self.lifecycle.draining();
        tracing::info!(
            drain_delay_ms = listen.drain_delay.map_or(0, |delay| delay.as_millis() as u64),
            "draining: not ready, still serving requests"
        );
        let mut stop_now = std::pin::pin!(stop_now);
        let mut stopped = false;
        if let Some(delay) = listen.drain_delay {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = &mut stop_now => stopped = true,
            }
        }
        // The lifecycle changes first, because a connection that reads the channel relies on it.
        self.lifecycle.closing();
        let _ = self.closing.send(true);
        let workers = std::mem::take(&mut self.workers);
        let joined = tokio::task::spawn_blocking(move || workers.into_iter().all(|worker| matches!(worker.join(), Ok(Ok(true)))));
        let drained = match stopped {
            true => false,
            false => tokio::select! {
                drained = joined => drained.unwrap_or(false),
                () = &mut stop_now => false,
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

/// Binds a listener of every core to an address. Returns the address with the actual port.
fn bind(address: SocketAddr, secure: bool, per_core: &mut [Vec<Listener>]) -> Result<Option<SocketAddr>, StartError> {
    let sockets = listen::bind(address, per_core.len()).map_err(|source| StartError::Bind { address, source })?;
    let bound = sockets.first().and_then(|socket| socket.local_addr().ok());
    for (core, socket) in per_core.iter_mut().zip(sockets) {
        core.push(Listener { socket, secure });
    }
    Ok(bound)
}

/// Creates the `Via` value `1.1 lockgate-<random>`. The random part distinguishes this process, whose value means a loop, from other
/// gateways in the chain. The value is leaked: it is created once per process, and a static value is cheaper to copy into every request
/// than one with a reference count.
fn via() -> HeaderValue {
    HeaderValue::from_static(format!("1.1 lockgate-{:08x}", fastrand::u32(..)).leak())
}

impl Worker {
    /// Serves requests on a new runtime until the shutdown is complete. Returns true if every connection ended by itself.
    fn run(self) -> io::Result<bool> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let recorder = Arc::clone(&self.recorder);
        let drained = runtime.block_on(self.serve());
        // Requests that did not finish in time are dropped here; their log lines are written as well.
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
            let Listener { socket, secure } = listener;
            accepting.spawn(listen::accept(socket, secure, Arc::clone(&gateway), shared.clone()));
        }
        drop(shared);
        while let Some(ended) = accepting.join_next().await {
            if let Ok(Err(error)) = ended {
                tracing::error!(%error, "a listener failed");
            }
        }
        let drained = tokio::time::timeout(drain_timeout, all_gone.recv()).await.is_ok();
        if !drained {
            // A request without any response byte gets an error response; a response that has begun is aborted.
            gateway.over.notify_waiters();
            let _ = tokio::time::timeout(FINAL_RESPONSES, all_gone.recv()).await;
        }
        upkeep.abort();
        leave(&self.plan, self.core).await;
        drained
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
            for endpoint in plan.destinations().flat_map(|backend| backend.endpoints()) {
                endpoint.pool.sweep(core, now);
            }
            if burst_end.tick(plan.metrics.all_received()) {
                memory::give_back();
            }
        }
    }
}
