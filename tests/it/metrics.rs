//! Tests the metrics: that the table of all metrics is what the gateway writes and what the documents say, in formats that the tools of
//! Prometheus accept, and that the dashboard and the alerts name nothing else.

mod deployed;
mod document;
mod exposition;

use std::process::{Command, Output, Stdio};

use lockgate::observe::names::{self, Metric, Type};

/// Runs a tool of Prometheus; `None` if it is not installed.
#[allow(clippy::print_stdout, reason = "says why a test did nothing")]
fn promtool(args: &[&str], input: &str) -> Option<Output> {
    let started = Command::new("promtool").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut tool = match started {
        Ok(tool) => tool,
        Err(error) => {
            println!("skipped: promtool (package prometheus): {error}");
            return None;
        }
    };
    std::io::Write::write_all(&mut tool.stdin.take().unwrap(), input.as_bytes()).unwrap();
    Some(tool.wait_with_output().unwrap())
}

/// Asserts that a tool of Prometheus has nothing to say against it.
fn assert_accepted(args: &[&str], input: &str) {
    if let Some(output) = promtool(args, input) {
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "promtool {args:?}: {said}\n{input}");
    }
}

/// The metric that has samples of this name.
fn metric_of(sample: &str) -> Option<&'static Metric> {
    names::all().find(|metric| match metric.kind {
        Type::Counter | Type::Gauge => metric.sample_name() == sample,
        Type::Histogram => ["_bucket", "_sum", "_count"].iter().any(|end| sample.strip_suffix(end) == Some(metric.name)),
    })
}
