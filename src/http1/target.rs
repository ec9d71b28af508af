//! Request targets (RFC 9112 3.2). What the query of an old client has is forwarded as it came; the path must be one that cannot be read in
//! two ways.
//!
//! Knows nothing of routes.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, Uri};

use super::Violation;
use super::syntax::is_plain_target;
use crate::header::shared;

/// A request target.
#[derive(Debug)]
pub struct Target {
    /// The target as a URI. Bytes of the query that no URI has are percent-encoded.
    pub uri: Uri,
    /// The query as it came, if the URI has another one.
    pub raw_query: Option<Box<[u8]>>,
}

/// Accepts the four forms, without a fragment. In the query any visible byte is accepted unless `strict`: old clients send text in the
/// encoding of their page, quotes and brackets.
pub(super) fn parse(method: &Method, target: &[u8], strict: bool) -> Result<Target, Violation> {
    if target[0] == b'/' && target.iter().all(|b| is_plain_target(*b)) {
        let uri = PathAndQuery::from_maybe_shared(shared(target)).map(Uri::from);
        return Ok(Target { uri: uri.map_err(|_| Violation::bad_request("the target is no path"))?, raw_query: None });
    }
    let form = target[0] == b'/' || (target == b"*" && *method == Method::OPTIONS) || *method == Method::CONNECT || is_absolute(target);
    if !form {
        return Err(Violation::bad_request("the target is no path and no absolute URI"));
    }
    let query_at = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at(query_at);
    if let Some(byte) = path.iter().find(|b| !is_visible(**b) || matches!(b, b'<' | b'>' | b'"' | b'`' | b'^')) {
        return Err(Violation { byte: Some(*byte), ..Violation::bad_request("the path has a forbidden byte") });
    }
    if let Some(byte) = path.iter().find(|_| std::str::from_utf8(path).is_err()).and_then(|_| path.iter().find(|b| !b.is_ascii())) {
        return Err(Violation { byte: Some(*byte), ..Violation::bad_request("the path is not UTF-8") });
    }
    if let Some(byte) = query.iter().find(|b| !is_visible(**b) || (strict && !is_strict(**b))) {
        return Err(Violation { byte: Some(*byte), ..Violation::bad_request("the query has a forbidden byte") });
    }
    let rule = Violation::bad_request("the target is no path and no absolute URI");
    if query.iter().all(|b| is_strict(*b)) {
        return Ok(Target { uri: Uri::from_maybe_shared(shared(target)).map_err(|_| rule)?, raw_query: None });
    }
    let encoded = [path, escaped(query).as_bytes()].concat();
    let uri = Uri::from_maybe_shared(Bytes::from(encoded)).map_err(|_| rule)?;
    Ok(Target { uri, raw_query: Some(query[1..].into()) })
}

/// Returns a target with every byte that is not plain percent-encoded, for logs.
pub fn escaped(target: &[u8]) -> String {
    let mut out = String::with_capacity(target.len() + 16);
    for &byte in target {
        if is_strict(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A byte that may be in a target at all: no space, no control character and no fragment.
const fn is_visible(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && byte != b'#'
}

/// A byte that every URI parser accepts in a query. Brackets and braces, `|` and `\` are no part of RFC 3986 either, but usual.
fn is_strict(byte: u8) -> bool {
    is_plain_target(byte) || matches!(byte, b'[' | b']' | b'{' | b'}' | b'|' | b'\\')
}

fn is_absolute(target: &[u8]) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(target: &[u8]) -> Result<Target, Violation> {
        parse(&Method::GET, target, false)
    }

    #[test]
    fn raw_queries_are_kept_beside_their_uri() {
        for raw in [&b"q=\xed\x95\x9c"[..], b"q=\xc7\xd1", b"a=\"b\"&c=<d>^`", b"q=\xff?x"] {
            let target = parsed(&[b"/s?", raw].concat()).unwrap();
            assert_eq!(target.raw_query.as_deref(), Some(raw));
            assert_eq!(target.uri.query().unwrap(), escaped(raw));
            assert!(parse(&Method::GET, &[b"/s?", raw].concat(), true).is_err());
        }
        let usual = parsed(b"/s?a[]={1|2}\\").unwrap();
        assert_eq!((usual.raw_query, usual.uri.query()), (None, Some("a[]={1|2}\\")));
    }

    #[test]
    fn the_forbidden_byte_is_named() {
        let byte = |target: &[u8]| parsed(target).unwrap_err().byte;
        assert_eq!(byte(b"/a<b?x"), Some(b'<'));
        assert_eq!(byte(b"/a\xc7\xd1"), Some(0xc7));
        assert_eq!(byte(b"/a?b#c"), Some(b'#'));
        assert_eq!(byte(b"/a?b\x7f"), Some(0x7f));
        assert_eq!(byte(b"a"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_query_of_visible_bytes_is_a_uri(query in proptest::collection::vec(0x21u8..=0xff, 0..40)) {
            let target = [b"/p?", &query[..]].concat();
            if query.iter().all(|b| is_visible(*b)) {
                let target = parsed(&target).unwrap();
                proptest::prop_assert_eq!(target.uri.path(), "/p");
                let kept = target.raw_query.as_deref().unwrap_or(target.uri.query().unwrap().as_bytes());
                proptest::prop_assert_eq!(kept, &query[..]);
            } else {
                proptest::prop_assert!(parsed(&target).is_err());
            }
        }
    }
}
