//! Starts the log: opens its outputs, and connects events to them. Changes both for a new configuration.
//!
//! Access lines are written to standard output or to a file. Events are written to standard output, or to standard error if the access
//! lines on standard output have a format in which there are no events. Must not know how lines are formatted; `observe` does.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, reload};

use super::output;
use crate::config::file::LogLevel;
use crate::observe::level::Level;
use crate::observe::log_file::{LogFile, OpenError};
use crate::observe::pretty::time_of_day;
use crate::observe::recorder::LineSettings;
use crate::observe::writer::{EventWriter, Output, Outputs, Sink};
use crate::plan::{Log, LogOutput, Terminal};

/// The reason why the log cannot be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    /// The file cannot be opened.
    #[error("{0}")]
    File(#[from] OpenError),
    /// The thread cannot be started.
    #[error("cannot start the log: {0}")]
    Thread(#[from] io::Error),
}

impl LogError {
    /// Returns a text that tells the operator how to remove the cause. The text is empty if no remedy is known.
    pub(super) fn help(&self) -> String {
        match self {
            Self::File(error) => error.help(),
            Self::Thread(_) => String::new(),
        }
    }
}

/// Opens the outputs and starts the thread that writes to them. `dropped` counts the lines that are dropped.
///
/// # Errors
/// Fails if the file cannot be written or no thread can be started.
pub(super) fn open(log: &Log, dropped: &Arc<AtomicU64>) -> Result<Sink, LogError> {
    Ok(Sink::start_with(outputs(log)?, Arc::clone(dropped))?)
}

/// Opens the outputs of a configuration, for the start or for [`Sink::redirect`]. Nothing changes before they are used.
///
/// # Errors
/// Fails if the file cannot be written.
pub(super) fn outputs(log: &Log) -> Result<Outputs, OpenError> {
    let lines = match &log.output {
        LogOutput::Standard => Output::Stream(Box::new(io::stdout())),
        LogOutput::File { path, rotation } => Output::File(LogFile::open(path, *rotation)?),
    };
    let events = log.separates_events().then(|| {
        let stream: Box<dyn io::Write + Send> = if log.events_to_stderr() { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        Output::Stream(stream)
    });
    Ok(Outputs { lines, events })
}

/// Starts to write events to the sink. Returns the settings of access lines, whose level also filters the events.
pub(super) fn start(log: &Log, sink: &Sink) -> LineSettings {
    let level = Level::new(log.level);
    let (filter, handle) = reload::Layer::new(filter_of(log.level));
    let stream = if log.events_to_stderr() { terminal(&io::stderr()) } else { terminal(&io::stdout()) };
    let layer = tracing_subscriber::fmt::layer().with_target(false).with_writer(EventWriter(sink.clone()));
    let layer: Box<dyn Layer<Registry> + Send + Sync> = if log.has_pretty_events(stream) {
        layer.with_timer(TimeOfDay).with_ansi(stream.color).boxed()
    } else {
        layer.json().flatten_event(true).with_current_span(false).boxed()
    };
    // This fails if the process has a subscriber already, as in tests, which then stays in use.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer).with(filter));
    level.connect(move |level| drop(handle.reload(filter_of(level))));
    log_panics();
    lines(log, &level)
}

/// Returns the settings of access lines.
pub(super) fn lines(log: &Log, level: &Level) -> LineSettings {
    log.lines(level, terminal(&io::stdout()))
}

fn terminal(stream: &impl IsTerminal) -> Terminal {
    Terminal { is_terminal: stream.is_terminal(), color: output::color_of(stream) }
}

const fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
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
