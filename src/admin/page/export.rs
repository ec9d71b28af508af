//! An occurrence in a form for elsewhere: a command for curl, Markdown for a ticket, JSON, and a case for `lockgate test`.
//!
//! Pure functions of an entry, whose credentials are masked already. Only an operator gets them. `test_case` makes the case.

use std::fmt::Write as _;

use super::answer::Answer;
use super::body::visible;
use super::shell::Shell;
use super::sources::{Refusal, Sources};
use super::{test_case, time};
use crate::journal::Entry;

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A command for curl.
    Curl,
    /// Markdown.
    Markdown,
    /// JSON.
    Json,
    /// A case for `lockgate test`.
    TestCase,
}

impl Form {
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Markdown => "md",
            Self::Json => "json",
            Self::TestCase => "toml",
        }
    }

    pub(super) fn of_extension(extension: &str) -> Option<Self> {
        [Self::Curl, Self::Markdown, Self::Json, Self::TestCase].into_iter().find(|form| form.extension() == extension)
    }
}

/// Answers with an occurrence in a form: `ID.json`, `ID.md`, `ID.curl`, `ID.toml`.
pub(super) fn page(shell: &Shell<'_>, sources: &Sources<'_>, name: &str) -> Result<Answer, Refusal> {
    if !shell.shows_originals() {
        return Err(Refusal::Forbidden);
    }
    let (segment, extension) = name.rsplit_once('.').ok_or(Refusal::NotFound)?;
    let form = Form::of_extension(extension).ok_or(Refusal::NotFound)?;
    let entry = sources.find(segment)?;
    if form == Form::TestCase && !test_case::is_possible(&entry) {
        return Err(Refusal::NoTestCase);
    }
    sources.actions.opened(&entry.request_id);
    let name = format!("{}.{}", entry.request_id, form.extension());
    let (content_type, body) = match form {
        Form::Curl => ("text/plain; charset=utf-8", curl(&entry)),
        Form::Markdown => ("text/plain; charset=utf-8", markdown(&entry)),
        Form::Json => ("application/json", serde_json::to_string_pretty(&entry).unwrap_or_default() + "\n"),
        Form::TestCase => ("text/plain; charset=utf-8", test_case::written(&entry, sources.redactor).ok_or(Refusal::NoTestCase)?),
    };
    Ok(Answer::file(content_type, &name, body))
}

/// Quotes a word for a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn target(entry: &Entry) -> String {
    let query = entry.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}{query}", entry.path)
}

/// Headers that curl sets itself, or that belong to a connection.
const NOT_SENT: [&str; 8] =
    ["host", "content-length", "connection", "transfer-encoding", "x-request-id", "via", "x-forwarded-for", "traceparent"];

/// Returns a command that sends the request again, as far as it is known: its body is not kept, and masked credentials stay masked.
fn curl(entry: &Entry) -> String {
    let host = entry.host.as_deref().unwrap_or("localhost");
    let mut out = format!("curl -sS -i --path-as-is -X {} {}", quoted(&entry.method), quoted(&format!("http://{host}{}", target(entry))));
    for (name, value) in entry.request_headers.iter().filter(|(name, _)| !NOT_SENT.contains(&name.as_str())) {
        // Writing to a string cannot fail.
        let _ = write!(out, " \\\n  -H {}", quoted(&format!("{name}: {value}")));
    }
    out + "\n"
}

/// Returns the longest run of backticks in a text.
fn backticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// Writes a text as a block of code. Its fence is longer than every run of backticks in it.
fn fenced(text: &str) -> String {
    let text = visible(text);
    let fence = "`".repeat(backticks(&text).max(2) + 1);
    format!("{fence}\n{}\n{fence}\n", text.trim_end())
}

/// Writes a text as code of one line, with a fence as [`fenced`]. A space is put beside a backtick at an end (CommonMark 6.1).
fn code(text: &str) -> String {
    let flat = visible(text).replace(['\n', '\t'], " ");
    let fence = "`".repeat(backticks(&flat) + 1);
    let space = if flat.starts_with('`') || flat.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{flat}{space}{fence}")
}

