//! Words that resemble a word that is not known, for suggestions.
//!
//! Knows nothing of keys.

/// The number of known words that a help text lists.
const MAX_LISTED: usize = 8;

/// Lists the known words for a help text: the most similar ones first, and not too many to be read.
pub(super) fn nearest_of(word: &str, mut known: Vec<&'static str>, guide: &str) -> String {
    let begin = |candidate: &str| candidate.bytes().zip(word.bytes()).take_while(|(a, b)| a == b).count();
    let words = |candidate: &str| candidate.split('_').filter(|part| word.split('_').any(|other| other == *part)).count();
    let likeness = |candidate: &str| std::cmp::Reverse((words(candidate), begin(candidate)));
    known.sort_by_key(|candidate| (likeness(candidate), strsim::damerau_levenshtein(word, candidate), *candidate));
    let listed = known.iter().take(MAX_LISTED).map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
    match known.len().saturating_sub(MAX_LISTED) {
        0 if known.len() == 1 => listed,
        0 => format!("one of {listed}"),
        more => format!("one of {listed} or {more} others, which {guide} lists"),
    }
}

/// Returns the known word that is most similar to `word`, if the difference can be a typing error.
pub fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let best = known.iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate)).min()?;
    // The tolerance covers one to three typing errors, but not another key that shares a part.
    let tolerance = (word.len().min(best.1.len()) / 4).clamp(1, 3);
    (best.0 <= tolerance).then_some(best.1)
}
