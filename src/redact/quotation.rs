//! Finds quotations in a message that only name an exception: `The tag "KeyError in checkout" already exists.` Such words are the client's
//! own. Knows how people quote, and no rule; the caller decides whether the rest is clean.

/// The marks that open a quotation, and those that close it.
const MARKS: &[(char, char)] = &[('"', '"'), ('“', '”'), ('„', '“'), ('«', '»'), ('「', '」'), ('『', '』')];
/// The maximum length of a quotation, in bytes.
const MAX_LENGTH: usize = 120;
/// The minimum number of words around the quotations.
const MIN_WORDS: usize = 3;

/// Words that make the name an exception of the service itself.
const OWN: &[&str] = &[
    "bean",
    "cause",
    "caught",
    "class",
    "error",
    "exception",
    "fail",
    "fault",
    "file",
    "function",
    "handler",
    "instance",
    "internal",
    "line",
    "method",
    "module",
    "object",
    "rais",
    "service",
    "thread",
    "threw",
    "throw",
    "type",
    "unexpected",
];

/// Returns the text without its quotations of names, or `None` if there are none or the sentence does not stand without them.
pub(super) fn without_names(text: &str) -> Option<String> {
    let mut rest = String::with_capacity(text.len());
    let mut found = false;
    let mut kept = 0;
    let mut from = 0;
    while let Some((at, open)) = text[from..].char_indices().find(|(_, c)| MARKS.iter().any(|(open, _)| open == c)) {
        let start = from + at + open.len_utf8();
        let close = MARKS.iter().find(|(mark, _)| *mark == open).map_or(open, |(_, close)| *close);
        let Some(length) = text[start..].find(close).filter(|length| *length <= MAX_LENGTH) else {
            from = start;
            continue;
        };
        let end = start + length;
        if is_name(&text[start..end]) {
            found = true;
            rest.push_str(&text[kept..start]);
            kept = end;
        }
        from = end + close.len_utf8();
    }
    rest.push_str(&text[kept..]);
    (found && stands(&rest)).then_some(rest)
}

/// Returns true for words, one of which names an exception. A qualified name, a path, a call or an assignment is more than a name.
fn is_name(quoted: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, ' ' | ',' | '?' | '!' | '\'' | '-');
    // A colon is followed by a space or by the end.
    let mut parts = quoted.split(':').skip(1);
    let names = |word: &str| word.ends_with("Exception") || word.ends_with("Error") || word.ends_with("Exceptions");
    quoted.chars().all(|c| is_word(c) || c == ':')
        && parts.all(|part| part.is_empty() || part.starts_with(' '))
        && quoted.split(|c: char| !c.is_alphanumeric()).any(names)
}

/// Returns true if the text is a sentence of its own that does not say whose exception it is. Nothing introduces the quotation as a cause.
fn stands(rest: &str) -> bool {
    let words = rest.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let lower = rest.to_lowercase();
    let tail = rest.trim_end_matches(|c: char| !c.is_alphanumeric());
    let ends_in_word = MARKS.iter().all(|(_, close)| !rest[tail.len()..].contains(*close));
    let introduced = MARKS.iter().any(|(open, _)| rest.contains(&format!(": {open}")) || rest.contains(&format!(":{open}")));
    words.count() >= MIN_WORDS && ends_in_word && !introduced && !OWN.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_quotations_are_left_out() {
        for (text, rest) in [
            ("The tag \"NullPointerException\" already exists.", "The tag \"\" already exists."),
            ("A note named “KeyError: what is it?” exists already.", "A note named “” exists already."),
        ] {
            assert_eq!(without_names(text).as_deref(), Some(rest), "{text}");
        }
    }

    #[test]
    fn other_quotations_stay() {
        for text in [
            "The tag \"chairs\" already exists.",
            "The handler \"OrderException\" was not found.",
            "Cannot pay now: \"CardDeclinedException\" came back.",
            "The payment ended with \"CardDeclinedException\"",
            "The tag \"com.acme.OrderException\" already exists.",
            "The tag \"OrderException(7)\" already exists.",
            "\"OrderException\" seen",
            "The tag \"OrderException",
        ] {
            assert_eq!(without_names(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[\"“”«»a-zE:. ]{0,40}|(\"|“|”|KeyError| |a|:|é){0,20}") {
            if let Some(rest) = without_names(&text) {
                proptest::prop_assert!(rest.len() < text.len());
            }
        }
    }
}
