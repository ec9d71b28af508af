//! `lockgate run`: loads the configuration, starts the log and the gateway, reloads and drains on signals.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::SystemTime;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use super::args::{EX_CONFIG, RunArgs};
use super::output;
use super::source;
use crate::admin::{Cause, Reloads};
use crate::app::{self, App, ConfigSource, Loaded, StartError};
use crate::config::file::{LogFormat, LogLevel};
use crate::failure::catalog::Severity;
use crate::observe::access_log::Style;
use crate::observe::pretty::time_of_day;
use crate::observe::recorder::LineSettings;
use crate::observe::writer::{EventWriter, Sink};
use crate::plan::Log;
use crate::policy::Mode;

pub(super) fn run(args: &RunArgs) -> ExitCode {
    let source = match &args.to {
        Some(url) => Ok(ConfigSource::text("--to".into(), source::to_url(url))),
        None => source::find(args.config.as_deref()).map(ConfigSource::file),
    };
    let loaded = source.and_then(|source| {
        let source = source.with_addresses(args.listen, args.admin);
        source::load(&source).map(|loaded| (source, loaded))
    });
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
    let sink = match app::stdout_sink(&plan.metrics.log_dropped) {
        Ok(sink) => sink,
        Err(error) => return fail(&format!("cannot start the log: {error}")),
    };
    let lines = start_log(plan.log, &sink);
    // The handlers are installed before the start, so that no signal ends the process without a drain.
    let (Ok(mut stop), Ok(hangup), Ok(())) = (Stop::catch(), signal(SignalKind::hangup()), survive_signals()) else {
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
    stop.wait().await;
    app.shutdown(stop.wait()).await;
    ExitCode::SUCCESS
}

/// Reloads the configuration at each SIGHUP.
async fn reload_on(mut hangup: Signal, reloads: Reloads) {
    while hangup.recv().await.is_some() {
        // The outcome is in the log.
        let _ = reloads.reload(Cause::Signal).await;
    }
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

/// Keeps signals that do not report a crash from ending the process without a drain. SIGUSR1 and SIGUSR2, which have a meaning for other
/// servers, write a warning to the log.
fn survive_signals() -> io::Result<()> {
    // tokio keeps a handler installed after its listener is dropped, so these signals no longer end the process. Errors are ignored:
    // the C library reserves some of the real-time signals.
    for number in FATAL_BY_DEFAULT.into_iter().chain(REAL_TIME) {
        drop(signal(SignalKind::from_raw(number)));
    }
    for (name, kind) in [("SIGUSR1", SignalKind::user_defined1()), ("SIGUSR2", SignalKind::user_defined2())] {
        let mut signal = signal(kind)?;
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                tracing::warn!(signal = name, "this version ignores the signal; SIGTERM drains and stops the gateway");
            }
        });
    }
    Ok(())
}

/// Starts to write events to the sink. Returns the settings of access lines.
pub(super) fn start_log(log: Log, sink: &Sink) -> LineSettings {
    let level = match log.level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    };
    let style = match log.format {
        LogFormat::Json => Style::Json,
        LogFormat::Pretty => Style::Pretty { color: output::color_of(&std::io::stdout()) },
        LogFormat::Auto if std::io::stdout().is_terminal() => Style::Pretty { color: output::color_of(&std::io::stdout()) },
        LogFormat::Auto => Style::Json,
    };
    let builder = tracing_subscriber::fmt().with_max_level(level).with_target(false).with_writer(EventWriter(sink.clone()));
    // This fails if the process has a subscriber already, as in tests, which then stays in use.
    let _ = match style {
        Style::Json => tracing::subscriber::set_global_default(builder.json().flatten_event(true).with_current_span(false).finish()),
        Style::Pretty { color } => tracing::subscriber::set_global_default(builder.with_timer(TimeOfDay).with_ansi(color).finish()),
    };
    log_panics();
    let failures = match log.level {
        LogLevel::Error => Severity::Error,
        LogLevel::Warn => Severity::Warn,
        LogLevel::Info | LogLevel::Debug | LogLevel::Trace => Severity::Info,
    };
    LineSettings { access: log.access, failures, style }
}

/// The time of an event on a terminal: as in the lines of requests.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, out: &mut Writer<'_>) -> std::fmt::Result {
        let mut time = Vec::with_capacity(12);
        time_of_day(&mut time, SystemTime::now());
        out.write_str(&String::from_utf8_lossy(&time))
    }
}

/// Logs panics with their place. The text may contain bytes of a client, so it is written as a field, which the log escapes.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        tracing::error!(place, text = text.unwrap_or_default(), "panic");
    }));
}
