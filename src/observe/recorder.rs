//! Takes finished requests: counts them and writes their access line into the core's buffer.
//!
//! One recorder per core: its buffer is never contended. The line is formatted by hand; `tracing` is for events only.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::access_log::{self, Style};
use super::access_record::{Facts, Record};
use super::metrics::{Metrics, RouteMetrics};
use super::writer::Sink;
use crate::context::RequestContext;
use crate::failure::catalog::Severity;

/// A core's buffer is handed to the writer at this size, in bytes: to wake the writer costs as much as dozens of lines.
const HAND_OVER: usize = 64 * 1024;

/// Room for the line that fills a buffer, in bytes: most lines are shorter.
const ROOM: usize = 4 * 1024;

/// What lines are written, and how.
#[derive(Clone, Copy, Debug)]
pub struct LineSettings {
    /// A line for every request.
    pub access: bool,
    /// Without `access`: a line for failures at least this severe.
    pub failures: Severity,
    /// JSON or text.
    pub style: Style,
}

/// Records the requests of one core.
#[derive(Debug)]
pub struct Recorder {
    /// Shared by all cores.
    pub metrics: Arc<Metrics>,
    /// Which of the cores: the only one that counts here.
    core: usize,
    no_route: Arc<RouteMetrics>,
    settings: LineSettings,
    sink: Sink,
    /// Lines that were not handed over yet.
    buffer: Mutex<Vec<u8>>,
}

impl Recorder {
    /// A recorder for one core.
    pub fn new(core: usize, metrics: Arc<Metrics>, no_route: Arc<RouteMetrics>, settings: LineSettings, sink: Sink) -> Self {
        Self { metrics, core, no_route, settings, sink, buffer: Mutex::default() }
    }

    /// Counts an arrival.
    pub fn arrived(&self) {
        self.metrics.received(self.core);
    }

    /// Hands over what is there; called by the core's timer and at the end.
    pub fn flush(&self) {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.is_empty() {
            return;
        }
        // What waits in the queue is counted by what it holds: a few lines do not take the whole buffer with them.
        if buffer.len() < HAND_OVER / 4 {
            self.sink.send(buffer.as_slice().to_vec());
            buffer.clear();
        } else {
            self.sink.send(std::mem::take(&mut *buffer));
        }
    }
}

impl Record for Recorder {
    fn record(&self, context: &RequestContext, facts: &Facts) {
        let took = facts.ended.unwrap_or_else(Instant::now).saturating_duration_since(context.arrival);
        let metrics = &self.metrics;
        metrics.ended(self.core, facts.bytes_in(), facts.bytes_out);
        let route = facts.route.as_ref().unwrap_or(&self.no_route);
        route.ended(self.core, facts.class(), took);
        if let Some(kind) = facts.kind {
            metrics.failure(route, kind, facts.received);
        }
        let severe = facts.kind.is_some_and(|kind| kind.row().severity <= self.settings.failures);
        if self.settings.access || severe {
            let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            if buffer.capacity() == 0 {
                buffer.reserve_exact(HAND_OVER + ROOM);
            }
            access_log::append(&mut buffer, context, facts, &access_log::Terms { route, took, style: self.settings.style });
            if buffer.len() >= HAND_OVER {
                self.sink.send(std::mem::take(&mut *buffer));
            }
        }
    }
}
