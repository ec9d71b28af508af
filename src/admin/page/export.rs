//! An occurrence in a form for elsewhere: a command for curl, Markdown for a ticket, JSON, and a case for `lockgate test`.
//!
//! Pure functions of an entry, whose credentials are masked already. Only an operator gets them.

use std::fmt::Write as _;

use super::answer::Answer;
use super::body::Body;
use super::shell::Shell;
use super::sources::{Refusal, Sources};
use super::time;
use crate::journal::Entry;
use crate::redact::Redactor;

/// The most texts of a case that must not reach the client.
const MAX_ABSENT: usize = 6;
/// The most of an upstream's body in a case, in bytes.
const MAX_BODY: usize = 32 * 1024;

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
    sources.actions.opened(&entry.request_id);
    let name = format!("{}.{}", entry.request_id, form.extension());
    let (content_type, body) = match form {
        Form::Curl => ("text/plain; charset=utf-8", curl(&entry)),
        Form::Markdown => ("text/plain; charset=utf-8", markdown(&entry)),
        Form::Json => ("application/json", serde_json::to_string_pretty(&entry).unwrap_or_default() + "\n"),
        Form::TestCase => ("text/plain; charset=utf-8", test_case(&entry, sources.redactor)),
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

/// Returns a fence that is longer than every run of backticks in a text.
fn fenced(text: &str, language: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end())
}

/// Writes a text as code of one line.
fn code(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() || c == '|' { ' ' } else { c }).collect();
    format!("`{}`", flat.replace('`', "'"))
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
        let _ = writeln!(out, "| {name} | {} |", code(value));
    }
    if let Some(stack) = &entry.stack {
        let _ = write!(out, "\n{}", fenced(stack, ""));
    }
    if let Some(body) = &entry.request_body {
        let _ = write!(out, "\nThe request body:\n\n{}", fenced(body, ""));
    }
    if let Some(body) = entry.upstream_body.as_deref().filter(|body| !body.is_empty()) {
        let _ = write!(out, "\nThe service said:\n\n{}", fenced(body, ""));
    }
    if let Some(body) = entry.answer_body.as_deref().filter(|body| !body.is_empty()) {
        let _ = write!(out, "\nThe client got:\n\n{}", fenced(body, ""));
    }
    out
}

/// Writes a text as a string of TOML.
fn toml_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            _ if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            _ => out.push(c),
        }
    }
    out + "\""
}

/// Writes headers as an inline table; lines of the same name become a list.
fn toml_headers<'h>(headers: impl Iterator<Item = &'h (String, String)>) -> String {
    let mut lines: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, value) in headers.filter(|(_, value)| !value.contains("***")) {
        match lines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(toml_string(value)),
            None => lines.push((name, vec![toml_string(value)])),
        }
    }
    let one = |(name, values): &(&str, Vec<String>)| match values.as_slice() {
        [value] => format!("{} = {value}", toml_string(name)),
        values => format!("{} = [{}]", toml_string(name), values.join(", ")),
    };
    lines.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Headers of a request that decide the form of an error.
const DECIDING: [&str; 4] = ["accept", "accept-language", "content-type", "x-requested-with"];
/// Headers of a response that the network sets.
const OF_CONNECTION: [&str; 6] = ["content-length", "transfer-encoding", "connection", "date", "content-encoding", "keep-alive"];

