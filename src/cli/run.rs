//! `lockgate run`: compiles the configuration, starts the log and the gateway, and drains on a signal.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::args::{EX_CONFIG, RunArgs};
use super::source::{Source, override_addresses};
use super::{log, output};
use crate::app::{App, StartError};
use crate::observe::writer::Sink;
use crate::plan::Plan;
use crate::policy::Mode;

pub(super) fn run(args: &RunArgs) -> ExitCode {
    let source = match &args.to {
        Some(url) => Ok(Source::to_url(url)),
        None => Source::find(args.config.as_deref()),
    };
    let Ok(mut plan) = source.and_then(|source| source.compile()) else { return ExitCode::from(EX_CONFIG) };
    if override_addresses(&mut plan, args.listen, args.admin).is_err() {
        return ExitCode::from(EX_CONFIG);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let code = runtime.block_on(serve(plan));
    // After a second signal, this does not wait for threads that still have connections.
    runtime.shutdown_background();
    code
}

pub(super) fn fail(text: &str) -> ExitCode {
    output::print_error(&format!("error: {text}"));
    ExitCode::FAILURE
}

pub(super) fn cannot_start(error: &StartError) -> ExitCode {
    fail_with_help(&error.to_string(), &error.help())
}

fn fail_with_help(text: &str, help: &str) -> ExitCode {
    let code = fail(text);
    if !help.is_empty() {
        output::print_error(&format!("help: {help}"));
    }
    code
}

async fn serve(plan: Plan) -> ExitCode {
    let sink = match log::open(&plan.log, &plan.metrics.log_dropped) {
        Ok(sink) => sink,
        Err(error) => return fail_with_help(&error.to_string(), &error.help()),
    };
    let lines = log::start(&plan.log, &sink);
    // The handlers are installed before the start, so that no signal ends the process without a drain.
    let (Ok(mut stop), Ok(()), Ok(())) = (Stop::catch(), survive_signals(), reopen_on_signal(&sink)) else {
        return fail("cannot install signal handlers");
    };
    let mode = plan.mode;
    let app = match App::start(plan, sink, lines) {
        Ok(app) => app,
        Err(error) => return cannot_start(&error),
    };
    for address in &app.addresses {
        tracing::info!(%address, admin = %app.admin, version = env!("CARGO_PKG_VERSION"), "listening");
    }
    if mode == Mode::Development {
        tracing::warn!("development mode: error responses show upstream errors, stack traces and addresses");
    }
    stop.wait().await;
    app.shutdown(stop.wait()).await;
    ExitCode::SUCCESS
}

/// The signals that drain and stop the gateway: SIGTERM, SIGINT and SIGQUIT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Stop {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}

/// Signals whose default action ends the process (signal(7), Linux): SIGALRM, SIGSTKFLT, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO and
/// SIGPWR.
const FATAL_BY_DEFAULT: [i32; 8] = [14, 16, 24, 25, 26, 27, 29, 30];
/// The real-time signals, whose default action ends the process as well.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// Opens the log file again on SIGUSR1, as logrotate asks for.
fn reopen_on_signal(sink: &Sink) -> io::Result<()> {
    let mut signal = signal(SignalKind::user_defined1())?;
    let sink = sink.clone();
    tokio::spawn(async move {
        while signal.recv().await.is_some() {
            tracing::info!(signal = "SIGUSR1", "the log file is to be opened again");
            sink.reopen();
        }
    });
    Ok(())
}

/// Keeps signals that do not report a crash from ending the process without a drain. SIGHUP and SIGUSR2, which have a meaning for other
/// servers, write a warning to the log.
fn survive_signals() -> io::Result<()> {
    // tokio keeps a handler installed after its listener is dropped, so these signals no longer end the process. Errors are ignored:
    // the C library reserves some of the real-time signals.
    for number in FATAL_BY_DEFAULT.into_iter().chain(REAL_TIME) {
        drop(signal(SignalKind::from_raw(number)));
    }
    for (name, kind) in [("SIGHUP", SignalKind::hangup()), ("SIGUSR2", SignalKind::user_defined2())] {
        let mut signal = signal(kind)?;
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                tracing::warn!(signal = name, "this version ignores the signal; SIGTERM drains and stops the gateway");
            }
        });
    }
    Ok(())
}
