//! `lockgate record`: forwards to a service and writes a case for each distinct error that the service answers.
//!
//! The gateway itself forwards; a tap on its connections sees what the service said. Nothing that looks like a credential is written.

mod clean;
mod tap;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use self::tap::{Exchange, Tap};
use super::args::{EX_CONFIG, RecordArgs};
use super::cases::bench;
use super::cases::case::Case;
use super::cases::write;
use super::output::{self, Style};
use super::run::{Stop, cannot_start, fail};
use super::source::{Reported, Source};
use crate::app::StartError;
use crate::gateway::CurrentGateway;
use crate::limit::inflight::InFlight;
use crate::observe::writer::Sink;
use crate::plan::Plan;
use crate::redact::Redactor;
use crate::server::listen::{self, Closer, Listener, ListenerSettings, SURPLUS};
use crate::text::bounded;
use crate::upstream::connect::connector::Connector;
use crate::upstream::connect::resolve::Resolver;

/// Exchanges that wait to be written. More are dropped.
const QUEUE: usize = 256;
/// How often idle connections to the service are closed.
const UPKEEP: Duration = Duration::from_millis(500);
/// The time of the last responses when the recorder stops.
const LAST_RESPONSES: Duration = Duration::from_secs(2);
/// Most internals of an error that a case names, and the bytes that each of them has.
const INTERNALS: usize = 3;
const SHORT: usize = 6;
const LONG: usize = 60;
/// The configuration that the cases name, if none is given, in the folder of the cases.
const OWN_CONFIG: &str = "config/lockgate.toml";

pub(super) fn record(args: &RecordArgs) -> ExitCode {
    let forwarding = Source::of_url(&args.to);
    let prepared = forwarding.compile().and_then(|plan| Cases::prepare(args, &forwarding).map(|cases| (plan, cases)));
    let Ok((plan, cases)) = prepared else { return ExitCode::from(EX_CONFIG) };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let code = runtime.block_on(run(args, plan, cases));
    runtime.shutdown_background();
    code
}

async fn run(args: &RecordArgs, plan: Plan, mut cases: Cases) -> ExitCode {
    let Ok(mut stop) = Stop::catch() else { return fail("cannot install signal handlers") };
    let sink = match Sink::start(std::io::sink(), Arc::clone(&plan.metrics.log_dropped)) {
        Ok(sink) => sink,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let socket = match listen::bind(args.listen, 1).map(|mut sockets| sockets.pop()) {
        Ok(Some(socket)) => socket,
        Ok(None) => return fail("cannot listen"),
        Err(source) => return cannot_start(&StartError::Bind { address: args.listen, source }),
    };
    let address = socket.local_addr().unwrap_or(args.listen);
    let (seen, mut exchanges) = mpsc::channel(QUEUE);
    let max = plan.listen.max_connections;
    let tap = Tap::new(Connector::new(Resolver::default()), seen);
    let gateway = bench::gateway(plan, Connector::through(Arc::new(tap)), &sink);
    let closer = Closer::default();
    let (alive, mut all_gone) = mpsc::channel(1);
    let connections = Arc::new(InFlight::new(max + SURPLUS));
    let settings = ListenerSettings { gateway: Arc::clone(&gateway), connections, alive };
    tokio::spawn(listen::accept(Listener { socket, secure: false, inherited: false, watched: closer.watch() }, settings));
    tokio::spawn(upkeep(Arc::clone(&gateway)));
    output::print(&format!("http://{address} forwards to {}; errors become cases in {}. Ctrl-C ends it.", args.to, cases.folder.display()));
    loop {
        tokio::select! {
            exchange = exchanges.recv() => match exchange {
                Some(exchange) => cases.take(exchange).await,
                None => break,
            },
            () = stop.wait() => break,
        }
    }
    gateway.core.lifecycle.closing();
    closer.close();
    let _ = tokio::time::timeout(LAST_RESPONSES, all_gone.recv()).await;
    while let Ok(exchange) = exchanges.try_recv() {
        cases.take(exchange).await;
    }
    cases.end(args)
}

/// Closes idle connections to the service, and sets the clock.
async fn upkeep(gateway: Arc<CurrentGateway>) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        let current = gateway.get();
        current.recorder.flush();
        gateway.core.wall.set();
        for endpoint in current.plan.destinations().flat_map(|backend| backend.endpoints()) {
            endpoint.pool.sweep(0, Instant::now());
        }
    }
}

/// The cases that are written.
struct Cases {
    folder: PathBuf,
    /// The configuration that says what clients get.
    config: Source,
    /// The configuration that a file of cases names.
    named: Option<&'static str>,
    known: HashSet<u64>,
    max: usize,
    written: usize,
    /// Distinct errors beyond the maximum.
    dropped: usize,
}

