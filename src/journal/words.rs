//! The words of an entry that a search finds. All stores use these, so that all of them find the same entries.
//!
//! A word is a run of letters and digits, in lower case and cut after [`MAX_WORD`] characters. Pure functions of an entry.

use std::collections::HashSet;

use super::entry::Entry;

/// The longest word, in characters. What is longer is found by its beginning.
const MAX_WORD: usize = 40;
/// The most different words of an entry.
const MAX_WORDS: usize = 4096;
/// The most words of a search. Further words do not restrict it.
const MAX_WANTED: usize = 16;

/// The words of an entry.
///
/// Occurrences of one fault have most words in common. A store that indexes those once for all of them writes a tenth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// The words of the stack, and all words without digits. In the order of the alphabet.
    pub(super) common: Vec<String>,
    /// The other words: ids, numbers, times.
    pub(super) own: Vec<String>,
}

/// Returns the words of a text, as they are: not in lower case and not cut.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn folded(word: &str) -> String {
    let end = word.char_indices().nth(MAX_WORD).map_or(word.len(), |(at, _)| at);
    let word = &word[..end];
    if word.is_ascii() { word.to_ascii_lowercase() } else { word.to_lowercase() }
}

/// Returns the words that a search asks for. Each of them must begin a word of the entry.
pub(super) fn wanted(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in split(text).map(folded) {
        if found.len() < MAX_WANTED && !found.contains(&word) {
            found.push(word);
        }
    }
    found
}

/// Returns the words of an entry: of the path, the title, the message, the exception, the stack, the causes and the bodies.
pub(super) fn of(entry: &Entry) -> Words {
    let rest = [
        Some(&entry.path),
        Some(&entry.title),
        entry.message.as_ref(),
        entry.exception.as_ref(),
        entry.cause.as_ref(),
        entry.caused_by.as_ref(),
        entry.upstream_body.as_ref(),
        entry.answer_body.as_ref(),
    ];
    // A word that was seen in the same spelling is not folded again.
    let mut seen: HashSet<&str, foldhash::fast::FixedState> = HashSet::default();
    let mut words = Words::default();
    for word in entry.stack.iter().flat_map(|stack| split(stack)) {
        if seen.len() < MAX_WORDS && seen.insert(word) {
            words.common.push(folded(word));
        }
    }
    for word in rest.into_iter().flatten().flat_map(|text| split(text)) {
        if seen.len() < MAX_WORDS && seen.insert(word) {
            let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
            if has_digit { &mut words.own } else { &mut words.common }.push(folded(word));
        }
    }
    words.common.sort_unstable();
    words.common.dedup();
    words.own.sort_unstable();
    words.own.dedup();
    words
}

impl Words {
    /// Returns true if each of the wanted words begins a word.
    pub(super) fn have(&self, wanted: &[String]) -> bool {
        let has = |words: &[String], prefix: &str| {
            let at = words.partition_point(|word| word.as_str() < prefix);
            words.get(at).is_some_and(|word| word.starts_with(prefix))
        };
        wanted.iter().all(|word| has(&self.common, word) || has(&self.own, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_of_a_fault_have_their_words_in_common() {
        let entry = |id: &str| Entry {
            path: format!("/orders/{id}"),
            message: Some(format!("no order {id} for ÄRGER")),
            stack: Some("at Orders.java:17".into()),
            ..Entry::default()
        };
        let (one, other) = (of(&entry("a17")), of(&entry("b18")));
        assert_eq!(one.common, ["17", "at", "for", "java", "no", "order", "orders", "ärger"]);
        assert_eq!((one.own.as_slice(), &one.common), (["a17".to_owned()].as_slice(), &other.common));
        assert!(one.have(&wanted("ORD a1")) && one.have(&wanted("")) && one.have(&wanted("Ärg")) && !one.have(&wanted("a2")));
    }

    #[test]
    fn long_words_are_found_by_their_beginning() {
        let long = "x".repeat(500);
        let words = of(&Entry { path: long.clone(), ..Entry::default() });
        assert!(words.have(&wanted(&long)) && words.common[0].len() == MAX_WORD);
    }
}