/// Returns a case with the request, what the upstream said, and what the client got.
fn test_case(entry: &Entry, redactor: &Redactor) -> String {
    let mut out = format!("[[cases]]\nname = {}\n\n[cases.request]\n", toml_string(&format!("{} ({})", entry.title, entry.request_id)));
    let _ = writeln!(out, "method = {}\npath = {}", toml_string(&entry.method), toml_string(&target(entry)));
    if let Some(host) = &entry.host {
        let _ = writeln!(out, "host = {}", toml_string(host));
    }
    let headers = toml_headers(entry.request_headers.iter().filter(|(name, _)| DECIDING.contains(&name.as_str())));
    if !headers.is_empty() {
        let _ = writeln!(out, "headers = {{ {headers} }}");
    }
    replies(entry, &mut out);
    let _ = write!(out, "\n[cases.expect]\nstatus = {}\n", entry.status);
    if !entry.code.is_empty() {
        let _ = writeln!(out, "code = {}", toml_string(&entry.code));
    }
    if entry.attempts.len() > 1 {
        let _ = writeln!(out, "attempts = {}", entry.attempts.len());
    }
    let absent = absent(entry, redactor);
    if !absent.is_empty() {
        let _ = writeln!(out, "absent = [{}]", absent.iter().map(|text| toml_string(text)).collect::<Vec<_>>().join(", "));
    }
    out
}

/// Writes a reply for each attempt.
fn replies(entry: &Entry, out: &mut String) {
    let count = entry.attempts.len().max(1);
    for at in 0..count {
        let attempt = entry.attempts.get(at);
        let is_last = at + 1 == count;
        let status = if is_last {
            entry.received.or(attempt.and_then(|attempt| attempt.status))
        } else {
            attempt.and_then(|attempt| attempt.status)
        };
        let fault = attempt.and_then(|attempt| attempt.reason.as_deref()).or(Some(entry.reason.as_str()).filter(|_| is_last));
        match (status, fault.filter(|fault| !fault.is_empty())) {
            (Some(status), _) => {
                let _ = write!(out, "\n[[cases.upstream]]\nstatus = {status}\n");
            }
            (None, Some(fault)) => {
                let _ = write!(out, "\n[[cases.upstream]]\nfault = {}\n", toml_string(fault));
            }
            // The request did not reach an upstream.
            (None, None) => {}
        }
        if is_last && status.is_some() {
            let headers = toml_headers(entry.upstream_headers.iter().filter(|(name, _)| !OF_CONNECTION.contains(&name.as_str())));
            if !headers.is_empty() {
                let _ = writeln!(out, "headers = {{ {headers} }}");
            }
            let body = crate::text::bounded(entry.upstream_body.as_deref().unwrap_or_default(), MAX_BODY);
            let _ = writeln!(out, "body = {}", toml_string(body));
        }
    }
}

/// Returns texts of the upstream that must not reach the client: those that rules have found, and that it did not get.
fn absent(entry: &Entry, redactor: &Redactor) -> Vec<String> {
    let body = Body::new(entry.upstream_body.as_deref().unwrap_or_default(), Some(redactor));
    let got = entry.answer_body.as_deref().unwrap_or_default();
    let mut texts: Vec<String> = Vec::new();
    for text in body.found().flat_map(str::lines).map(str::trim) {
        let fits = (6..=120).contains(&text.len()) && !text.contains("***") && !text.contains(['"', '\\']);
        if fits && !got.contains(text) && !texts.iter().any(|known| known == text) && texts.len() < MAX_ABSENT {
            texts.push(text.to_owned());
        }
    }
    texts
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
    fn a_case_is_valid_toml() {
        let text = test_case(&entry(), &Redactor::default());
        let case: toml::Table = text.parse().unwrap();
        let case = &case["cases"][0];
        assert_eq!(case["upstream"][0]["fault"].as_str(), Some("connection_refused"));
        assert_eq!(case["upstream"][1]["status"].as_integer(), Some(500));
        assert_eq!(case["upstream"][1]["body"].as_str(), entry().upstream_body.as_deref());
        assert_eq!(case["expect"]["attempts"].as_integer(), Some(2));
        assert!(case["expect"]["absent"].as_array().is_some_and(|texts| !texts.is_empty()), "{text}");
        assert!(
            case["request"]["headers"].get("authorization").is_none() && case["upstream"][1]["headers"].get("content-length").is_none()
        );
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(toml_string("a\"\\\n\u{1}"), "\"a\\\"\\\\\\n\\u0001\"");
    }
}
