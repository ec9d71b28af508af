//! Access lines in a form that the operator writes: a text with names of fields in braces. It is compiled once into segments.
//!
//! Every value ends at the character that follows it in the template, so this character is escaped within the value, and so is everything
//! that could end a line or a quotation. The combined format of Apache is a template too. Must not know JSON.

use std::io::Write;
use std::ops::Range;

use super::access_record::Facts;
use super::field::{FIELDS, Field, Value, value};
use super::fields;
use super::line::{LineContext, path};
use crate::context::RequestContext;
use crate::redact;
use crate::write;

/// The combined format (<https://httpd.apache.org/docs/2.4/logs.html#combined>). The names of users are not known here.
const COMBINED: &str = "{client} - - [{clfTime}] \"{request}\" {status} {clfBytes} \"{referer}\" \"{userAgent}\"";

/// The maximum length of a template, in bytes.
pub const MAX_TEMPLATE: usize = 2048;

/// The names that only templates have, because they are written as in the logs of Apache.
const CLASSIC: [(&str, Classic); 4] =
    [("clfTime", Classic::Time), ("clfBytes", Classic::Bytes), ("request", Classic::Request), ("referer", Classic::Referer)];

/// What only templates have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Classic {
    /// `28/Nov/2026:09:30:00 +0000`
    Time,
    /// The size of the response body, or `-` if it is empty.
    Bytes,
    /// The request line, with a masked query.
    Request,
    /// `Referer`, with a masked query.
    Referer,
}

/// A part of a line.
#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<[u8]>),
    Field(Field, End),
    Classic(Classic, End),
}

/// The byte that follows a value in the template.
type End = u8;

/// A compiled template.
#[derive(Debug, PartialEq, Eq)]
pub struct Template(Box<[Segment]>);

/// The reason why a text is not a template.
#[derive(Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// The place of the error, as a byte range of the text.
    pub at: Range<usize>,
    /// What is wrong.
    pub title: String,
    /// The way to fix it.
    pub help: String,
}

fn error(at: Range<usize>, title: impl Into<String>, help: impl Into<String>) -> TemplateError {
    TemplateError { at, title: title.into(), help: help.into() }
}

impl Template {
    /// Returns the template of the combined format.
    pub fn combined() -> Self {
        Self::parse(COMBINED).unwrap_or_else(|_| Self(Box::default()))
    }

    /// Compiles a template. `{{` and `}}` stand for braces.
    ///
    /// # Errors
    /// Fails if a name is unknown, if a brace is not closed, if nothing of a request is written, or if a value and what follows it could not
    /// be told apart.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(error(0..text.len(), format!("a template has at most {MAX_TEMPLATE} bytes"), ""));
        }
        if let Some(at) = text.find(|c: char| c.is_control() && c != '\t') {
            return Err(error(at..at + 1, "a template is one line without control characters", "tabs are allowed"));
        }
        let mut segments = Vec::new();
        let (mut rest, mut at) = (text, 0);
        while !rest.is_empty() {
            let taken = match rest.as_bytes() {
                [b'{', b'{', ..] | [b'}', b'}', ..] => {
                    push_literal(&mut segments, &rest[..1]);
                    2
                }
                [b'{', ..] => place(rest, at, &mut segments)?,
                [b'}', ..] => return Err(error(at..at + 1, "`}` closes nothing", "write `}}` for a brace")),
                _ => {
                    let end = rest.find(['{', '}']).unwrap_or(rest.len());
                    push_literal(&mut segments, &rest[..end]);
                    end
                }
            };
            (rest, at) = (&rest[taken..], at + taken);
        }
        if segments.iter().all(|segment| matches!(segment, Segment::Literal(_))) {
            return Err(error(0..text.len(), "the template has no field", "for example: '{timestamp} {client} {method} {path} {status}'"));
        }
        close(&mut segments, text)?;
        Ok(Self(segments.into_boxed_slice()))
    }

    /// Appends the access line of a request.
    pub(super) fn append(&self, out: &mut Vec<u8>, context: &RequestContext, facts: &Facts, line: &LineContext<'_>) {
        for segment in &self.0 {
            match segment {
                Segment::Literal(text) => out.extend_from_slice(text),
                Segment::Field(field, end) => append_value(out, &value(*field, context, facts, line), *end),
                Segment::Classic(classic, end) => append_classic(out, *classic, context, facts, *end),
            }
        }
        out.push(b'\n');
    }
}

fn push_literal(segments: &mut Vec<Segment>, text: &str) {
    let before = match segments.pop() {
        Some(Segment::Literal(before)) => before.into_vec(),
        Some(other) => {
            segments.push(other);
            Vec::new()
        }
        None => Vec::new(),
    };
    segments.push(Segment::Literal([before.as_slice(), text.as_bytes()].concat().into_boxed_slice()));
}

