//! Connects events and panics to the log, and looks at what the standard streams can show.
//!
//! Must not know where lines are written; `app` does.

use std::io::{self, IsTerminal};
use std::time::SystemTime;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, reload};

use super::output;
use crate::admin::audit;
use crate::config::file::LogLevel;
use crate::observe::level::Level;
use crate::observe::pretty::time_of_day;
use crate::observe::recorder::{LineSettings, Terminal};
use crate::observe::writer::{EventWriter, Sink};
use crate::plan::Log;

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
    log.lines(&level, terminal(&io::stdout()))
}

fn terminal(stream: &impl IsTerminal) -> Terminal {
    Terminal { is_terminal: stream.is_terminal(), color: output::color_of(stream) }
}

/// Returns the filter of events. The audit is written at every level: who could change the level could do everything else unseen.
fn filter_of(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(level).with_target(audit::TARGET, LevelFilter::INFO)
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
