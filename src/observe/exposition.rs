//! Writes metrics in the text formats of Prometheus and OpenMetrics. Knows no metric.
//!
//! With thousands of routes nearly all of the text is samples of routes, so their labels are escaped once and everything is written
//! directly. The registry of `prometheus-client` writes what other modules collect.

use std::fmt::{self, Write};

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;

use super::exemplars::Exemplars;
use super::histogram::{BOUNDS, Summed};
use super::names::{Metric, Type};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// That of Prometheus, which every scraper reads
    /// (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).
    Plain,
    /// OpenMetrics 1.0, with exemplars
    /// (<https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>).
    OpenMetrics,
}

/// A text that is being written.
#[derive(Debug)]
pub(super) struct Exposition<'w, W> {
    out: &'w mut W,
    format: Format,
}

/// The samples of one metric.
#[derive(Debug)]
pub(super) struct Samples<'w, W> {
    out: &'w mut W,
    format: Format,
    metric: &'static Metric,
}

impl<'w, W: Write> Exposition<'w, W> {
    /// Begins a text.
    pub(super) const fn new(out: &'w mut W, format: Format) -> Self {
        Self { out, format }
    }

    /// Begins a metric. Its samples must follow before the next metric.
    pub(super) fn metric(&mut self, metric: &'static Metric) -> Result<Samples<'_, W>, fmt::Error> {
        let Metric { name, kind, help, .. } = metric;
        // In the format of Prometheus, the metadata of a counter has the name of its samples.
        let total = if *kind == Type::Counter && self.format == Format::Plain { "_total" } else { "" };
        let kind = kind.word();
        write!(self.out, "# HELP {name}{total} {help}.\n# TYPE {name}{total} {kind}\n")?;
        Ok(Samples { out: self.out, format: self.format, metric })
    }

    /// Writes a metric that has one sample without labels.
    pub(super) fn single(&mut self, metric: &'static Metric, value: impl fmt::Display) -> fmt::Result {
        self.metric(metric)?.value(&[], value)
    }
}

impl<W: Write> Samples<'_, W> {
    /// Writes a sample of a counter or gauge. The labels are given in pieces, as text.
    pub(super) fn value(&mut self, labels: &[&str], value: impl fmt::Display) -> fmt::Result {
        self.name_and_labels(labels)?;
        writeln!(self.out, " {value}")
    }

    fn name_and_labels(&mut self, labels: &[&str]) -> fmt::Result {
        self.out.write_str(self.metric.name)?;
        if self.metric.kind == Type::Counter {
            self.out.write_str("_total")?;
        }
        if !labels.is_empty() {
            self.out.write_str("{")?;
            labels.iter().try_for_each(|piece| self.out.write_str(piece))?;
            self.out.write_str("}")?;
        }
        Ok(())
    }

    /// Writes a sample whose value is a count, which is most of them.
    pub(super) fn count(&mut self, labels: &[&str], count: u64) -> fmt::Result {
        self.name_and_labels(labels)?;
        for piece in [" ", itoa::Buffer::new().format(count), "\n"] {
            self.out.write_str(piece)?;
        }
        Ok(())
    }

    /// Writes the samples of one histogram.
    pub(super) fn histogram(&mut self, labels: &str, summed: &Summed, exemplars: Option<&Exemplars>) -> fmt::Result {
        let (name, mut number) = (self.metric.name, itoa::Buffer::new());
        let exemplars = exemplars.filter(|_| self.format == Format::OpenMetrics);
        let mut count = 0;
        for (at, bound) in BOUNDS.into_iter().chain(["+Inf"]).enumerate() {
            count += summed.buckets[at];
            for piece in [name, "_bucket{", labels, ",le=\"", bound, "\"} ", number.format(count)] {
                self.out.write_str(piece)?;
            }
            if let Some(exemplar) = exemplars.and_then(|exemplars| exemplars.of(at)) {
                let trace = std::str::from_utf8(&exemplar.trace).unwrap_or_default();
                let (took, at) = (exemplar.took.as_secs_f64(), exemplar.at);
                write!(self.out, " # {{trace_id=\"{trace}\"}} {took:?} {}.{:03}", at.as_secs(), at.subsec_millis())?;
            }
            self.out.write_str("\n")?;
        }
        write!(self.out, "{name}_sum{{{labels}}} {:?}\n{name}_count{{{labels}}} {count}\n", summed.seconds)
    }
}

/// Returns `name="value"` with the value escaped.
pub(super) fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{}\"", value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}

/// Begins a metric in an encoder of `prometheus-client`, for collectors of other modules.
///
/// # Errors
/// Fails if the encoder does.
pub fn describe<'a>(out: &'a mut DescriptorEncoder<'_>, metric: &'static Metric) -> Result<MetricEncoder<'a>, fmt::Error> {
    let kind = match metric.kind {
        Type::Counter => MetricType::Counter,
        Type::Gauge => MetricType::Gauge,
        Type::Histogram => MetricType::Histogram,
    };
    out.encode_descriptor(metric.name, &format!("{}.", metric.help), None, kind)
}

/// Returns the metrics of a text in the OpenMetrics format in the text format of Prometheus.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut counters: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    counters.sort_unstable();
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let comment = line.strip_prefix("# HELP ").or(line.strip_prefix("# TYPE "));
        let name = comment.and_then(|rest| rest.split(' ').next()).filter(|name| counters.binary_search(name).is_ok());
        match name {
            // In this format, the metadata of a counter has the name of its samples, with `_total`.
            Some(name) => {
                let (begin, rest) = line.split_at("# HELP ".len() + name.len());
                plain.extend([begin, "_total", rest]);
            }
            None => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}
