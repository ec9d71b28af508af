//! Masks credentials in a text: by the shapes of credentials, by the patterns of the operator, in paths, and in what an encoding hides.
//!
//! Must not know what a text is part of.

use std::borrow::Cow;

use super::rules::{MASK, Rules};
use super::segments;
use crate::redact;
use crate::text::bounded;

impl Rules {
    /// Masks credentials in a text, and cuts it. Masked as a whole first: the mask does not know a credential that is cut.
    /// Words with percent-encodings, such as paths that an error names, are masked like those.
    pub(super) fn text(&self, text: &str, max: usize) -> String {
        bounded(&self.masked(text), max).to_owned()
    }

    /// Does what [`Self::text`] does, and does not cut. Most texts stay as they are.
    pub(super) fn masked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let masked = self.as_it_is(text);
        if memchr::memchr(b'%', masked.as_bytes()).is_none() {
            return masked;
        }
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>');
        let mut out = String::with_capacity(masked.len());
        for piece in masked.split_inclusive(ends) {
            let word = piece.trim_end_matches(ends);
            out.push_str(&self.part_of_url(word, usize::MAX));
            out.push_str(&piece[word.len()..]);
        }
        Cow::Owned(out)
    }

    fn as_it_is<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut masked = redact::masked(text);
        if let Cow::Owned(replaced) = segments::masked(&masked, self) {
            masked = Cow::Owned(replaced);
        }
        for pattern in &self.patterns {
            if let Cow::Owned(replaced) = pattern.replace_all(&masked, MASK) {
                masked = Cow::Owned(replaced);
            }
        }
        masked
    }

    /// Masks credentials in a part of a URL as it is and in what it decodes to, because an encoding may hide the name or the mark before a
    /// credential. Returns the decoded text if the mask finds more in it.
    pub(super) fn part_of_url(&self, text: &str, max: usize) -> String {
        let mut decoded = Cow::Borrowed(text);
        for _ in 0..MAX_ENCODINGS {
            if !decoded.contains('%') {
                return bounded(&self.as_it_is(text), max).to_owned();
            }
            let next = percent_encoding::percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
            if next == decoded {
                return bounded(&self.as_it_is(text), max).to_owned();
            }
            let masked = self.as_it_is(&next);
            if masked != next {
                return bounded(&with_encoded_controls(&masked), max).to_owned();
            }
            decoded = Cow::Owned(next);
        }
        MASK.to_owned()
    }
}

/// How often a text may be encoded, one encoding upon the other. One that is encoded more often is not understood.
const MAX_ENCODINGS: usize = 4;

/// Encodes the control characters of a decoded text again.
fn with_encoded_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            let mut buffer = [0; 4];
            out.extend(c.encode_utf8(&mut buffer).bytes().map(|byte| format!("%{byte:02X}")));
        } else {
            out.push(c);
        }
    }
    out
}
