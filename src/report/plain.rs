//! Plain-text errors: a short sentence is the message; a trace is not.

use super::{Report, is_status_phrase};
use crate::text::Untrusted;

/// Longest first paragraph that is taken for a message, in bytes.
const MAX_PARAGRAPH: usize = 600;

/// Reads a plain body: its first paragraph.
pub(super) fn read(text: &str) -> Report {
    let text = text.trim_start_matches('\u{feff}').trim();
    let paragraph = text.split("\n\n").next().unwrap_or(text).trim();
    let usable = !paragraph.is_empty() && paragraph.len() <= MAX_PARAGRAPH && !is_status_phrase(paragraph);
    // A second paragraph may hold what the first one only announces (a trace): the redactor must see it all.
    let whole = if text.len() <= 2 * MAX_PARAGRAPH { text } else { paragraph };
    Report { message: usable.then(|| Untrusted::new(if whole == text { text } else { paragraph })), ..Report::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_messages_and_phrases_are_not() {
        assert_eq!(read("Order 7 is locked\n").message, Some(Untrusted::new("Order 7 is locked")));
        assert_eq!(read("Not Found").message, None);
        assert_eq!(read(&"x".repeat(2_000)).message, None);
    }
}
