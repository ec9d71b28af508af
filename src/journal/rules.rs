//! What is masked in every text that the journal keeps: the settings. `texts` masks by them.
//!
//! Must not know what a text is part of.

use super::judged::JudgedNames;

/// What stands in place of a credential.
pub(super) const MASK: &str = "***";

/// What the entries of a journal have in common.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// The most of a body of the upstream, in bytes.
    pub(super) body_limit: usize,
    /// Names of further headers that are masked, in lower case.
    pub(super) headers: Vec<String>,
    /// Further patterns that are masked.
    pub(super) patterns: Vec<regex::Regex>,
    /// The name of this gateway.
    pub(super) gateway: String,
    /// The names that were judged by these rules.
    pub(super) names: JudgedNames,
}

/// The longest word that is left out of the end of a text that was cut, in bytes.
const MAX_WORD: usize = 256;

/// Returns a text that was cut without its last word: the mask does not know a credential that is cut.
pub(super) fn without_last_word(text: &str) -> &str {
    let least = text.len().saturating_sub(MAX_WORD);
    let floor = (least..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let end = text[floor..].rfind(char::is_whitespace).map_or(floor, |at| floor + at);
    &text[..end]
}