/// Writes a text as code in a cell of a table, where a bar ends the cell, also within code (GFM 4.10).
fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

fn markdown(entry: &Entry) -> String {
    let mut out = format!("### {}\n\n| | |\n|---|---|\n", code(&entry.title));
    let facts = [
        ("Request", format!("{} {}", entry.method, target(entry))),
        ("Request id", entry.request_id.clone()),
        ("Time", time::iso(entry.at)),
        ("Route", format!("{} → {}", entry.route, entry.backend)),
        ("Endpoint", entry.endpoint.clone().unwrap_or_default()),
        ("The service said", entry.received.map(|status| status.to_string()).unwrap_or_default()),
        ("The client got", format!("{} {}", entry.status, entry.code)),
        ("Reason", entry.reason.clone()),
        ("Cause", entry.cause.clone().unwrap_or_default()),
        ("Exception", entry.exception.clone().unwrap_or_default()),
        ("Duration", time::duration(entry.duration_us)),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "| {name} | {} |", cell(value));
    }
    if let Some(stack) = &entry.stack {
        let _ = write!(out, "\n{}", fenced(stack));
    }
    if let Some(body) = &entry.request_body {
        let _ = write!(out, "\nThe request body:\n\n{}", fenced(body));
    }
    if let Some(body) = entry.upstream_body.as_deref().filter(|body| !body.is_empty()) {
        let _ = write!(out, "\nThe service said:\n\n{}", fenced(body));
    }
    if let Some(body) = entry.answer_body.as_deref().filter(|body| !body.is_empty()) {
        let _ = write!(out, "\nThe client got:\n\n{}", fenced(body));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::entry::AttemptEntry;

    fn entry() -> Entry {
        Entry {
            request_id: "01a2".into(),
            method: "POST".into(),
            host: Some("shop.example".into()),
            path: "/a'b".into(),
            query: Some("token=***".into()),
            request_headers: vec![("accept".into(), "text/html".into()), ("authorization".into(), "***".into())],
            attempts: vec![
                AttemptEntry { reason: Some("connection_refused".into()), ..AttemptEntry::default() },
                AttemptEntry { status: Some(500), ..AttemptEntry::default() },
            ],
            status: 502,
            received: Some(500),
            code: "UPSTREAM_ERROR".into(),
            upstream_headers: vec![("content-type".into(), "text/plain".into()), ("content-length".into(), "9".into())],
            upstream_body: Some("java.sql.SQLException: no\n\tat com.shop.A.b(A.java:1)\n\tat com.shop.C.d(C.java:2)\n```".into()),
            title: "a \"title\"".into(),
            ..Entry::default()
        }
    }

    #[test]
    fn a_command_is_quoted_for_the_shell() {
        let text = curl(&entry());
        assert!(text.starts_with(r"curl -sS -i --path-as-is -X 'POST' 'http://shop.example/a'\''b?token=***'"), "{text}");
        assert!(text.contains("-H 'authorization: ***'"));
    }

    #[test]
    fn markdown_has_fences_that_the_body_cannot_close() {
        assert!(markdown(&entry()).contains("\n````\njava.sql"));
    }

    #[test]
    fn nothing_in_markdown_steers_a_terminal() {
        let steering = "a\u{1b}[31mb\u{202e}c\r\nd".to_owned();
        let entry = Entry {
            title: steering.clone(),
            cause: Some(format!("{steering}|`e`")),
            stack: Some(steering.clone()),
            request_body: Some(steering.clone()),
            upstream_body: Some(steering.clone()),
            answer_body: Some(format!("{steering}````")),
            ..entry()
        };
        let text = markdown(&entry);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n') && !text.contains('\u{202e}'), "{text:?}");
        assert!(text.contains("| Cause | `` a␛[31mb⟨U+202E⟩c d\\|`e` `` |"), "{text}");
        assert!(text.contains("\n`````\na␛[31mb⟨U+202E⟩c\nd````\n`````\n"), "{text}");
    }
}
