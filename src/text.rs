//! Three kinds of text that must never be mixed up: what an upstream said, what a client may read, what nobody may.
//!
//! The compiler keeps them apart: [`Untrusted`] has no `Display`, [`Text`] is made from it only by the redactor (or by
//! asking for development mode by name), [`Secret`] prints as `***`. This file knows nothing of how redaction works.

use std::borrow::Cow;
use std::fmt;

/// The beginning of a text, at most `max` bytes, cut between characters.
pub fn bounded(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Text that came from an upstream or a client: it may hold anything, so it cannot be printed or sent as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Untrusted(String);

impl Untrusted {
    /// Wraps foreign text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The raw text, for the redactor, for the log (which masks it) and for recognisers.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// True when nothing but white space is there.
    pub fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Untrusted({} bytes)", self.0.len())
    }
}

/// Text that may be shown to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Cow<'static, str>);

impl Text {
    /// Our own words, from the message catalogue or a constant of this program.
    pub fn own(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }

    /// Foreign words that the redactor has found clean. Only the `redact` room calls this.
    pub fn cleared(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    /// Foreign words, unread, because the operator asked for `mode = "development"`.
    pub fn development(text: &Untrusted) -> Self {
        Self(Cow::Owned(text.0.clone()))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value that is used but never shown: its `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one place that uses it.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_foreign_text_nor_secrets() {
        let shown = format!("{:?} {:?}", Untrusted::new("s3cr3t"), Secret::new("s3cr3t"));
        assert_eq!(shown, "Untrusted(6 bytes) ***");
    }
}
