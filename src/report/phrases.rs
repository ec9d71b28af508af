//! Phrases that several parsers recognize: labels of a message, and status phrases, which add nothing to the status. Knows no format.

/// Returns the text after a label: `Message Order 5 is paid`, `Reason: no stock`.
pub(super) fn after_label<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    let head = text.get(..label.len()).filter(|head| head.eq_ignore_ascii_case(label))?;
    let rest = text.get(label.len()..)?;
    // Without a colon, only a capitalized "Message" is a label.
    rest.strip_prefix(':').or_else(|| rest.strip_prefix(' ').filter(|_| label == "message" && head.starts_with('M'))).map(str::trim)
}

/// The labels of a message, best first.
pub(super) const LABELS: &[&str] =
    &["message", "error message", "error description", "error_description", "reason", "detail", "details", "error"];

/// Returns the text without a leading status: `404 Not here`, `Error 404: Not here`, `HTTP Status 404 - Not here`.
pub(super) fn strip_status(text: &str) -> &str {
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

/// Returns true for a status phrase ("Not Found", "404 Bad Request", "Forbidden (403)"), which adds nothing to the status.
pub(super) fn is_status_phrase(text: &str) -> bool {
    is_phrase(strip_status(text))
}

fn is_phrase(text: &str) -> bool {
    if text.len() > 48 || !text.is_ascii() {
        return false;
    }
    // The codes that have a phrase. Comparing letter by letter, most phrases differ in the first.
    let codes = (400..452u16).chain(500..512);
    let named = codes.filter_map(|code| http::StatusCode::from_u16(code).ok()?.canonical_reason());
    named.chain(OTHER_PHRASES.iter().copied()).any(|phrase| letters(phrase).eq(letters(text)))
}

/// Phrases beside those of the status codes.
const OTHER_PHRASES: &[&str] = &["error", "access denied", "unprocessable entity", "server error", "oops", "error page"];

/// Returns the letters of a text in lower case.
fn letters(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().filter(u8::is_ascii_alphabetic).map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_phrases_are_recognized() {
        assert!(is_status_phrase("404 Not Found"));
        assert!(is_status_phrase("Bad Request."));
        assert!(!is_status_phrase("Order 7 not found"));
        assert!(is_status_phrase("access-denied!") && is_status_phrase("UnprocessableEntity") && !is_status_phrase(""));
        for code in (400..600).filter_map(|code| http::StatusCode::from_u16(code).ok()?.canonical_reason()) {
            assert!(is_status_phrase(code), "{code}");
        }
    }
}
