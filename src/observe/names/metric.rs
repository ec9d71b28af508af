//! What the table says of a metric. A counter is named without `_total`, which the text formats add.

use super::labels::Label;

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Only grows, until the process ends or what it counts is no longer configured.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// A distribution of durations, in the buckets of `histogram`.
    Histogram,
}

impl Type {
    /// Returns the word of the text formats.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// The name; without `_total` for a counter.
    pub name: &'static str,
    /// The type.
    pub kind: Type,
    /// What it is measured in or what it counts.
    pub unit: &'static str,
    /// The labels, in the order of the text; without the `le` of a histogram.
    pub labels: &'static [Label],
    /// What it means, as a sentence without its full stop.
    pub help: &'static str,
    /// A query of Prometheus that shows its use; may be empty.
    pub query: &'static str,
}

impl Metric {
    pub(super) const fn counter(name: &'static str, unit: &'static str, labels: &'static [Label], help: &'static str) -> Self {
        Self { name, kind: Type::Counter, unit, labels, help, query: "" }
    }

    pub(super) const fn gauge(name: &'static str, unit: &'static str, labels: &'static [Label], help: &'static str) -> Self {
        Self { name, kind: Type::Gauge, unit, labels, help, query: "" }
    }

    pub(super) const fn histogram(name: &'static str, labels: &'static [Label], help: &'static str) -> Self {
        Self { name, kind: Type::Histogram, unit: "seconds", labels, help, query: "" }
    }

    pub(super) const fn asked(self, query: &'static str) -> Self {
        Self { query, ..self }
    }

    /// Returns the name of its samples in a query: with `_total` for a counter.
    pub fn sample_name(&self) -> String {
        match self.kind {
            Type::Counter => format!("{}_total", self.name),
            Type::Gauge | Type::Histogram => self.name.to_owned(),
        }
    }
}

/// Metrics that are described together.
#[derive(Debug)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// The metrics, in the order of the document.
    pub metrics: &'static [&'static Metric],
}
