//! What the upstream itself said about its error: bytes in, a [`Report`] out.
//!
//! It reads and never judges: everything in a report is [`Untrusted`] until the redactor has seen it. Pure, bounded by the
//! body it is given.

pub mod database;
pub mod decode;
pub mod excerpt;
mod html;
mod json;
mod names;
mod plain;
pub mod success;
mod xml;

use crate::text::Untrusted;

/// What was found in an error body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The sentence for people.
    pub message: Option<Untrusted>,
    /// Other sentences that may be it, best first: the reader of a page cannot be sure.
    pub alternatives: Vec<Untrusted>,
    /// The machine code.
    pub code: Option<Untrusted>,
    /// Field path and its messages, in the order found.
    pub fields: Vec<(String, Vec<Untrusted>)>,
    /// RFC 9457 `type`.
    pub problem_type: Option<Untrusted>,
    /// `id` of the JSON-RPC call that failed, as JSON.
    pub rpc_id: Option<String>,
    /// Class of the exception.
    pub exception: Option<Untrusted>,
    /// Stack trace.
    pub stack: Option<Untrusted>,
    /// What the upstream named as the cause.
    pub cause: Option<Untrusted>,
    /// How sure the reader is.
    pub certainty: Certainty,
}

/// How sure a reader is of what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The one text that could be it.
    #[default]
    Guess,
    /// It stands under a name that is used for it.
    Likeness,
    /// The shape is known.
    Known,
}

impl Certainty {
    /// The word in the `debug` object.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Guess => "guess",
            Self::Likeness => "likeness",
            Self::Known => "known",
        }
    }
}

/// What kind of text a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing there.
    Empty,
    /// A JSON object or array.
    Json,
    /// An HTML page.
    Html,
    /// Some other XML.
    Xml,
    /// Readable text.
    Text,
    /// Not text.
    Binary,
}

/// What a decoded body is, by its first bytes; the declared type is often wrong.
pub fn kind_of(text: &str) -> Kind {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let lower: String = start.chars().take(64).collect::<String>().to_ascii_lowercase();
    if start.is_empty() {
        Kind::Empty
    } else if start.starts_with(['{', '[']) {
        Kind::Json
    } else if ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| lower.starts_with(tag)) || is_html_fragment(&lower) {
        Kind::Html
    } else if lower.starts_with("<?xml") || (start.starts_with('<') && start.trim_end().ends_with('>')) {
        if lower.contains("<html") || start.contains("<html") || start.contains("</html>") { Kind::Html } else { Kind::Xml }
    } else if start.chars().take(512).any(|c| c == '\u{fffd}' || (c.is_control() && !c.is_whitespace())) {
        Kind::Binary
    } else {
        Kind::Text
    }
}

/// A page without `<html>`: it begins with an element that only HTML has.
fn is_html_fragment(lower: &str) -> bool {
    const TAGS: &[&str] = &[
        "title", "meta", "h1", "h2", "h3", "p", "div", "pre", "center", "br", "b", "hr", "style", "script", "span", "table", "font", "!--",
    ];
    let Some(rest) = lower.strip_prefix('<') else { return false };
    TAGS.iter()
        .any(|tag| rest.strip_prefix(tag).is_some_and(|behind| *tag == "!--" || behind.starts_with(['>', ' ', '/', '\n', '\r', '\t'])))
}

/// Reads a decoded error body that was sent as this type. What is declared to be no text is read only where it is a document
/// all the same.
pub fn read_as(text: &str, content_type: Option<&str>) -> Report {
    let declared = content_type.unwrap_or_default().trim_start().to_ascii_lowercase();
    let other = ["multipart/", "image/", "audio/", "video/", "font/", "application/octet-stream", "application/pdf", "application/zip"];
    if other.iter().any(|prefix| declared.starts_with(prefix)) && kind_of(text) == Kind::Text {
        return Report::default();
    }
    read(text)
}

/// Reads a decoded error body.
pub fn read(text: &str) -> Report {
    match kind_of(text) {
        // `[error]` begins an INI file, not a list.
        Kind::Json => json::read(text).unwrap_or_else(|| plain::read(text)),
        Kind::Text => plain::read(text),
        Kind::Html => html::read(text),
        Kind::Xml => xml::read(text),
        Kind::Empty | Kind::Binary => Report::default(),
    }
}

