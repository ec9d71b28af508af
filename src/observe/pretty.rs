//! Formats the access line of a request for a person at a terminal: one line per request, and a block of lines below it per error.
//!
//! Bytes that a client or an upstream controls are escaped, so that they cannot steer the terminal. Must not write to a sink; `recorder`
//! does.

use std::io::Write;
use std::time::SystemTime;

use super::access_record::{End, Facts};
use super::fields;
use super::line::{LineContext, host, path};
use crate::context::RequestContext;
use crate::context::protocol;
use crate::redact;
use crate::write;

/// Begins the lines of a block below the status.
const INDENT: &str = "             ";
/// The width of the labels in a block.
const LABEL: usize = 10;
/// The maximum number of lines of an upstream error that a block shows.
const MAX_LINES: usize = 24;

/// Terminal styles (ECMA-48 8.3.117, SGR).
mod style {
    pub(super) const DIM: &str = "\x1b[2m";
    pub(super) const GREEN: &str = "\x1b[32m";
    pub(super) const CYAN: &str = "\x1b[36m";
    pub(super) const YELLOW: &str = "\x1b[33m";
    pub(super) const RED: &str = "\x1b[1;31m";
    pub(super) const END: &str = "\x1b[0m";
}

/// Appends the time of day in UTC, with milliseconds.
pub fn time_of_day(out: &mut Vec<u8>, time: SystemTime) {
    let mut full = Vec::with_capacity(24);
    write::timestamp(&mut full, time);
    // `2026-11-22T09:30:00.123Z`
    out.extend_from_slice(full.get(11..23).unwrap_or(&full));
}

/// The lines of one request.
struct Lines<'o> {
    out: &'o mut Vec<u8>,
    color: bool,
}

/// Appends the lines of a request. Writing to memory cannot fail, so errors are ignored.
pub(super) fn append(out: &mut Vec<u8>, context: &RequestContext, facts: &Facts, line: &LineContext<'_>, color: bool) {
    let mut lines = Lines { out, color };
    lines.request(context, facts, line);
    if facts.kind.is_some() || facts.status >= 400 {
        lines.error(context, facts, line);
    }
    if let Some(would_be) = &facts.dry_run {
        let (code, message) = (would_be.code.as_deref().unwrap_or_default(), would_be.message.as_deref().unwrap_or_default());
        lines.field("dry run", &format!("{} {code} {message}", would_be.status));
    }
}

impl Lines<'_> {
    fn styled(&mut self, style: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if self.color {
            self.out.extend_from_slice(style.as_bytes());
        }
        write(self.out);
        if self.color {
            self.out.extend_from_slice(style::END.as_bytes());
        }
    }

    /// The line that every request has.
    fn request(&mut self, context: &RequestContext, facts: &Facts, line: &LineContext<'_>) {
        let status = facts.logged_status();
        self.styled(style::DIM, |out| time_of_day(out, context.wall));
        self.out.push(b' ');
        self.styled(status_style(status, facts.end), |out| write::number(out, u64::from(status)));
        let _ = write!(self.out, " {} ", context.method);
        safe(self.out, &String::from_utf8_lossy(host(context).unwrap_or_default()));
        safe(self.out, path(context));
        if let Some(query) = context.uri.query() {
            let mut masked = vec![b'?'];
            redact::masked_query(&mut masked, query.as_bytes());
            safe(self.out, &String::from_utf8_lossy(&masked));
        }
        self.styled(style::DIM, |out| {
            out.push(b' ');
            fields::millis(out, line.took);
            let _ = write!(out, "ms {}B {}", facts.bytes_out, line.route.name);
            if let Some(tls) = context.tls {
                let _ = write!(out, " {tls}");
            }
        });
        if let Some(end) = facts.tunnel_end {
            let _ = write!(self.out, " ended by: {}", end.as_str());
        }
        self.out.push(b'\n');
    }

    /// The block of an error.
    fn error(&mut self, context: &RequestContext, facts: &Facts, line: &LineContext<'_>) {
        let row = facts.kind.map(|kind| kind.row());
        self.out.extend_from_slice(INDENT.as_bytes());
        self.styled(status_style(facts.logged_status(), facts.end), |out| safe(out, facts.logged_code()));
        if let Some(row) = &row {
            let _ = write!(self.out, " {}", row.cause);
        }
        if facts.end == End::Aborted {
            self.out.extend_from_slice(b" (the response was cut off)");
        }
        self.out.push(b'\n');
        self.field("id", context.id.as_str());
        if let Some(reason) = row.map(|row| row.reason).filter(|reason| !reason.is_empty()) {
            self.field("reason", reason);
        }
        if facts.dispatched {
            self.field("upstream", &upstream(facts, line));
        }
        self.field("client", &client(context, facts));
        if let Some(cause) = &facts.cause {
            self.field("cause", cause);
        }
        if let Some(original) = &facts.original {
            self.field("original", &original.text);
            if original.truncated {
                self.continued("...");
            }
        }
    }

    /// A label and its text, which may have several lines.
    fn field(&mut self, label: &str, text: &str) {
        let mut texts = text.lines().filter(|line| !line.trim().is_empty());
        self.out.extend_from_slice(INDENT.as_bytes());
        self.styled(style::DIM, |out| drop(write!(out, "{label:LABEL$}")));
        safe(self.out, texts.next().unwrap_or_default());
        self.out.push(b'\n');
        texts.by_ref().take(MAX_LINES - 1).for_each(|line| self.continued(line));
        let more = texts.count();
        if more > 0 {
            self.continued(&format!("... ({more} more lines; the JSON format has all)"));
        }
    }

    fn continued(&mut self, text: &str) {
        let _ = write!(self.out, "{INDENT}{:LABEL$}", "");
        safe(self.out, text);
        self.out.push(b'\n');
    }
}

const fn status_style(status: u16, end: End) -> &'static str {
    match (end, status) {
        (End::Aborted, _) | (_, 500..) => style::RED,
        (End::Open, _) | (_, 400..) => style::YELLOW,
        (_, 300..) => style::CYAN,
        _ => style::GREEN,
    }
}

/// Names the backend, the endpoint and the status of the upstream.
fn upstream(facts: &Facts, line: &LineContext<'_>) -> String {
    let mut text = line.route.backend.to_string();
    if let Some(endpoint) = &facts.trail.endpoint {
        text.push_str(&format!(" {endpoint}"));
    }
    if let Some(received) = facts.received {
        text.push_str(&format!(", answered {received}"));
    }
    if facts.trail.attempts > 1 {
        text.push_str(&format!(", {} attempts", facts.trail.attempts));
    }
    text
}

fn client(context: &RequestContext, facts: &Facts) -> String {
    let mut text = format!("{}, {}, {} bytes in", context.client, protocol(context.version), facts.bytes_in());
    if let agent @ [_, ..] = context.named.user_agent() {
        text.push_str(", ");
        text.push_str(&String::from_utf8_lossy(agent));
    }
    text
}

/// Appends a text without characters that steer a terminal or change the direction of writing.
fn safe(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            // `escape_debug` would add a backslash to these.
            '"' | '\'' | '\\' => drop(write!(out, "{c}")),
            '\t' => out.extend_from_slice(b"    "),
            c => drop(write!(out, "{}", c.escape_debug())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        let mut out = Vec::new();
        safe(&mut out, "a\"b\\ \x1b[31m\u{202e}\u{9b}한\tz");
        let shown = String::from_utf8(out).unwrap();
        assert_eq!(shown, "a\"b\\ \\u{1b}[31m\\u{202e}\\u{9b}한    z");
    }
}
