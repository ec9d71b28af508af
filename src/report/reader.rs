//! Detects the format of a body by its content, and calls the parser of that format. Knows no format in detail.

use super::found::Report;
use super::phrases::is_status_phrase;
use super::{html, json, plain, xml};

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
pub fn read_as(text: &str, content_type: Option<&str>) -> Report {
    let declared = content_type.unwrap_or_default().trim_start().to_ascii_lowercase();
    let other = ["multipart/", "image/", "audio/", "video/", "font/", "application/octet-stream", "application/pdf", "application/zip"];
    if other.iter().any(|prefix| declared.starts_with(prefix)) && kind_of(text) == Kind::Text {
        return Report::default();
    }
    read(text)
}

/// Parses a decoded error body.
pub fn read(text: &str) -> Report {
    match kind_of(text) {
        // `[error]` starts an INI file as well as a JSON array.
        Kind::Json => json::read(text).unwrap_or_else(|| plain::read(text)),
        Kind::Text => plain::read(text),
        Kind::Html => html::read(text),
        Kind::Xml => xml::read(text),
        Kind::Empty | Kind::Binary => Report::default(),
    }
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
