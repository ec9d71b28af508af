//! A request for a page, as the admin listener hands it over, and the parts of its query.
//!
//! Plain data; knows no page.

use std::borrow::Cow;

use http::Method;

use super::super::role::Role;

/// The most parameters of a query or a form that are read.
const MAX_PARAMETERS: usize = 64;

/// A request for a page.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path.
    pub path: &'a str,
    /// The query.
    pub query: Option<&'a str>,
    /// The body of a form (`application/x-www-form-urlencoded`); the caller bounds it.
    pub form: &'a [u8],
    /// `Accept-Language`.
    pub accept_language: Option<&'a str>,
    /// `Cookie`.
    pub cookie: Option<&'a str>,
    /// Who asks.
    pub role: Role,
    /// The token that a form of this client must repeat. Forms are refused if it is empty.
    pub csrf: &'a str,
    /// The client has logged in, and can log out.
    pub has_session: bool,
}

/// The parameters of a query or a form, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn read(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes()).take(MAX_PARAMETERS);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// Returns the value of a parameter, without white space around it; `None` if it is empty or not there.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.trim());
        values.find(|value| !value.is_empty())
    }

    /// Returns a value of its own.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// Writes the query again with another value of one parameter; `None` leaves it out. Parameters without a value are left out too.
    pub(super) fn with(&self, name: &str, value: Option<&str>) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        for (known, old) in self.0.iter().filter(|(known, old)| known != name && !old.trim().is_empty()) {
            out.append_pair(known, old);
        }
        if let Some(value) = value {
            out.append_pair(name, value);
        }
        out.finish()
    }

    /// Leaves parameters out.
    pub(super) fn without(&self, names: &[&str]) -> Self {
        Self(self.0.iter().filter(|(known, _)| !names.contains(&known.as_str())).cloned().collect())
    }
}

/// Writes a link to a path with a query, which may be empty.
pub(super) fn link(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Encodes a text as a segment of a path or as a value of a query.
pub(super) fn encoded(text: &str) -> Cow<'_, str> {
    const KEPT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEPT).into()
}

/// Decodes a segment of a path. What is not UTF-8 names nothing.
pub(super) fn decoded(segment: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy()
}

/// Returns the value of a cookie.
pub(super) fn cookie<'c>(header: Option<&'c str>, name: &str) -> Option<&'c str> {
    let mut pairs = header?.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_and_written_again() {
        let query = Query::read("q=&q=a+b%26c&route=&since=1h&code=+");
        assert_eq!((query.get("q"), query.get("route"), query.get("none")), (Some("a b&c"), None, None));
        assert_eq!(query.with("since", Some("24h")), "q=a+b%26c&since=24h");
        assert_eq!(query.with("q", None), "since=1h");
        assert_eq!(link("/errors", &query.without(&["q", "since"]).with("x", None)), "/errors");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let header = Some("xlang=de; lang=ko; other=1");
        assert_eq!(cookie(header, "lang"), Some("ko"));
        assert_eq!(cookie(header, "lan"), None);
        assert_eq!(cookie(None, "lang"), None);
    }

    #[test]
    fn segments_are_encoded() {
        assert_eq!(encoded("a/b?<"), "a%2Fb%3F%3C");
        assert_eq!(decoded("a%2Fb%3F%3C"), "a/b?<");
    }
}
