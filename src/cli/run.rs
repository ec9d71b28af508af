//! `lockgate run`: loads the configuration, starts the log and the gateway, reloads and drains on signals.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::args::{EX_CONFIG, RunArgs};
use super::{log, output, source};
use crate::admin::{Cause, Reloads};
use crate::app::{App, ConfigSource, Loaded, StartError, open_log, service};
use crate::observe::writer::Sink;
use crate::policy::Mode;

pub(super) fn run(args: &RunArgs) -> ExitCode {
    let source = match &args.to {
        // The address is in the text, so that it is judged as one of a file.
        Some(url) => Ok(ConfigSource::text("--to".into(), source::to_url_on(url, args.listen)).with_addresses(None, args.admin)),
        None => source::find(args.config.as_deref()).map(|path| ConfigSource::file(path).with_addresses(args.listen, args.admin)),
    };
    let loaded = source.and_then(|source| source::load(&source).map(|loaded| (source, loaded)));
    let Ok((source, loaded)) = loaded else { return ExitCode::from(EX_CONFIG) };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let code = runtime.block_on(serve(source, loaded));
    // After a second signal, this does not wait for threads that still have connections.
    runtime.shutdown_background();
    code
}

pub(super) fn fail(text: &str) -> ExitCode {
    output::print_error(&format!("error: {text}"));
    ExitCode::FAILURE
}

pub(super) fn cannot_start(error: &StartError) -> ExitCode {
    let code = fail(&error.to_string());
    let help = error.help();
    if !help.is_empty() {
        output::print_error(&format!("help: {help}"));
    }
    code
}

async fn serve(source: ConfigSource, loaded: Loaded) -> ExitCode {
    let plan = &loaded.plan;
    let sink = match open_log(&plan.log, &plan.metrics.log_dropped) {
        Ok(sink) => sink,
        Err(error) => return cannot_start(&error),
    };
    let lines = log::start(&plan.log, &sink);
    // The handlers are installed before the start, so that no signal ends the process without a drain.
    let (Ok(mut stop), Ok(hangup), Ok(()), Ok(())) =
        (Stop::catch(), signal(SignalKind::hangup()), survive_signals(), reopen_on_signal(&sink))
    else {
        return fail("cannot install signal handlers");
    };
    let mode = plan.mode;
    let app = match App::start_from(source, loaded, sink, lines) {
        Ok(app) => app,
        Err(error) => return cannot_start(&error),
    };
    for address in app.addresses.iter().chain(&app.tls) {
        tracing::info!(%address, admin = %app.admin, version = env!("CARGO_PKG_VERSION"), "listening");
    }
    tokio::spawn(reload_on(hangup, app.reloads.clone()));
    if mode == Mode::Development {
        tracing::warn!("development mode: error responses show upstream errors, stack traces and addresses");
    }
    service::ready();
    stop.wait().await;
    app.shutdown(stop.wait()).await;
    ExitCode::SUCCESS
}

/// Reloads the configuration at each SIGHUP.
async fn reload_on(mut hangup: Signal, reloads: Reloads) {
    while hangup.recv().await.is_some() {
        service::reloading();
        // The outcome is in the log.
        let _ = reloads.reload(Cause::Signal).await;
        service::ready();
    }
}

/// The signals that drain and stop the gateway: SIGTERM, SIGINT and SIGQUIT.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Stop {
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    pub(super) async fn wait(&mut self) {
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

/// Keeps signals that do not report a crash from ending the process without a drain. SIGUSR2, which has a meaning for other
/// servers, writes a warning to the log.
fn survive_signals() -> io::Result<()> {
    // tokio keeps a handler installed after its listener is dropped, so these signals no longer end the process. Errors are ignored:
    // the C library reserves some of the real-time signals.
    for number in FATAL_BY_DEFAULT.into_iter().chain(REAL_TIME) {
        drop(signal(SignalKind::from_raw(number)));
    }
    let mut signal = signal(SignalKind::user_defined2())?;
    tokio::spawn(async move {
        while signal.recv().await.is_some() {
            tracing::warn!(signal = "SIGUSR2", "this version ignores the signal; SIGTERM drains and stops the gateway");
        }
    });
    Ok(())
}
