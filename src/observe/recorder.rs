//! Counts finished requests and writes their access lines into the buffer of the core.
//!
//! There is one recorder per core, so its buffer is never contended. `access_log` formats the lines; `tracing` is used for events only.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::access_record::{Facts, Record};
use super::line::{LineContext, Style};
use super::metrics::{Metrics, RouteMetrics};
use super::writer::Sink;
use super::{access_log, pretty};
use crate::context::RequestContext;
use crate::failure::catalog::Severity;

/// The size at which the buffer of a core is sent to the writer, in bytes. It is large because waking the writer costs as much as dozens of
/// lines.
const FLUSH_SIZE: usize = 64 * 1024;

/// The space for the line that fills the buffer, in bytes; most lines are shorter.
const LAST_LINE: usize = 4 * 1024;

/// Which access lines are written, and in which format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineSettings {
    /// Whether every request writes a line.
    pub access: bool,
    /// The least severe failure that writes a line even without `access`.
    pub failures: Severity,
    /// JSON or text.
    pub style: Style,
}

/// Records the requests of one core.
#[derive(Debug)]
pub struct Recorder {
    /// The metrics, which all cores share.
    pub metrics: Arc<Metrics>,
    /// The core of this recorder; no other core may use it to count.
    core: usize,
    no_route: Arc<RouteMetrics>,
    settings: LineSettings,
    sink: Sink,
    /// The lines that were not sent to the writer yet.
    buffer: Mutex<Vec<u8>>,
}

impl Recorder {
    /// Creates the recorder of a core.
    pub fn new(core: usize, metrics: Arc<Metrics>, no_route: Arc<RouteMetrics>, settings: LineSettings, sink: Sink) -> Self {
        Self { metrics, core, no_route, settings, sink, buffer: Mutex::default() }
    }

    /// Returns the recorder of the same core for a plan that follows.
    pub fn successor(self: &Arc<Self>, no_route: Arc<RouteMetrics>, settings: LineSettings) -> Arc<Self> {
        if Arc::ptr_eq(&self.no_route, &no_route) && self.settings == settings {
            return Arc::clone(self);
        }
        Arc::new(Self::new(self.core, Arc::clone(&self.metrics), no_route, settings, self.sink.clone()))
    }

    /// Counts the arrival of a request.
    pub fn arrived(&self) {
        self.metrics.received(self.core);
    }

    /// Sends the buffered lines to the writer. Called periodically and at shutdown.
    pub fn flush(&self) {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.is_empty() {
            return;
        }
        // The queue is bounded by the capacity of its chunks, so a few lines are copied instead of sent in the large buffer.
        if buffer.len() < FLUSH_SIZE / 4 {
            self.sink.send(buffer.as_slice().to_vec());
            buffer.clear();
        } else {
            self.sink.send(std::mem::take(&mut *buffer));
        }
    }
}

impl Drop for Recorder {
    /// Requests that began before a reload hold the recorder of that time.
    fn drop(&mut self) {
        self.flush();
    }
}

impl Record for Recorder {
    fn record(&self, context: &RequestContext, facts: &Facts) {
        let took = facts.ended.unwrap_or_else(Instant::now).saturating_duration_since(context.arrival);
        let metrics = &self.metrics;
        metrics.ended(self.core, facts.bytes_in(), facts.bytes_out);
        let route = facts.route.as_ref().unwrap_or(&self.no_route);
        // How long a tunnel stays open says nothing about latency: the time to its beginning does.
        let latency = facts.tunnel_end.and(facts.upstream_time).unwrap_or(took);
        route.ended(self.core, facts.class(), latency);
        if let Some(kind) = facts.kind {
            metrics.failure(route, kind, facts.received);
            if let Some(would_be) = &facts.dry_run {
                metrics.dry_run(route, kind, would_be.status);
            }
        }
        let severe = facts.kind.is_some_and(|kind| kind.row().severity <= self.settings.failures);
        if self.settings.access || severe {
            let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            if buffer.capacity() == 0 {
                buffer.reserve_exact(FLUSH_SIZE + LAST_LINE);
            }
            let line = LineContext { route, took };
            match self.settings.style {
                Style::Json => access_log::append(&mut buffer, context, facts, &line),
                Style::Pretty { color } => pretty::append(&mut buffer, context, facts, &line, color),
            }
            if buffer.len() >= FLUSH_SIZE {
                self.sink.send(std::mem::take(&mut *buffer));
            }
        }
    }
}
