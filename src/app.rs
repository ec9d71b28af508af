//! The composition root: starts the gateway from a plan, owns its threads and tasks, and shuts them down in order.
//!
//! One thread per core with its own runtime serves requests; the caller's runtime serves the admin listener. The shutdown reports that the
//! gateway is not ready, waits `drain_delay`, rejects new requests and closes the listeners, and waits up to `drain_timeout` for requests
//! in flight. Must not know command-line arguments; `cli` does.

mod beside;
mod certificates;
mod collector;
mod core;
mod files;
mod http_client;
mod inherited;
mod journal;
mod listeners;
mod log;
pub mod notify;
mod receiver_words;
mod reload;
mod running;
pub mod service;
mod source;
mod start_error;
mod states;
mod telemetry;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

pub use self::log::open_log;
pub use self::source::{ConfigSource, Loaded, MAX_CONFIG, Rejected};
pub use self::start_error::StartError;

use self::core::{NextPlan, Worker};
use self::listeners::Listeners;
use self::notify::Notifiers;
use self::reload::Reloader;
use self::running::{Running, background};
use self::service::Pulse;
use self::telemetry::Exporters;
use crate::admin::page::live::Changes;
use crate::admin::{self, Reloads, RunningConfig};
use crate::context::WallClock;
use crate::gateway::{Core, Lifecycle};
use crate::journal::Journal;
use crate::limit::inflight::InFlight;
use crate::memory;
use crate::notify::event;
use crate::observe::recorder::LineSettings;
use crate::observe::trace::tracer::Tracer;
use crate::observe::writer::Sink;
use crate::plan::Plan;
use crate::server::listen::{Listener, SURPLUS};
use crate::upstream::attempt::Upstreams;
use crate::upstream::connect::connector::Connector;
use crate::upstream::connect::resolve::Resolver;

/// A running gateway.
#[derive(Debug)]
pub struct App {
    /// The addresses of the data listener, with the actual ports.
    pub addresses: Vec<SocketAddr>,
    /// The address of the listener for TLS, with the actual port.
    pub tls: Option<SocketAddr>,
    /// The address of the admin listener, with the actual port.
    pub admin: SocketAddr,
    /// Asks for reloads.
    pub reloads: Reloads,
    lifecycle: Arc<Lifecycle>,
    workers: Vec<JoinHandle<io::Result<bool>>>,
    /// The task that reloads, and the signal that ends it.
    reloading: (tokio::task::JoinHandle<Running>, oneshot::Sender<()>),
    /// The journal, to be closed at the end.
    journal: Option<Journal>,
    sink: Sink,
}

impl App {
    /// Starts the gateway with a plan that is not loaded again. Must be called within a runtime, which serves the admin listener. Log lines
    /// go to `sink`.
    ///
    /// # Errors
    /// Fails if an address cannot be bound or a thread cannot be created. Parts that were started before end with the runtime and the
    /// process.
    pub fn start(plan: Plan, sink: Sink, lines: LineSettings) -> Result<Self, StartError> {
        let source = ConfigSource::text("-".into(), String::new());
        Self::start_from(source, Loaded { plan, text: "".into(), name: "-".into(), files: BTreeSet::new() }, sink, lines)
    }

    /// Starts the gateway with a plan that was loaded from `source`, which is loaded again on request and when its files change.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_from(source: ConfigSource, loaded: Loaded, sink: Sink, lines: LineSettings) -> Result<Self, StartError> {
        let Loaded { plan, text, name, files } = loaded;
        let plan = Arc::new(plan);
        let (listeners, per_core) = Listeners::first(&plan.listen)?;
        plan.activate();
        let lifecycle = Arc::new(Lifecycle::default());
        let (reloads, requests) = Reloads::new(first_config(&plan, name, text, &source));
        let current = Arc::new(ArcSwap::from(Arc::clone(&plan)));
        let admin = listeners.bind_admin(plan.listen.admin, None, &plan.listen)?;
        let site = Arc::new(admin::Site::new(journal::gateway_name(), Changes::default()));
        let (events, queue) = event::queue(Arc::clone(&plan.metrics.notify.events_dropped));
        let journal = journal::start(plan.journal.as_ref(), &plan.metrics.journal, site.changes.clone(), events.clone())?;
        tokio::spawn(journal::sample_traffic(Arc::clone(&site.traffic), Arc::clone(&plan.metrics)));
        let pages = admin::Pages {
            plan: Arc::clone(&current),
            lifecycle: Arc::clone(&lifecycle),
            reloads: reloads.clone(),
            level: lines.level.clone(),
            journal: journal.clone(),
            site: Arc::clone(&site),
            turn: Arc::new(Semaphore::new(1)),
        };
        let admin = admin.serve(Arc::new(pages));
        let resolver = Resolver::default();
        let mut exporters = Exporters::new(resolver.clone());
        let tracer = exporters.tracer(plan.telemetry.as_ref(), &plan.metrics);
        let connections = Arc::new(InFlight::new(plan.listen.max_connections + SURPLUS));
        let parts = CoreParts {
            plan: &plan,
            lines: &lines,
            tracer,
            sink: &sink,
            connections: &connections,
            lifecycle: &lifecycle,
            journal: &journal,
            resolver: &resolver,
        };
        let (workers, cores, pulses) = parts.start(per_core)?;
        service::start_watchdog(pulses);
        let (addresses, tls) = (listeners.addresses(false).collect(), listeners.addresses(true).next());
        let background = background(&plan, &resolver, &events);
        let notifiers = Notifiers::start((events, queue), &current, journal.as_ref(), resolver.clone());
        let running = Running {
            plan: current,
            listeners,
            admin,
            cores,
            connections,
            resolver,
            lines,
            exporters,
            notifiers,
            sink: sink.clone(),
            background,
        };
        let admin = running.admin.bound;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(Reloader::new(running, reloads.clone(), source, files).run(requests, stopped));
        lifecycle.started();
        prepare_in_background();
        Ok(Self { addresses, tls, admin, reloads, lifecycle, workers, reloading: (task, stop), journal, sink })
    }

    /// Shuts down in order. Returns true if every request finished in time. When `stop_now` completes, the shutdown stops waiting.
    pub async fn shutdown(mut self, stop_now: impl Future<Output = ()>) -> bool {
        let (task, stop) = self.reloading;
        let _ = stop.send(());
        // The task only fails if it has panicked; then its listeners are closed already, as it owned them.
        let mut running = task.await.ok();
        let (delay, timeout) = running.as_ref().map_or_else(Default::default, |running| {
            let plan = running.plan.load();
            (plan.listen.drain_delay, plan.listen.drain_timeout)
        });
        service::stopping(delay.unwrap_or_default() + timeout);
        self.lifecycle.draining();
        tracing::info!(drain_delay_ms = delay.map_or(0, |delay| delay.as_millis() as u64), "draining: not ready, still serving requests");
        let mut stop_now = std::pin::pin!(stop_now);
        let mut stopped = false;
        if let Some(delay) = delay {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = &mut stop_now => stopped = true,
            }
        }
        // The lifecycle changes first, because a connection that learns of the end relies on it.
        self.lifecycle.closing();
        if let Some(running) = &mut running {
            running.listeners.close_all();
            running.cores.clear();
        }
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
        finish(running, self.journal.take()).await;
        let sink = self.sink.clone();
        let _ = tokio::task::spawn_blocking(move || sink.flush(Duration::from_secs(2))).await;
        drained
    }
}

