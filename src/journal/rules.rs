//! What is masked in every text that the journal keeps.
//!
//! Must not know what a text is part of.

use crate::redact;
use crate::text::bounded;

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
}

impl Rules {
    /// Masks credentials in a text, and cuts it. Masked as a whole first: the mask does not know a credential that is cut.
    pub(super) fn text(&self, text: &str, max: usize) -> String {
        let mut masked = redact::masked(text).into_owned();
        for pattern in &self.patterns {
            if let std::borrow::Cow::Owned(replaced) = pattern.replace_all(&masked, MASK) {
                masked = replaced;
            }
        }
        bounded(&masked, max).to_owned()
    }
}