/// Reads `{name}` at the beginning of `rest`, which is at `at` of the template. Returns its length.
fn place(rest: &str, at: usize, segments: &mut Vec<Segment>) -> Result<usize, TemplateError> {
    let Some(length) = rest.find('}').filter(|end| !rest[1..*end].contains('{')) else {
        return Err(error(at..at + 1, "`{` is never closed by `}`", "write `{{` for a brace"));
    };
    let name = &rest[1..length];
    let classic = CLASSIC.iter().find(|(known, _)| *known == name).map(|(_, classic)| *classic);
    segments.push(match (Field::named(name), classic) {
        (Some(field), _) => Segment::Field(field, b'\n'),
        (None, Some(classic)) => Segment::Classic(classic, b'\n'),
        (None, None) => return Err(error(at + 1..at + length, format!("unknown field `{name}`"), names_like(name))),
    });
    Ok(length + 1)
}

/// The names of other programs for some fields.
const ELSEWHERE: [(&str, &str); 12] = [
    ("time", "timestamp"),
    ("time_local", "clfTime"),
    ("time_iso8601", "timestamp"),
    ("remote_addr", "client"),
    ("ip", "client"),
    ("uri", "path"),
    ("bytes", "bytesOut"),
    ("body_bytes_sent", "bytesOut"),
    ("duration", "durationMs"),
    ("request_time", "durationMs"),
    ("upstream_addr", "endpoint"),
    ("id", "requestId"),
];

/// Returns a help text that suggests the name that was probably meant.
fn names_like(name: &str) -> String {
    let all: Vec<&str> = FIELDS.iter().map(|(known, _)| *known).chain(CLASSIC.iter().map(|(known, _)| *known)).collect();
    suggestion(name, &all)
}

/// Returns a help text that suggests one of some names in place of another.
pub fn suggestion(name: &str, known: &[&str]) -> String {
    let plain = name.replace(['-', '_'], "").to_ascii_lowercase();
    let same = known.iter().copied().find(|known| known.to_ascii_lowercase() == plain);
    let elsewhere = ELSEWHERE.iter().find(|(other, _)| *other == name).map(|(_, own)| *own).filter(|own| known.contains(own));
    match same.or(elsewhere).or_else(|| crate::config::words::nearest(name, known)) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("the fields are {}", known.join(", ")),
    }
}

/// Tells each value which byte follows it in the template.
fn close(segments: &mut [Segment], text: &str) -> Result<(), TemplateError> {
    let mut next = b'\n';
    for segment in segments.iter_mut().rev() {
        match segment {
            Segment::Literal(text) => next = text.first().copied().unwrap_or(next),
            Segment::Field(_, end) | Segment::Classic(_, end) => {
                // An escape has these bytes, so a reader could not tell where the value ends.
                if matches!(next, b'\\' | b'x' | b'0'..=b'9' | b'a'..=b'f') {
                    let title = format!("a field must not be followed by `{}`", char::from(next));
                    return Err(error(0..text.len(), title, "put a space or a quotation mark between them"));
                }
                *end = next;
            }
        }
    }
    Ok(())
}

fn append_value(out: &mut Vec<u8>, value: &Value<'_>, end: End) {
    let begin = out.len();
    match value {
        Value::Nothing => return out.push(b'-'),
        Value::Number(number) => return write::number(out, *number),
        Value::Duration(duration) => return fields::millis(out, *duration),
        Value::True => return out.extend_from_slice(b"true"),
        Value::Plain(text) | Value::Text(text) => out.extend_from_slice(text),
        Value::Query(query) => redact::masked_query(out, query.as_bytes()),
        Value::Time(time) => write::timestamp(out, *time),
        Value::Address(address) => fields::address(out, *address),
        Value::Original(original) => out.extend_from_slice(original.text.as_bytes()),
        Value::DryRun(would_be) => {
            // Writing to memory cannot fail.
            let _ = write!(out, "{} {}", would_be.status, would_be.code.as_deref().unwrap_or("-"));
        }
    }
    finish(out, begin, end);
}

fn append_classic(out: &mut Vec<u8>, classic: Classic, context: &RequestContext, facts: &Facts, end: End) {
    let begin = out.len();
    match classic {
        Classic::Time => fields::clf_time(out, context.wall),
        Classic::Bytes if facts.bytes_out == 0 => out.push(b'-'),
        Classic::Bytes => return write::number(out, facts.bytes_out),
        Classic::Request => {
            out.extend_from_slice(context.method.as_str().as_bytes());
            out.push(b' ');
            out.extend_from_slice(path(context).as_bytes());
            if let Some(query) = context.uri.query() {
                out.push(b'?');
                redact::masked_query(out, query.as_bytes());
            }
            out.extend_from_slice(fields::protocol_in_full(context.version));
        }
        Classic::Referer => redact::masked_url(out, context.named.referer()),
    }
    finish(out, begin, end);
}

/// Escapes what was appended from `begin` on; nothing becomes `-`.
fn finish(out: &mut Vec<u8>, begin: usize, end: End) {
    if out.len() == begin {
        return out.push(b'-');
    }
    let more: usize = out[begin..].iter().map(|byte| growth(*byte, end)).sum();
    if more > 0 {
        escape(out, begin, more, end);
    }
}