/// Sends and writes what is left, each for a bounded time: first the journal, whose last entries the notifiers may tell.
async fn finish(running: Option<Running>, journal: Option<Journal>) {
    let Some(Running { exporters, notifiers, .. }) = running else { return journal::close(journal).await };
    let told = async {
        journal::close(journal).await;
        notifiers.flush().await;
    };
    tokio::join!(exporters.flush(), told);
}

/// Describes the configuration of the start.
fn first_config(plan: &Plan, name: Arc<str>, text: Arc<str>, source: &ConfigSource) -> RunningConfig {
    let version = Arc::clone(&plan.version);
    RunningConfig { version, name, text, folder: source.folder().into(), since: SystemTime::now(), needs_restart: Vec::new() }
}

/// What all cores are started with.
struct CoreParts<'a> {
    plan: &'a Arc<Plan>,
    lines: &'a LineSettings,
    tracer: Option<Tracer>,
    sink: &'a Sink,
    connections: &'a Arc<InFlight>,
    lifecycle: &'a Arc<Lifecycle>,
    journal: &'a Option<Journal>,
    resolver: &'a Resolver,
}

/// The threads of all cores, the senders of the plans that follow the first one, and the counts of their turns.
type Cores = (Vec<JoinHandle<io::Result<bool>>>, Vec<mpsc::Sender<NextPlan>>, Vec<Pulse>);

impl CoreParts<'_> {
    /// Starts the thread of each core with its listeners.
    fn start(&self, per_core: Vec<Vec<Listener>>) -> io::Result<Cores> {
        let via = via();
        let (mut workers, mut cores, mut pulses) = (Vec::new(), Vec::new(), Vec::new());
        for (number, listeners) in per_core.into_iter().enumerate() {
            let core = Core {
                upstreams: Upstreams { connector: Connector::new(self.resolver.clone()), core: number },
                via: via.clone(),
                lifecycle: Arc::clone(self.lifecycle),
                wall: WallClock::default(),
                over: Notify::new(),
                journal: self.journal.clone(),
            };
            let (plan, lines, tracer) = (Arc::clone(self.plan), self.lines.clone(), self.tracer.clone());
            let first = NextPlan { plan, lines, tracer, listeners, taken: oneshot::channel().0 };
            let pulse = Pulse::default();
            let (worker, plans) = Worker::new(core, first, self.sink.clone(), Arc::clone(self.connections), pulse.clone());
            workers.push(std::thread::Builder::new().name(format!("core-{number}")).spawn(move || worker.run())?);
            cores.push(plans);
            pulses.push(pulse);
        }
        Ok((workers, cores, pulses))
    }
}

/// Compiles the redaction patterns on a thread of their own, so that the gateway is ready before they are. An error that occurs earlier
/// waits for them.
fn prepare_in_background() {
    let prepare = || {
        crate::redact::prepare();
        memory::give_back();
    };
    drop(std::thread::Builder::new().name("prepare".into()).spawn(prepare));
}

/// Creates the `Via` value `1.1 lockgate-<random>`. The random part distinguishes this process, whose value means a loop, from other
/// gateways in the chain. The value is leaked: it is created once per process, and a static value is cheaper to copy into every request
/// than one with a reference count.
fn via() -> HeaderValue {
    HeaderValue::from_static(format!("1.1 lockgate-{:08x}", fastrand::u32(..)).leak())
}
