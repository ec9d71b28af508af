//! The report of `lockgate test`: lines for a terminal, JSON, or JUnit XML.
//!
//! Must not judge anything.

use serde_json::{Value, json};

use super::ran::Ran;
use crate::cli::args::CasesFormat;
use crate::cli::cases::judge::Difference;
use crate::cli::output::{self, Style, one_line};
use crate::cli::source::Source;
use crate::text::bounded;

/// Most bytes of a response body that is shown.
const SHOWN: usize = 600;

/// How the run ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Summary {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

/// A report that is being written.
pub(super) struct Report {
    format: CasesFormat,
    style: Style,
    summary: Summary,
    cases: Vec<Value>,
    suites: String,
}

impl Report {
    pub(super) fn new(format: CasesFormat) -> Self {
        Self { format, style: Style::of_output(), summary: Summary::default(), cases: Vec::new(), suites: String::new() }
    }

    /// Adds the cases of a file.
    pub(super) fn file(&mut self, source: &Source, ran: &[Ran<'_>]) {
        let failed = ran.iter().filter(|ran| !ran.passed()).count();
        self.summary.failed += failed;
        self.summary.passed += ran.len() - failed;
        match self.format {
            CasesFormat::Text => self.text(source, ran),
            CasesFormat::Json => self.cases.extend(ran.iter().map(|ran| as_json(source, ran))),
            CasesFormat::Junit => self.suites.push_str(&suite(source, ran, failed)),
        }
    }

    /// Ends the report.
    pub(super) fn end(self) -> Summary {
        let Summary { passed, failed } = self.summary;
        match self.format {
            CasesFormat::Text => {
                let count = format!("{} {}", passed + failed, if passed + failed == 1 { "case" } else { "cases" });
                let failures = format!("{failed} failed");
                let failures = if failed == 0 { failures } else { self.style.red(&failures) };
                output::print(&format!("\n{count}: {} passed, {failures}", self.style.green(&passed.to_string())));
            }
            CasesFormat::Json => output::print(&json!({ "passed": passed, "failed": failed, "cases": self.cases }).to_string()),
            CasesFormat::Junit => output::print(&format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{}\" failures=\"{failed}\">\n{}</testsuites>",
                passed + failed,
                self.suites
            )),
        }
        self.summary
    }

    fn text(&self, source: &Source, ran: &[Ran<'_>]) {
        let style = self.style;
        output::print(&style.bold(&one_line(&source.name)));
        for ran in ran {
            let name = one_line(&ran.case.name);
            if ran.passed() {
                output::print(&format!("  {}    {name}", style.green("ok")));
                continue;
            }
            let place = format!("{}:{}", one_line(&source.name), line_of(&source.text, ran.case.span.start));
            output::print(&format!("  {}  {}  {}", style.red("FAIL"), style.bold(&name), style.dim(&place)));
            for Difference { what, expected, got, span, .. } in &ran.differences {
                let line = style.dim(&format!(":{}", line_of(&source.text, span.start)));
                output::print(&format!("        {}{line}", one_line(what)));
                output::print(&format!("          expected  {}", style.green(&one_line(expected))));
                output::print(&format!("          got       {}", style.red(&one_line(got))));
            }
            match &ran.got {
                Ok(got) => output::print(&style.dim(&format!("        response: {}", response(got)))),
                Err(why) => output::print(&format!("        {}", style.red(&one_line(why)))),
            }
        }
    }
}

/// Status, content type and the beginning of the body.
fn response(got: &crate::cli::cases::bench::Got) -> String {
    let kind = got.headers.get("content-type").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default();
    let body = String::from_utf8_lossy(&got.body);
    let part = bounded(&body, SHOWN);
    let more = if part.len() < body.len() { "..." } else { "" };
    format!("{} {} {}{more}", got.status, one_line(&kind), part.escape_debug().to_string().replace("\\\"", "\""))
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn as_json(source: &Source, ran: &Ran<'_>) -> Value {
    let differences = ran.differences.iter().map(|Difference { what, expected, got, span, .. }| {
        json!({ "what": what, "expected": expected, "got": got, "line": line_of(&source.text, span.start) })
    });
    json!({
        "file": source.name,
        "line": line_of(&source.text, ran.case.span.start),
        "name": ran.case.name,
        "passed": ran.passed(),
        "differences": differences.collect::<Vec<_>>(),
        "error": ran.got.as_ref().err(),
        "milliseconds": ran.took.as_millis() as u64,
    })
}

/// Escapes a text for XML, also for an attribute, in which a parser makes spaces of line breaks that are not escaped (XML 1.0 3.3.3).
fn escape(text: &str) -> String {
    // XML has no other control characters, not even escaped ones (2.2).
    let plain =
        |c: char| if (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{fffe}' | '\u{ffff}') { '\u{fffd}' } else { c };
    let plain: String = text.chars().map(plain).collect();
    html_escape::encode_double_quoted_attribute(&plain).replace('\n', "&#10;").replace('\t', "&#9;")
}

/// A file as a test suite of JUnit.
fn suite(source: &Source, ran: &[Ran<'_>], failed: usize) -> String {
    let mut out = format!("  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\">\n", escape(&source.name), ran.len());
    for ran in ran {
        let seconds = ran.took.as_secs_f64();
        let name = escape(&ran.case.name);
        out.push_str(&format!("    <testcase classname=\"{}\" name=\"{name}\" time=\"{seconds:.3}\"", escape(&source.name)));
        if ran.passed() {
            out.push_str("/>\n");
            continue;
        }
        let lines = ran.differences.iter().map(|Difference { what, expected, got, .. }| format!("{what}: expected {expected}, got {got}"));
        let lines: Vec<_> = lines.chain(ran.got.as_ref().err().cloned()).collect();
        let first = lines.first().map(String::as_str).unwrap_or_default();
        out.push_str(&format!(
            ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
            escape(first),
            escape(&lines.join("\n"))
        ));
    }
    out.push_str("  </testsuite>\n");
    out
}
