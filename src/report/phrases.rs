//! Phrases that several parsers recognize: labels of a message, and status phrases, which add nothing to the status. Knows no format.

use std::sync::LazyLock;

use crate::text::Untrusted;

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

/// The maximum length of a status phrase, in bytes.
const MAX_PHRASE: usize = 48;

fn is_phrase(text: &str) -> bool {
    if !text.is_ascii() || text.len() > MAX_PHRASE || has_other_number(text) {
        return false;
    }
    let (mut folded, mut length) = ([0; MAX_PHRASE], 0);
    for letter in letters(text) {
        folded[length] = letter;
        length += 1;
    }
    PHRASES.binary_search_by(|phrase| (**phrase).cmp(&folded[..length])).is_ok()
}

/// The letters of all phrases, sorted.
static PHRASES: LazyLock<Vec<Box<[u8]>>> = LazyLock::new(|| {
    let named = (400..600).filter_map(|status| http::StatusCode::from_u16(status).ok()?.canonical_reason());
    let others = OTHER_PHRASES.iter().map(|(phrase, _)| *phrase).chain(GENERIC.iter().copied());
    let mut phrases: Vec<Box<[u8]>> = named.chain(others).map(|phrase| letters(phrase).collect()).collect();
    phrases.sort_unstable();
    phrases
});

/// Phrases beside the standard ones, with their statuses.
const OTHER_PHRASES: &[(&str, &[u16])] = &[("access denied", &[401, 403]), ("unprocessable entity", &[422]), ("server error", &[500])];
/// Words that any error may have.
const GENERIC: &[&str] = &["error", "oops", "error page", "server error"];

/// Returns true for the phrase of this very status.
pub fn is_phrase_of(text: &str, status: u16) -> bool {
    text.is_ascii() && text.len() <= MAX_PHRASE && names_status(strip_status(text), status)
}

/// Returns a status phrase that is written for people: not a single word in one case, which is a code, and not `Error`.
pub(super) fn phrase(text: &str) -> Option<Untrusted> {
    let bare = strip_status(text);
    let is_word = || {
        let mut letters = bare.trim_end_matches(['.', '!']).chars();
        letters.next().is_some_and(|first| first.is_ascii_uppercase()) && letters.all(|c| c.is_ascii_lowercase())
    };
    let is_written = bare.contains(' ') || is_word();
    (is_written && is_phrase(bare) && !is_generic(bare)).then(|| Untrusted::new(bare))
}

/// Returns true if the text has digits that are not one status: `Error: 7` says more than `Error`, and `Forbidden (403)` does not.
fn has_other_number(text: &str) -> bool {
    let digits = || text.bytes().filter(u8::is_ascii_digit);
    digits().next().is_some_and(|first| digits().count() != 3 || !matches!(first, b'4' | b'5'))
}

/// Returns the letters of a text in lower case.
fn letters(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().filter(u8::is_ascii_alphabetic).map(|byte| byte.to_ascii_lowercase())
}

fn has_letters_of(text: &str, phrase: &str) -> bool {
    letters(phrase).eq(letters(text))
}

fn names_status(text: &str, status: u16) -> bool {
    let named = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let others = OTHER_PHRASES.iter().filter(|(_, statuses)| statuses.contains(&status)).map(|(phrase, _)| *phrase);
    named.into_iter().chain(others).any(|phrase| has_letters_of(text, phrase))
}

fn is_generic(text: &str) -> bool {
    GENERIC.iter().any(|phrase| has_letters_of(text, phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_phrases_are_recognized() {
        assert!(is_status_phrase("404 Not Found"));
        assert!(is_status_phrase("Bad Request."));
        assert!(is_status_phrase("Forbidden (403)") && !is_status_phrase("Error: 7") && !is_status_phrase("Error 12003"));
        assert!(!is_status_phrase("Order 7 not found"));
        assert!(is_status_phrase("access-denied!") && is_status_phrase("UnprocessableEntity") && !is_status_phrase(""));
        for phrase in (400..600).filter_map(|code| http::StatusCode::from_u16(code).ok()?.canonical_reason()) {
            assert!(is_status_phrase(phrase), "{phrase}");
        }
        assert!(is_status_phrase("Access denied") && is_status_phrase("Error"));
        assert!(is_phrase_of("Not Found", 404) && is_phrase_of("Access denied.", 403) && !is_phrase_of("Not Found", 400));
    }

    #[test]
    fn phrases_for_people_are_told_from_codes() {
        for text in ["Access denied", "404 Not Found", "Forbidden", "not found"] {
            assert!(phrase(text).is_some(), "{text}");
        }
        for text in ["Error", "not_found", "FORBIDDEN", "BadRequest", "conflict", "Order 7 not found"] {
            assert_eq!(phrase(text), None, "{text}");
        }
    }
}
