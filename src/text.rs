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

/// Returns the host and the port of what a client named as its host. Whatever else it wrote there may be a credential: a user (RFC 3986
/// 3.2.1), a path or a query. Empty if it cannot be told which part is the host.
pub fn plain_host(named: &[u8]) -> &[u8] {
    let ends_host = |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b'\\');
    let Some(first) = named.iter().position(|byte| *byte == b'@' || ends_host(byte)) else { return named };
    let Some(user_end) = named.iter().rposition(|byte| *byte == b'@') else { return &named[..first] };
    if named[..user_end].iter().any(ends_host) {
        // `u:p/w@h` may be a host with a user or one with a path.
        return b"";
    }
    let host = &named[user_end + 1..];
    &host[..host.iter().position(ends_host).unwrap_or(host.len())]
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
    fn a_host_has_nothing_else() {
        let of = |named: &str| String::from_utf8(plain_host(named.as_bytes()).to_vec()).unwrap();
        for (named, host) in [
            ("h:8", "h:8"),
            ("[::1]:8", "[::1]:8"),
            ("", ""),
            ("u:p@h:8", "h:8"),
            ("u:p@q@h", "h"),
            ("h?token=x", "h"),
            ("h/x", "h"),
            ("h#x", "h"),
            ("u:p@h/x?y", "h"),
            ("u:p/q@h", ""),
            ("h?x=a@b", ""),
            ("u:p@", ""),
        ] {
            assert_eq!(of(named), host, "{named}");
        }
    }

    #[test]
    fn debug_output_hides_untrusted_text_and_secrets() {
        let shown = format!("{:?} {:?}", Untrusted::new("s3cr3t"), Secret::new("s3cr3t"));
        assert_eq!(shown, "Untrusted(6 bytes) ***");
    }
}
