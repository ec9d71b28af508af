//! What may stay of a message that is not clean as a whole: the sentences before the first dirty one.

/// The shortest remainder that still says something, in characters.
const MIN_REMAINDER: usize = 8;

/// The leading sentences that `dirty` finds nothing in; `None` when they say nothing by themselves.
pub(super) fn clean_lead(text: &str, dirty: impl Fn(&str) -> bool) -> Option<&str> {
    let mut kept = 0;
    for (start, end) in sentences(text) {
        let sentence = &text[start..end];
        if !sentence.trim().is_empty() && (dirty(sentence) || announces(sentence)) {
            break;
        }
        kept = end;
    }
    let lead = text[..kept].trim();
    let told = lead.strip_prefix("Error: ").unwrap_or(lead).trim();
    // One word, or the mere name of the misfortune, is no sentence for a client.
    let says = told.chars().count() >= MIN_REMAINDER && (told.split_whitespace().count() >= 2 || !told.is_ascii());
    (says && kept < text.len() && !is_generic(told)).then_some(told)
}

/// Byte ranges of sentences: they end with a line, or behind a full stop before white space.
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

/// A sentence that only leads to what follows.
fn announces(sentence: &str) -> bool {
    sentence.trim_end().ends_with([':', '-', '>', '=', ',', '(', '{', '['])
}

/// Words that name a failure and tell nothing of it.
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
    fn clean_sentences_in_front_stay() {
        assert_eq!(lead("The order is locked. DIRT at x"), Some("The order is locked."));
        assert_eq!(lead("Error: You may not see this\n    at DIRT"), Some("You may not see this"));
        assert_eq!(lead("주문이 잠겨 있습니다. DIRT"), Some("주문이 잠겨 있습니다."));
    }

    #[test]
    fn what_says_nothing_goes() {
        for text in
            ["DIRT. The order is locked.", "An unexpected error occurred. DIRT", "The cause was:\nDIRT", "Oops. DIRT", "Locked by DIRT", ""]
        {
            assert_eq!(lead(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_rest_is_a_part_and_clean(text in "[a-zDIRT .\\n:\u{ac00}]{0,60}") {
            if let Some(lead) = lead(&text) {
                proptest::prop_assert!(text.contains(lead) && !lead.contains("DIRT"));
            }
        }
    }
}