/// True for a page that only a server or framework would write: its title or first heading is a status, not a sentence.
pub fn is_framework_page(text: &str) -> bool {
    let between = |tag: &str| {
        let lower = text.to_ascii_lowercase();
        let start = lower.find(&format!("<{tag}"))?;
        let open = start + lower[start..].find('>')? + 1;
        let end = open + lower[open..].find("</")?;
        text.get(open..end).map(str::to_owned)
    };
    ["title", "h1"].iter().filter_map(|tag| between(tag)).any(|heading| {
        let heading = heading.trim();
        is_status_phrase(heading)
            || heading.starts_with(|c: char| c.is_ascii_digit())
            || heading.contains("HTTP Status")
            || ["error report", "server error in", "detailed error", "runtime error", "error page"]
                .iter()
                .any(|words| heading.to_ascii_lowercase().contains(words))
            || heading.to_ascii_lowercase().starts_with("error")
    })
}

/// What stands behind a label: `Message Order 5 is paid`, `Reason: no stock`.
fn labelled<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    let head = text.get(..label.len()).filter(|head| head.eq_ignore_ascii_case(label))?;
    let rest = text.get(label.len()..)?;
    // "Message" is a label only as a word of its own, written as one: with a colon, or capitalised.
    rest.strip_prefix(':').or_else(|| rest.strip_prefix(' ').filter(|_| label == "message" && head.starts_with('M'))).map(str::trim)
}

/// Labels of the sentence, best first.
const LABELS: &[&str] = &["message", "error message", "error description", "error_description", "reason", "detail", "details", "error"];

/// A text without the status in front of it: `404 Not here`, `Error 404: Not here`, `HTTP Status 404 - Not here`.
fn without_status(text: &str) -> &str {
    let text = text.trim();
    let mut rest = text;
    for word in ["HTTP Status", "HTTP Error", "HTTP ERROR", "HTTP", "Error:", "Error", "Status"] {
        if let Some(behind) = rest.strip_prefix(word).filter(|behind| behind.starts_with([' ', ':'])) {
            rest = behind.trim_start_matches([' ', ':']);
            break;
        }
    }
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits != 3 {
        return if rest.len() < text.len() && is_phrase(rest) { rest } else { text };
    }
    let behind = rest[3..].trim_start_matches([' ', ':', '-', '.', '\u{2013}', '\u{2014}', '|']);
    if behind.is_empty() { text } else { behind }
}

/// True for a bare status phrase ("Not Found", "404 Bad Request", "Forbidden (403)"): it says no more than the status does.
fn is_status_phrase(text: &str) -> bool {
    is_phrase(without_status(text))
}

fn is_phrase(text: &str) -> bool {
    let squash = |s: &str| s.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()).collect::<String>();
    if !text.is_ascii() || text.len() > 48 {
        return false;
    }
    let wanted = squash(text);
    let named =
        (400..600u16).filter_map(|code| http::StatusCode::from_u16(code).ok()?.canonical_reason()).any(|phrase| squash(phrase) == wanted);
    named || matches!(wanted.as_str(), "error" | "accessdenied" | "unprocessableentity" | "servererror" | "oops" | "errorpage")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_seen_through_wrong_types() {
        assert_eq!(kind_of(" {\"a\":1}"), Kind::Json);
        assert_eq!(kind_of("<!DOCTYPE html><p>"), Kind::Html);
        assert_eq!(kind_of("<?xml version=\"1.0\"?><Error/>"), Kind::Xml);
        assert_eq!(kind_of("<h1>Erreur</h1><p>x</p>"), Kind::Html);
        assert_eq!(kind_of("<problem><title>x</title></problem>"), Kind::Xml);
        assert_eq!(kind_of("oops"), Kind::Text);
        assert_eq!(kind_of("\u{0}\u{1}"), Kind::Binary);
        assert_eq!(kind_of("  "), Kind::Empty);
    }

    #[test]
    fn status_phrases_say_nothing() {
        assert!(is_status_phrase("404 Not Found"));
        assert!(is_status_phrase("Bad Request."));
        assert!(!is_status_phrase("Order 7 not found"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,200}|[\\[\\]{}\",:a-z0-9 ]{0,200}") {
            read(&text);
        }
    }
}
