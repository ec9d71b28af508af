//! Masks credentials in what operators keep: the rest of the text stays as it was.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::{ControlFlow, Range};
use std::sync::LazyLock;

use super::search::{Exhausted, Progress, Search, Steps};
use crate::text::bounded;

/// What a secret is, behind the text that leads to it.
#[derive(Clone, Copy, Debug)]
enum Secret {
    /// All of the match.
    Whole,
    /// The password of a URL: up to the `@`, or to the end of a text that was cut.
    Userinfo,
    /// The value of a header: the rest of the line.
    Line,
    /// A token of at least eight characters.
    Token,
    /// A value in quotes or to the end of a word.
    Word,
    /// A key in lines, up to its end or to the end of a text that was cut.
    Key,
}

/// What leads to a secret.
const CREDENTIALS: &[(Secret, &str)] = &[
    (Secret::Userinfo, r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/@:]*:"),
    (Secret::Line, r"(?i)\b(?:authorization|proxy-authorization|cookie|set-cookie|x-api-key)\x22?\s*[:=]\s*"),
    (Secret::Token, r"(?i)\b(?:bearer|basic|negotiate|ntlm)\s+"),
    (
        Secret::Word,
        r"(?i)\b\w*(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token|private[_-]?key|passphrase|session[_-]?id)\w*[\x22']?\s*(?:=>?|:)\s*[\x22']?",
    ),
    (Secret::Whole, r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"),
    (
        Secret::Whole,
        r"\b(?:AKIA[0-9A-Z]{12,}|gh[pousr]_\w{16,}|github_pat_\w+|[sr]k_(?:live|test)_\w+|xox[abprs]-[\w-]+|AIza[\w-]{20,}|glpat-[\w-]+)",
    ),
    (Secret::Key, r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
];

/// A pattern that does not compile is a bug that the first test shows.
#[allow(clippy::expect_used, reason = "constants of this file, compiled by every test run")]
fn compiled() -> &'static Search<Secret> {
    static ALL: LazyLock<Search<Secret>> =
        LazyLock::new(|| Search::new(CREDENTIALS.iter().map(|(secret, source)| (*secret, (*source).to_owned()))).expect("constants"));
    &ALL
}

thread_local! {
    static PROGRESS: RefCell<Progress> = RefCell::default();
}

/// For the log: credentials masked, then at most `max` bytes; line ends kept as text (the log writer escapes them).
pub fn mask(text: &str, max: usize) -> String {
    let masked = masked(text);
    bounded(&masked, max).to_owned()
}

/// The text with credentials masked; itself where it has none. A text that takes too long to judge is masked whole.
pub fn masked(text: &str) -> Cow<'_, str> {
    let Ok(mut secrets) = secrets(text.as_bytes()) else { return Cow::Borrowed("***") };
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    secrets.sort_by_key(|secret| (secret.start, secret.end));
    let mut masked = String::with_capacity(text.len());
    let mut kept = 0;
    for secret in secrets {
        if secret.start >= kept && (secret.start > kept || !masked.ends_with("***")) {
            masked.push_str(text.get(kept..secret.start).unwrap_or_default());
            masked.push_str("***");
        }
        kept = kept.max(secret.end);
    }
    masked.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(masked)
}

/// Where secrets are, in the order in which they were found.
fn secrets(text: &[u8]) -> Result<Vec<Range<usize>>, Exhausted> {
    let (mut steps, mut secrets, mut covered) = (Steps::of(text.len()), Vec::new(), 0..0);
    let ended = PROGRESS.with_borrow_mut(|progress| {
        compiled().each_place(
            text,
            progress,
            |_| true,
            |branch, range| {
                let told = |lead: Range<usize>| {
                    if let Some(secret) = branch.told.within(text, lead, &covered) {
                        if secret.end > covered.end {
                            covered = secret.clone();
                        }
                        secrets.push(secret);
                    }
                };
                match branch.all(text, range, &mut steps, told) {
                    Ok(until) => ControlFlow::Continue(until),
                    Err(exhausted) => ControlFlow::Break(exhausted),
                }
            },
        )
    });
    ended.break_value().map_or(Ok(secrets), Err)
}

impl Secret {
    /// The bytes to mask, when `lead` leads to some. What is `covered` already is not read again.
    fn within(self, text: &[u8], lead: Range<usize>, covered: &Range<usize>) -> Option<Range<usize>> {
        let start = if covered.contains(&lead.end) { covered.end } else { lead.end };
        let rest = text.get(start..)?;
        let run = |ends: fn(u8) -> bool| rest.iter().position(|byte| ends(*byte)).unwrap_or(rest.len());
        let length = match self {
            Self::Whole => return Some(lead),
            Self::Key => {
                let last = memchr::memmem::find(rest, b"-----END ").map(|at| at + b"-----END ".len());
                let end = last.and_then(|last| memchr::memmem::find(&rest[last..], b"-----").map(|at| last + at + 5));
                return Some(lead.start..start + end.unwrap_or(rest.len()));
            }
            Self::Userinfo => {
                let length = run(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'@'));
                let is_port = length <= 5 && rest[..length].iter().all(u8::is_ascii_digit);
                let cut = length == rest.len() && !is_port;
                if rest.get(length) == Some(&b'@') || cut { length } else { 0 }
            }
            Self::Line => run(|byte| matches!(byte, b'\r' | b'\n' | b'"')),
            Self::Token => {
                let length = run(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'~' | b'+' | b'/' | b'=' | b'-')));
                if length >= 8 { length } else { 0 }
            }
            Self::Word => run(|byte| {
                byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'&' | b',' | b';' | b'<' | b'>' | b')' | b']' | b'}')
            }),
        };
        (length > 0).then(|| start..start + length)
    }
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
        assert_eq!(mask("at http://orders:8080/x and http://orders:8080", 99), "at http://orders:8080/x and http://orders:8080");
        let key = "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE+x-y==\nabc\n-----END RSA PRIVATE KEY-----\nb";
        assert_eq!(mask(key, 999), "a\n***\nb");
        assert_eq!(mask(&key[..50], 999), "a\n***");
        assert_eq!(mask("api_key: 'x y', \"token\":\"abc\", secret => q;", 999), "api_key: '*** y', \"token\":\"***\", secret => ***;");
    }

    #[test]
    fn a_secret_before_another_one_is_masked_too() {
        for text in
            ["sqlserver://db1;user=sa;password=hunter2;opt:on", "x://c;password=hunter2;a:b@h", "password=hunter2 x://a:b@c token=hunter2"]
        {
            assert!(!mask(text, 999).contains("hunter2"), "{}", mask(text, 999));
        }
    }

    #[test]
    fn nothing_is_cut_before_it_is_masked() {
        let text = format!("{} postgres://shop:Secret99@db/x", "x".repeat(90));
        for max in 90..text.len() {
            assert!(!mask(&text, max).contains("Secr"), "{}", mask(&text, max));
        }
        // A body that was cut on its way loses what would end the secret.
        assert!(!mask("connect postgres://shop:Secret", 99).contains("Secret"));
    }
}
