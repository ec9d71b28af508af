//! Counts finished requests and writes their access lines into the buffer of the core.
//!
//! There is one recorder per core, so its buffer is never contended. `access_log` and others format the lines; `tracing` is used for events only.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::access_record::{End, Facts, Record};
use super::level::Level;
use super::line::LineContext;
use super::metrics::{Metrics, RouteMetrics};
use super::route_metrics::Ended;
use super::sample::Access;
use super::selection::Selection;
use super::template::Template;
use super::trace::finish::finish;
use super::writer::Sink;
use super::{access_log, pretty, selection};
use crate::context::RequestContext;

/// The size at which the buffer of a core is sent to the writer, in bytes. It is large because waking the writer costs as much as dozens of
/// lines.
const FLUSH_SIZE: usize = 64 * 1024;

/// The space for the line that fills the buffer, in bytes; most lines are shorter.
const LAST_LINE: usize = 4 * 1024;

/// Which access lines are written, and in which form. It is cheap to clone, so every core has its own.
#[derive(Clone, Debug, PartialEq)]
pub struct LineSettings {
    /// Which requests write a line.
    pub access: Access,
    /// The level of the log. A failure of this severity writes a line in any case.
    pub level: Level,
    /// The form of the lines.
    pub style: Style,
    /// What standard output can show, for the lines of a later configuration.
    pub terminal: Terminal,
}

/// What a standard stream can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// It is a terminal.
    pub is_terminal: bool,
    /// It may have colors.
    pub color: bool,
}

impl Default for LineSettings {
    /// Every request writes a line in JSON.
    fn default() -> Self {
        Self { access: Access::All, level: Level::default(), style: Style::Json, terminal: Terminal::default() }
    }
}

/// The form of access lines.
#[derive(Clone, Debug, PartialEq)]
pub enum Style {
    /// One JSON object per line, with all fields.
    Json,
    /// One JSON object per line, with some fields.
    Selected(Arc<Selection>),
    /// A form of the operator, or that of Apache.
    Template(Arc<Template>),
    /// Human-readable text: one line per request, and a block of lines per error.
    Pretty {
        /// Whether it has the colors of a terminal.
        color: bool,
    },
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

    /// Returns true if the request writes a line.
    #[inline]
    fn writes(&self, context: &RequestContext, facts: &Facts, latency: Duration) -> bool {
        let wanted = match &self.settings.access {
            Access::All => return true,
            Access::Sampled(sample) => sample.has(context, facts, latency),
            Access::Off => false,
        };
        wanted || facts.kind.is_some_and(|kind| kind.row().severity <= self.settings.level.failures())
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
    fn record(&self, context: &RequestContext, facts: &mut Facts) {
        let facts = &*facts;
        let took = facts.ended.unwrap_or_else(Instant::now).saturating_duration_since(context.arrival);
        let metrics = &self.metrics;
        metrics.ended(self.core, facts.bytes_in(), facts.bytes_out);
        let route = facts.route.as_ref().unwrap_or(&self.no_route);
        // How long a tunnel stays open says nothing about latency: the time to its beginning does.
        let latency = facts.tunnel_end.and(facts.upstream_time).unwrap_or(took);
        // An error that passed is counted as what it was, and apart from that as what it would have been.
        let would_be = facts.dry_run.as_ref().filter(|_| facts.end == End::Complete);
        let kind = facts.kind.filter(|_| would_be.is_none());
        let parts = facts.upstream_time.map(|until| (until.saturating_sub(facts.upstream_took), facts.upstream_took));
        route.ended(self.core, &Ended { status: facts.logged_status(), kind, took: latency, parts, trace: facts.trace });
        if let (Some(kind), Some(would_be)) = (facts.kind, would_be) {
            route.dry_run(kind, would_be.status);
        }
        let line = LineContext { route, took };
        if let (Some(tracer), Some(spans)) = (&facts.tracer, &facts.trail.spans) {
            finish(tracer, context, facts, spans, &line);
        }
        if self.writes(context, facts, latency) {
            let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            if buffer.capacity() == 0 {
                buffer.reserve_exact(FLUSH_SIZE + LAST_LINE);
            }
            match &self.settings.style {
                Style::Json => access_log::append(&mut buffer, context, facts, &line),
                Style::Selected(fields) => selection::append(&mut buffer, context, facts, &line, fields),
                Style::Template(template) => template.append(&mut buffer, context, facts, &line),
                Style::Pretty { color } => pretty::append(&mut buffer, context, facts, &line, *color),
            }
            if buffer.len() >= FLUSH_SIZE {
                self.sink.send(std::mem::take(&mut *buffer));
            }
        }
    }
}
