//! Masks what may be secret in URLs: users, values of queries, fragments.
//!
//! Knows no rules: a value of a query is masked whatever it is.

use std::borrow::Cow;

use memchr::memchr;

/// The maximum length of a masked query, in bytes.
const MAX_QUERY: usize = 512;
/// The maximum length of a name in a query, in bytes. A longer one may be a value.
const MAX_NAME: usize = 64;

/// Appends a query with the names of its parameters and without their values, which may be secrets. A parameter whose value is missing,
/// is empty or begins with `=` is masked as a whole: it may be a secret in base64, whose padding looks like that
/// (<https://www.rfc-editor.org/rfc/rfc4648#section-3.2>).
pub fn masked_query(out: &mut Vec<u8>, query: &[u8]) {
    let begin = out.len();
    let mut rest = query;
    loop {
        let (parameter, more) = match memchr(b'&', rest) {
            Some(end) => (&rest[..end], Some(&rest[end + 1..])),
            None => (rest, None),
        };
        match memchr(b'=', parameter) {
            Some(end) if end <= MAX_NAME && parameter.get(end + 1).is_some_and(|byte| *byte != b'=') => {
                out.extend_from_slice(&parameter[..=end]);
                out.extend_from_slice(b"***");
            }
            None if parameter.is_empty() => {}
            Some(_) | None => out.extend_from_slice(b"***"),
        }
        let Some(more) = more else { return };
        out.push(b'&');
        if out.len() - begin > MAX_QUERY {
            return out.extend_from_slice(b"...");
        }
        rest = more;
    }
}

/// Appends a URL that a client sent: without a user, without the values of its query, and without its fragment, which may be secrets.
pub fn masked_url(out: &mut Vec<u8>, url: &[u8]) {
    let (url, query) = match url.iter().position(|byte| matches!(byte, b'?' | b'#')) {
        Some(end) if url[end] == b'?' => {
            let query = &url[end + 1..];
            (&url[..end], Some(&query[..memchr(b'#', query).unwrap_or(query.len())]))
        }
        Some(end) => (&url[..end], None),
        None => (url, None),
    };
    // The user ends at the last `@` of the authority (RFC 3986 3.2.1). One that was cut off has no end.
    let authority = memchr::memmem::find(url, b"//").map_or(0, |at| at + 2);
    let length = memchr(b'/', &url[authority..]).unwrap_or(url.len() - authority);
    match memchr::memrchr(b'@', &url[authority..authority + length]) {
        Some(end) => {
            out.extend_from_slice(&url[..authority]);
            out.extend_from_slice(b"***");
            out.extend_from_slice(&url[authority + end..]);
        }
        None if length > MAX_AUTHORITY => out.extend_from_slice(b"***"),
        None => out.extend_from_slice(url),
    }
    if let Some(query) = query {
        out.push(b'?');
        masked_query(out, query);
    }
}

/// The maximum length of the authority of a URL, in bytes. A longer one may be a user whose end was cut off.
const MAX_AUTHORITY: usize = 512;

/// Returns a text, such as the value of a header, with every URL masked as [`masked_url`] does. Words are separated by blanks, quotes and
/// angle brackets; a word with a `?` or a `//` counts as a URL.
pub fn masked_urls(text: &str) -> Cow<'_, str> {
    let is_url = |word: &str| word.contains('?') || word.contains("//");
    if !is_url(text) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    for piece in text.split_inclusive([' ', '\t', '"', '<', '>']) {
        let word = piece.trim_end_matches([' ', '\t', '"', '<', '>']);
        if is_url(word) {
            masked_url(&mut out, word.as_bytes())
        } else {
            out.extend_from_slice(word.as_bytes())
        }
        out.extend_from_slice(&piece.as_bytes()[word.len()..]);
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appended(append: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        append(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn urls_lose_what_may_be_secret() {
        let masked = |url: &str| appended(|out| masked_url(out, url.as_bytes()));
        assert_eq!(masked("https://shop.example/a/b?token=hunter2&x#hunter2"), "https://shop.example/a/b?token=***&***");
        assert_eq!(masked("https://user:hunter2@shop.example/a@b"), "https://***@shop.example/a@b");
        assert_eq!(masked("https://shop.example#hunter2?x"), "https://shop.example");
        assert_eq!(masked("user:hunter2@x"), "***@x");
        assert_eq!(masked(&format!("https://user:{}", "x".repeat(900))), "***");
        assert_eq!((masked(""), masked("?"), masked("/only/path")), (String::new(), "?".into(), "/only/path".into()));
    }

    #[test]
    fn values_of_a_query_are_masked_and_names_are_kept() {
        let masked_query = |query: &str| appended(|out| masked_query(out, query.as_bytes()));
        assert_eq!(masked_query("token=hunter2&page=2&empty=&hunter2&&a=b=c&=d"), "token=***&page=***&***&***&&a=***&=***");
        for padded in ["c2VjcmV0LXRva2VuLTEyMw=", "aHVudGVyMg==", "aHVudGVyMg===", "aHVudGVyMg==;a", "="] {
            assert_eq!(masked_query(padded), "***");
            assert_eq!(masked_query(&format!("a=1&{padded}&b=2")), "a=***&***&b=***");
        }
        assert_eq!(masked_query(&format!("{}=1", "x".repeat(65))), "***");
        assert!(masked_query(&"name=1&".repeat(1000)).len() < MAX_QUERY + 16);
    }

    #[test]
    fn every_url_of_a_text_is_masked() {
        assert_eq!(masked_urls("</a?token=hunter2,b>; rel=next, <https://u:p@h/b>"), "</a?token=***>; rel=next, <https://***@h/b>");
        assert_eq!(masked_urls("https://h/cb?code=hunter2&state=x#id"), "https://h/cb?code=***&state=***");
        assert!(matches!(masked_urls("text/html; q=0.8"), Cow::Borrowed(_)));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_masked_without_a_panic(text in "\\PC{0,80}") {
            let _ = masked_urls(&text);
        }
    }
}
