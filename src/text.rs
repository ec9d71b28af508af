//! Types for three kinds of text that must not be mixed up: text from outside, text that a client may see, and secrets.
//!
//! The compiler keeps them apart: [`Untrusted`] has no `Display`, a [`Text`] is made from it only by the redactor or in development mode,
//! and [`Secret`] prints as `***`. This file knows nothing of how redaction works.

use std::borrow::Cow;
use std::fmt;

/// Returns the beginning of a text: at most `max` bytes, cut between characters.
pub fn bounded(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Text from an upstream or a client. It may hold anything, so it cannot be printed or sent as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Untrusted(String);

impl Untrusted {
    /// Wraps a text from outside.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the raw text as an owned value, for the journal (which masks credentials).
    pub fn into_raw(self) -> String {
        self.0
    }

    /// Returns the raw text, for the redactor, for the log (which masks credentials) and for parsers.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// Returns true if the text is empty or white space.
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
    /// Wraps a text of the message catalog, or a constant of this program.
    pub fn own(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }

    /// Wraps a text that the redactor has found clean. Only the `redact` module calls this.
    pub fn cleared(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    /// Wraps a text without redaction, because the operator set `mode = "development"`.
    pub fn development(text: &Untrusted) -> Self {
        Self(Cow::Owned(text.0.clone()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value that is used but never shown. Its `Debug` output is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Returns the value, for the code that uses it.
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
    fn debug_output_hides_untrusted_text_and_secrets() {
        let shown = format!("{:?} {:?}", Untrusted::new("s3cr3t"), Secret::new("s3cr3t"));
        assert_eq!(shown, "Untrusted(6 bytes) ***");
    }
}