impl Cases {
    /// Makes the folder, and the configuration in it if none is given.
    fn prepare(args: &RecordArgs, forwarding: &Source) -> Result<Self, Reported> {
        let failed = |what: &Path, error: &std::io::Error| {
            output::print_error(&format!("error: cannot write {}: {error}", what.display()));
            Reported
        };
        std::fs::create_dir_all(&args.out).map_err(|error| failed(&args.out, &error))?;
        let (config, named) = match &args.config {
            Some(file) => (Source::read(file)?, None),
            None => {
                let path = args.out.join(OWN_CONFIG);
                if !path.exists() {
                    let folder = path.parent().unwrap_or(&args.out);
                    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
                    std::fs::write(&path, &forwarding.text).map_err(|error| failed(&path, &error))?;
                }
                (Source::read(&path)?, Some(OWN_CONFIG))
            }
        };
        config.compile()?;
        let (known, max) = (HashSet::new(), args.max);
        Ok(Self { folder: args.out.clone(), config, named, known, max, written: 0, dropped: 0 })
    }

    /// Writes a case for an error that is not known yet.
    async fn take(&mut self, exchange: Exchange) {
        let Some(cleaned) = clean::clean(exchange) else { return };
        if self.known.contains(&cleaned.likeness) {
            return;
        }
        if self.written >= self.max {
            self.dropped += 1;
            return;
        }
        self.known.insert(cleaned.likeness);
        match self.write(cleaned.case, &cleaned.slug).await {
            Ok(line) => {
                self.written += 1;
                output::print(&line);
            }
            Err(complaint) => output::print_error(&format!("error: {complaint}")),
        }
    }

    async fn write(&self, mut case: Case, slug: &str) -> Result<String, String> {
        let plan = self.config.plan().map_err(|_| "the configuration is not valid any more".to_owned())?;
        let got = bench::run(&case, plan).await?;
        let [reply] = case.replies.as_slice() else { return Err("an exchange has one response".into()) };
        let request = &case.request;
        let code = got.log["code"].as_str().unwrap_or_default();
        let became = format!("{} becomes {} {code}", reply.status, got.status);
        let path = request.path.split('?').next().unwrap_or_default().to_owned();
        case.name = format!("{} {path}: {}", request.method, became.trim_end());
        let mut text = String::from(
            "# Recorded by `lockgate record`. Credentials and the values of queries are ***; the request had no body or it is left out.\n\n",
        );
        if let Some(config) = self.named {
            text.push_str(&format!("config = {}\n\n", write::string(config)));
        }
        let (request, reply) = (write::request(request), write::reply(reply));
        let body = case.replies.first().map(|reply| String::from_utf8_lossy(&reply.body).into_owned()).unwrap_or_default();
        let expect = write::expect(&got, &internals(&body));
        text.push_str(&format!("[[cases]]\nname = {}\n\n{request}\n{reply}\n{expect}", write::string(&case.name)));
        let file = self.free(&format!("{}-{slug}", got.status));
        std::fs::write(&file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        Ok(format!("{}  {}", Style::of_output().status(got.status, &file.display().to_string()), case.name))
    }

    /// Returns a file that does not exist.
    fn free(&self, name: &str) -> PathBuf {
        let numbered = |number: usize| self.folder.join(if number == 1 { format!("{name}.toml") } else { format!("{name}-{number}.toml") });
        (1..).map(numbered).find(|file| !file.exists()).unwrap_or_else(|| numbered(0))
    }

    fn end(self, args: &RecordArgs) -> ExitCode {
        let (written, folder) = (self.written, self.folder.display());
        output::print(&format!("\n{written} {} written to {folder}", if written == 1 { "case" } else { "cases" }));
        if self.dropped > 0 {
            output::print(&format!("{} more errors were left out; --max raises the number of cases", self.dropped));
        }
        if written > 0 {
            let config = args.config.as_ref().map(|file| format!("--config {} ", file.display())).unwrap_or_default();
            output::print(&format!("look through them, then: lockgate test {config}{folder}"));
        }
        ExitCode::SUCCESS
    }
}

/// Returns the first internals of an error, which must stay inside.
fn internals(body: &str) -> Vec<&str> {
    let findings = Redactor::default().findings(body);
    let mut found: Vec<&str> = Vec::new();
    for finding in findings {
        let Some(text) = body.get(finding.span) else { continue };
        for part in text.lines().map(str::trim).filter(|line| line.len() >= SHORT && !line.contains("***")).map(|line| bounded(line, LONG))
        {
            if found.len() < INTERNALS && !found.contains(&part) {
                found.push(part);
            }
        }
    }
    found
}