/// Returns the number of bytes by which a byte grows when it is escaped; 0 for one that is not.
fn growth(byte: u8, end: End) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        b' '..=b'~' if byte != end => 0,
        _ => 3,
    }
}

/// Escapes what was appended from `begin` on, from its end to its beginning, so that no further memory is needed.
fn escape(out: &mut Vec<u8>, begin: usize, more: usize, end: End) {
    let mut from = out.len();
    let mut to = from + more;
    out.resize(to, 0);
    while from > begin {
        from -= 1;
        let byte = out[from];
        match (growth(byte, end), byte) {
            (0, _) => {
                to -= 1;
                out[to] = byte;
            }
            (1, _) => {
                to -= 2;
                let short = match byte {
                    b'\n' => b'n',
                    b'\r' => b'r',
                    b'\t' => b't',
                    _ => byte,
                };
                out[to..to + 2].copy_from_slice(&[b'\\', short]);
            }
            (_, _) => {
                to -= 4;
                out[to..to + 2].copy_from_slice(b"\\x");
                write::hex(&[byte], &mut out[to + 2..to + 4]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(bytes: &[u8], end: End) -> Vec<u8> {
        let mut out = b"before ".to_vec();
        out.extend_from_slice(bytes);
        finish(&mut out, 7, end);
        out.split_off(7)
    }

    /// What a reader of lines makes of a value.
    fn unescaped(text: &[u8]) -> Vec<u8> {
        let (mut out, mut rest) = (Vec::new(), text);
        while let [first, more @ ..] = rest {
            rest = match (first, more) {
                (b'\\', [b'x', high, low, more @ ..]) => {
                    let digits = [*high, *low];
                    out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                    more
                }
                (b'\\', [short, more @ ..]) => {
                    out.push(match short {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        other => *other,
                    });
                    more
                }
                (byte, more) => {
                    out.push(*byte);
                    more
                }
            };
        }
        out
    }

    #[test]
    fn values_are_escaped_as_by_apache() {
        assert_eq!(escaped(b"a \"b\"\\\n\x1b\xc3\xa9", b'"'), br#"a \"b\"\\\n\x1b\xc3\xa9"#);
        assert_eq!(escaped(b"a b|c", b' '), br"a\x20b|c");
        assert_eq!(escaped(b"a b|c", b'|'), br"a b\x7cc");
        assert_eq!(escaped(b"", b' '), b"-");
    }

    #[test]
    fn the_combined_format_is_a_template() {
        assert_eq!(Template::parse(COMBINED), Ok(Template::combined()));
    }

    #[test]
    fn errors_name_the_place_and_what_was_meant() {
        let of = |text: &str| Template::parse(text).unwrap_err();
        let found = of("{client} {staus}");
        assert_eq!((found.at, found.help.as_str()), (10..15, "did you mean `status`?"));
        assert_eq!(of("{time}").help, "did you mean `timestamp`?");
        assert_eq!(of("{user_agent}").help, "did you mean `userAgent`?");
        assert!(of("{somethingElse}").help.contains("bytesOut"));
        assert_eq!((of("a {client").at, of("a {{client").title.as_str()), (2..3, "the template has no field"));
        assert_eq!(of("a {client} }").at, 11..12);
        assert_eq!(of("{cli{ent}").at, 0..1);
        assert!(of("").title.contains("no field") && of("{client}\n").title.contains("one line"));
        assert!(of("{path}x").title.contains("followed by `x`") && of("{path}{host}\\").title.contains("followed by"));
        assert!(of(&"{client} ".repeat(500)).title.contains("at most"));
        assert!(Template::parse("{{{client}}} {durationMs}ms {path}\t{userAgent}").is_ok());
    }

    proptest::proptest! {
        /// The line ends where it ends, the value ends at its end, and nothing is lost.
        #[test]
        fn any_value_is_read_back(bytes in proptest::collection::vec(proptest::num::u8::ANY, 1..60), end in "[ \"|\\]},;\t\n]") {
            let end = end.as_bytes()[0];
            let shown = escaped(&bytes, end);
            proptest::prop_assert!(shown.iter().all(|byte| (b' '..=b'~').contains(byte)));
            proptest::prop_assert!(end == b'"' || !shown.contains(&end));
            let quotes = shown.iter().enumerate().filter(|(_, byte)| **byte == b'"').all(|(at, _)| at > 0 && shown[at - 1] == b'\\');
            proptest::prop_assert!(quotes);
            proptest::prop_assert_eq!(unescaped(&shown), bytes);
        }

        #[test]
        fn any_text_is_a_template_or_an_error(text in "[a-z{}\\PC ]{0,40}") {
            if let Err(error) = Template::parse(&text) {
                proptest::prop_assert!(error.at.end <= text.len().max(1) && !error.title.is_empty());
            }
        }
    }
}
