//! Credentials that are a segment of a path, behind one that names them: `/token/x7Fq`, `/reset-password/x7Fq`.
//!
//! Pure functions of a text. Must not know whether the text is a path or only has one in it.

use std::borrow::Cow;

use super::names::names_credential;
use super::rules::{MASK, Rules};

/// The longest word that is taken for a part of an address rather than for a credential, in bytes.
const MAX_WORD: usize = 24;
/// Ends of the names of files, which stack traces have behind folders such as `token` and `session`.
const FILES: [&str; 32] = [
    "c", "cc", "cpp", "cs", "css", "dart", "erl", "ex", "exs", "go", "gz", "h", "html", "java", "jar", "js", "json", "jsx", "kt", "lua",
    "map", "md", "mjs", "php", "pl", "py", "rb", "rs", "scala", "swift", "ts", "tsx",
];

/// Masks the segments of the paths in a text that follow one which names a credential.
pub(super) fn masked<'t>(text: &'t str, rules: &Rules) -> Cow<'t, str> {
    let (mut out, mut kept) = (String::new(), 0);
    for slash in memchr::memchr_iter(b'/', text.as_bytes()) {
        let value = first_segment(&text[slash + 1..]);
        // Most segments are words, so that their names need not be judged.
        if value.is_empty() || is_plain(value) || !names_credential(last_segment(&text[..slash]), rules) {
            continue;
        }
        let is_a_name = value.bytes().all(|byte| byte.is_ascii_alphabetic()) && names_credential(value, rules);
        if !is_a_name {
            out.push_str(&text[kept..=slash]);
            out.push_str(MASK);
            kept = slash + 1 + value.len();
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

/// The bytes that end a segment. `=` does not: tokens in Base64 end with it. A table, because error bodies have many paths.
const ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let marks = b"/?#&\"'`<>()[]{},;:\\| \t\r\n\x0b\x0c";
    let mut at = 0;
    while at < marks.len() {
        ends[marks[at] as usize] = true;
        at += 1;
    }
    ends
};

fn first_segment(text: &str) -> &str {
    let end = text.bytes().position(|byte| ENDS[usize::from(byte)]).unwrap_or(text.len());
    &text[..end]
}

fn last_segment(text: &str) -> &str {
    let begin = text.bytes().rposition(|byte| ENDS[usize::from(byte)]).map_or(0, |at| at + 1);
    &text[begin..]
}

/// Returns true for what is no credential: a word of an address (`revoke`, `sign-in`), the name of a file, a version, or a mask.
fn is_plain(segment: &str) -> bool {
    let is_word = segment.len() <= MAX_WORD && segment.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_' | b'.'));
    let is_file = || segment.rsplit_once('.').is_some_and(|(name, end)| FILES.contains(&end) && name.len() <= 2 * MAX_WORD);
    let is_version = || segment.contains('.') && segment.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_word || segment.contains(MASK) || is_file() || is_version()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segment_behind_a_name_of_a_credential_is_masked() {
        let rules = Rules { body_limit: 0, headers: Vec::new(), patterns: Vec::new(), gateway: String::new(), names: Default::default() };
        for (text, shown) in [
            ("/token/S3CR", "/token/***"),
            ("/reset-password/S3CR/confirm", "/reset-password/***/confirm"),
            ("/otp/123456", "/otp/***"),
            ("https://a.example/reset_password/S3CR?x=***", "https://a.example/reset_password/***?x=***"),
            ("GET \"/api-key/aGVsbG8=\" failed", "GET \"/api-key/***\" failed"),
            ("/sessions/S3CR/tokens/S3CR", "/sessions/***/tokens/***"),
            ("/oauth/token/revoke", "/oauth/token/revoke"),
            ("/orders/7/S3CR", "/orders/7/S3CR"),
            ("at /app/auth/token/Handler.java:12", "at /app/auth/token/Handler.java:12"),
            ("TokenClient/1.2.3 username/password/PIN", "TokenClient/1.2.3 username/password/PIN"),
            ("/token/", "/token/"),
            ("/token//S3CR", "/token//S3CR"),
        ] {
            assert_eq!(masked(text, &rules), shown);
        }
    }
}
