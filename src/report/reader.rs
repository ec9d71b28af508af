//! Detects the format of a body by its content, and calls the parser of that format. Knows no format in detail.

use super::found::Report;
use super::phrases::{is_status_phrase, phrase};
use super::unwrap::{self, Inner};
use super::{html, json, plain, xml};
use crate::language::Languages;
use crate::text::Untrusted;

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No content.
    Empty,
    /// A JSON object or array.
    Json,
    /// An HTML page.
    Html,
    /// XML other than HTML.
    Xml,
    /// Readable text.
    Text,
    /// Not text.
    Binary,
}

/// Returns the format of a decoded body by its first bytes, because the declared type is often wrong.
pub fn kind_of(text: &str) -> Kind {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    if start.is_empty() {
        return Kind::Empty;
    }
    if start.starts_with(['{', '[']) {
        return Kind::Json;
    }
    let lower: String = start.chars().take(64).collect::<String>().to_ascii_lowercase();
    if ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| lower.starts_with(tag)) || is_html_fragment(&lower) {
        Kind::Html
    } else if lower.starts_with("<?xml") || (start.starts_with('<') && start.trim_end().ends_with('>')) {
        if lower.contains("<html") || start.contains("<html") || start.contains("</html>") { Kind::Html } else { Kind::Xml }
    } else if start.chars().take(512).any(|c| c == '\u{fffd}' || (c.is_control() && !c.is_whitespace())) {
        Kind::Binary
    } else {
        Kind::Text
    }
}

/// Returns true for a page without `<html>` that starts with an HTML element.
fn is_html_fragment(lower: &str) -> bool {
    const TAGS: &[&str] = &[
        "title", "meta", "h1", "h2", "h3", "p", "div", "pre", "center", "br", "b", "hr", "style", "script", "span", "table", "font", "!--",
    ];
    let Some(rest) = lower.strip_prefix('<') else { return false };
    TAGS.iter()
        .any(|tag| rest.strip_prefix(tag).is_some_and(|behind| *tag == "!--" || behind.starts_with(['>', ' ', '/', '\n', '\r', '\t'])))
}

/// Parses a decoded error body with its declared content type. If the type is not a text, a body that is plain text is ignored, but JSON,
/// HTML and XML are parsed.
pub fn read_as(text: &str, content_type: Option<&str>, languages: Languages<'_>) -> Report {
    let declared = content_type.unwrap_or_default().trim_start().to_ascii_lowercase();
    let other = ["multipart/", "image/", "audio/", "video/", "font/", "application/octet-stream", "application/pdf", "application/zip"];
    // A part of a multipart body may be JSON.
    let has_wrapper = || declared.starts_with("multipart/") && unwrap::unwrap(text).is_some();
    if other.iter().any(|prefix| declared.starts_with(prefix)) && kind_of(text) == Kind::Text && !has_wrapper() {
        return Report::default();
    }
    read_in(text, languages)
}

/// Parses a decoded error body.
pub fn read(text: &str) -> Report {
    read_in(text, Languages::default())
}

/// Parses a decoded error body. Of a message in several languages, the wanted one counts.
pub fn read_in(text: &str, languages: Languages<'_>) -> Report {
    match kind_of(text) {
        // `[error]` starts an INI file as well as a JSON array.
        Kind::Json => read_json(text, languages, MAX_WRAPPERS).unwrap_or_else(|| plain::read(text)),
        Kind::Text => read_wrapped(text, languages, MAX_WRAPPERS).unwrap_or_else(|| plain::read(text)),
        Kind::Html => html::read(text),
        Kind::Xml => xml::read(text, languages),
        Kind::Empty | Kind::Binary => Report::default(),
    }
}

/// The maximum number of wrappers around JSON that are removed.
const MAX_WRAPPERS: usize = 3;

/// Parses a body that starts like JSON. Of several documents, the first that reports an error counts.
fn read_json(text: &str, languages: Languages<'_>, wrappers: usize) -> Option<Report> {
    let report = json::read(text, languages);
    if report.as_ref().is_some_and(says_something) || wrappers == 0 {
        return report;
    }
    let documents = unwrap::documents(text).into_iter().flatten().skip(1);
    documents.filter_map(|document| read_json(&document, languages, 0)).find(says_something).or(report)
}

/// Parses JSON that is wrapped into something else, and JSON strings.
fn read_wrapped(text: &str, languages: Languages<'_>, wrappers: usize) -> Option<Report> {
    let left = wrappers.checked_sub(1)?;
    match unwrap::unwrap(text)? {
        Inner::Json(documents) => {
            let reports = documents.iter().filter_map(|document| read_json(document, languages, left));
            Some(reports.reduce(|first, next| if says_something(&first) { first } else { next }).unwrap_or_default())
        }
        Inner::Text(inner) if inner.trim_start().starts_with('"') => read_wrapped(&inner, languages, left),
        Inner::Text(inner) => {
            let message = Some(inner.trim()).filter(|text| !text.is_empty() && !is_status_phrase(text));
            Some(Report { message: message.map(Untrusted::new), phrase: phrase(inner.trim()), ..Report::default() })
        }
    }
}

fn says_something(report: &Report) -> bool {
    report.message.is_some() || report.code.is_some() || !report.fields.is_empty()
}

/// Returns true for an error page of a server or a framework: its title or first heading is a status, not a sentence.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_detected_by_content() {
        assert_eq!(kind_of(" {\"a\":1}"), Kind::Json);
        assert_eq!(kind_of("<!DOCTYPE html><p>"), Kind::Html);
        assert_eq!(kind_of("<?xml version=\"1.0\"?><Error/>"), Kind::Xml);
        assert_eq!(kind_of("<h1>Erreur</h1><p>x</p>"), Kind::Html);
        assert_eq!(kind_of("<problem><title>x</title></problem>"), Kind::Xml);
        assert_eq!(kind_of("oops"), Kind::Text);
        assert_eq!(kind_of("\u{0}\u{1}"), Kind::Binary);
        assert_eq!(kind_of("  "), Kind::Empty);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in "\\PC{0,200}|[\\[\\]{}\",:a-z0-9 ]{0,200}") {
            read(&text);
        }
    }
}
