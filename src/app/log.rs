//! The outputs of the log: opens them at the start, and other ones for a new configuration.
//!
//! Access lines are written to standard output or to a file. Events are written to standard output, or to standard error if the access
//! lines on standard output have a format in which there are no events. Must not know how lines are formatted; `observe` does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::start_error::StartError;
use crate::observe::log_file::{LogFile, OpenError};
use crate::observe::writer::{Output, Outputs, Sink};
use crate::plan::{Log, LogOutput};

/// Opens the outputs of the log and starts the thread that writes to them. `dropped` counts the lines that are dropped.
///
/// # Errors
/// Fails if the file cannot be written or no thread can be started.
pub fn open_log(log: &Log, dropped: &Arc<AtomicU64>) -> Result<Sink, StartError> {
    Ok(Sink::start_with(outputs(log)?, Arc::clone(dropped))?)
}

/// Opens the outputs of a configuration that replaces another one; `None` if they are the same.
///
/// # Errors
/// Fails if the file cannot be written.
pub(super) fn next_outputs(running: &Log, next: &Log) -> Result<Option<Outputs>, OpenError> {
    if next.has_same_outputs(running) { Ok(None) } else { outputs(next).map(Some) }
}

fn outputs(log: &Log) -> Result<Outputs, OpenError> {
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
