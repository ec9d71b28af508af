//! Masks credentials in what operators keep: the rest of the text stays as it was.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// Credentials, and what is kept around them.
const CREDENTIALS: &[(&str, &str)] = &[
    (r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/@:]*:)[^\s/@]+@", "${1}***@"),
    (r"(?i)\b(authorization|proxy-authorization|cookie|set-cookie|x-api-key)(\x22?\s*[:=]\s*)[^\r\n\x22]+", "${1}${2}***"),
    (r"(?i)\b((?:bearer|basic|negotiate|ntlm)\s+)[\w.~+/=-]{8,}", "${1}***"),
    (
        r"(?i)\b(\w*(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token|private[_-]?key|passphrase|session[_-]?id)\w*[\x22']?\s*(?:=>?|:)\s*[\x22']?)[^\s\x22'&,;<>)\]}]+",
        "${1}***",
    ),
    (r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?", "***"),
    (
        r"\b(?:AKIA[0-9A-Z]{12,}|gh[pousr]_\w{16,}|github_pat_\w+|[sr]k_(?:live|test)_\w+|xox[abprs]-[\w-]+|AIza[\w-]{20,}|glpat-[\w-]+)",
        "***",
    ),
    (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", "***"),
];

/// The patterns as one set, to know which of them are needed, and each by itself.
struct Compiled {
    set: RegexSet,
    each: Vec<(Regex, &'static str)>,
}

#[allow(clippy::expect_used, reason = "constants of this file, compiled by every test run")]
fn compiled() -> &'static Compiled {
    static ALL: LazyLock<Compiled> = LazyLock::new(|| {
        let patterns = CREDENTIALS.iter().map(|(pattern, _)| *pattern);
        let one = |pattern| RegexBuilder::new(pattern).unicode(false).build().expect("a constant");
        Compiled {
            set: RegexSetBuilder::new(patterns).unicode(false).dfa_size_limit(8 << 20).build().expect("constants"),
            each: CREDENTIALS.iter().map(|(pattern, kept)| (one(pattern), *kept)).collect(),
        }
    });
    &ALL
}

/// For the log: at most `max` bytes, credentials masked, line ends kept as text (the log writer escapes them).
pub fn mask(text: &str, max: usize) -> String {
    let text = super::bounded(text, max);
    let all = compiled();
    // The usual answer, found several times faster than which of them match.
    if !all.set.is_match(text.as_bytes()) {
        return text.to_owned();
    }
    let mut masked = Cow::Borrowed(text.as_bytes());
    for at in &all.set.matches(text.as_bytes()) {
        let (pattern, kept) = &all.each[at];
        if let Cow::Owned(replaced) = pattern.replace_all(&masked, kept.as_bytes()) {
            masked = replaced.into();
        }
    }
    String::from_utf8(masked.into_owned()).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_credentials_and_keeps_the_rest() {
        let masked = mask("postgres://app:s3cr3t@db/x password=hunter2 Authorization: Bearer abcdefghijklmnop\ndone", 4096);
        for secret in ["s3cr3t", "hunter2", "abcdefghijklmnop"] {
            assert!(!masked.contains(secret), "{masked}");
        }
        assert!(masked.contains("@db/x") && masked.ends_with("done"), "{masked}");
        assert_eq!(mask("\u{e4}\u{f6}\u{fc}", 3), "\u{e4}");
    }
}
