//! Finds the part of a dirty message that may be kept: the sentences before the first dirty one. Knows no rule; the caller decides which
//! sentence is dirty.

/// The minimum length of the kept part, in characters.
const MIN_REMAINDER: usize = 8;

/// Returns the leading sentences that are not `dirty`, or `None` if they are not informative by themselves.
pub(super) fn clean_lead(text: &str, dirty: impl Fn(&str) -> bool) -> Option<&str> {
    let mut kept = 0;
    for (start, end) in sentences(text) {
        let sentence = &text[start..end];
        if !sentence.trim().is_empty() && (dirty(sentence) || introduces(sentence)) {
            break;
        }
        kept = end;
    }
    let lead = text[..kept].trim();
    let kept_text = lead.strip_prefix("Error: ").unwrap_or(lead).trim();
    // A single word or a generic phrase is not a sentence for a client.
    let is_informative = kept_text.chars().count() >= MIN_REMAINDER && (kept_text.split_whitespace().count() >= 2 || !kept_text.is_ascii());
    (is_informative && kept < text.len() && !is_generic(kept_text)).then_some(kept_text)
}

/// Returns the byte ranges of the sentences. A sentence ends at a line end, or at a full stop, exclamation mark or question mark before
/// white space.
fn sentences(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut start = 0;
    let mut ends = Vec::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        let ends_here = match c {
            '\n' | '\r' | '。' | '！' | '？' => true,
            '.' | '!' | '?' => next.is_none_or(char::is_whitespace),
            _ => false,
        };
        if ends_here {
            let end = at + c.len_utf8();
            ends.push((start, end));
            start = end;
        }
    }
    if start < text.len() {
        ends.push((start, text.len()));
    }
    ends.into_iter()
}

/// Returns true if the sentence only introduces the text after it.
fn introduces(sentence: &str) -> bool {
    sentence.trim_end().ends_with([':', '-', '>', '=', ',', '(', '{', '['])
}

/// Returns true if the text consists of words that name a failure without describing it.
fn is_generic(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "a",
        "an",
        "application",
        "has",
        "been",
        "error",
        "errors",
        "exception",
        "fatal",
        "failed",
        "failure",
        "internal",
        "occurred",
        "request",
        "server",
        "something",
        "stack",
        "stacktrace",
        "the",
        "trace",
        "unexpected",
        "unhandled",
        "unknown",
        "warning",
        "was",
        "went",
        "wrong",
        "your",
        "while",
        "processing",
        "backtrace",
        "in",
        "thrown",
        "uncaught",
        "details",
        "message",
        "description",
        "type",
        "report",
    ];
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .all(|word| WORDS.contains(&word.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead(text: &str) -> Option<&str> {
        clean_lead(text, |sentence| sentence.contains("DIRT"))
    }

    #[test]
    fn leading_clean_sentences_are_kept() {
        assert_eq!(lead("The order is locked. DIRT at x"), Some("The order is locked."));
        assert_eq!(lead("Error: You may not see this\n    at DIRT"), Some("You may not see this"));
        assert_eq!(lead("주문이 잠겨 있습니다. DIRT"), Some("주문이 잠겨 있습니다."));
    }

    #[test]
    fn uninformative_leads_are_dropped() {
        for text in
            ["DIRT. The order is locked.", "An unexpected error occurred. DIRT", "The cause was:\nDIRT", "Oops. DIRT", "Locked by DIRT", ""]
        {
            assert_eq!(lead(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn lead_is_a_clean_part_of_the_text(text in "[a-zDIRT .\\n:\u{ac00}]{0,60}") {
            if let Some(lead) = lead(&text) {
                proptest::prop_assert!(text.contains(lead) && !lead.contains("DIRT"));
            }
        }
    }
}
