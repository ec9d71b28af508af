//! The key by which a limit counts a request. Knows nothing of what is counted.

use std::borrow::Cow;

use super::request::Request;
use crate::config::limits::KeySource;
use crate::header::{HeaderList, Value};
use crate::limit::{self, Key};
use crate::plan::{AppliedLimit, Route};

/// The request that is checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who<'a> {
    pub(super) request: Request<'a>,
    /// Headers of the request, which may hold the key of a limit.
    pub(super) headers: &'a HeaderList,
}

/// A key that may have been made for the request.
pub(super) enum RequestKey<'t> {
    /// Is part of the request.
    Part(Key<'t>),
    /// Is decoded or combined.
    Made(Vec<u8>),
}

impl RequestKey<'_> {
    pub(super) fn as_key(&self) -> Key<'_> {
        match self {
            Self::Part(key) => *key,
            Self::Made(bytes) => limit::of_value(bytes),
        }
    }
}

/// The key of a request.
pub(super) fn key<'t>(applied: &'t AppliedLimit, route: &'t Route, who: Who<'t>) -> RequestKey<'t> {
    if let [source] = &*applied.key {
        return of_source(source, route, who);
    }
    let mut combined = Vec::new();
    for source in &*applied.key {
        limit::append_part(&mut combined, of_source(source, route, who).as_key());
    }
    RequestKey::Made(combined)
}

fn of_source<'t>(source: &'t KeySource, route: &'t Route, who: Who<'t>) -> RequestKey<'t> {
    let value = match source {
        KeySource::ClientIp => None,
        KeySource::Global => return RequestKey::Part(Key::Global),
        KeySource::Route => return RequestKey::Part(limit::of_value(route.metrics.name.as_bytes())),
        KeySource::Header(name) => only(who.headers.get_all(name).map(Value::as_bytes)),
        KeySource::Cookie(name) => only(cookies(who.headers, name)),
        KeySource::Query(name) => match parameter(who.request.context.uri.query().unwrap_or_default(), name) {
            Some(value) => return RequestKey::Made(value.into_owned().into_bytes()),
            None => None,
        },
    };
    // A request without the value is counted by its address, so that those who send none do not share one count with all others.
    RequestKey::Part(value.map_or_else(|| limit::of_address(who.request.context.client), limit::of_value))
}

/// Returns true if a request has what a part of the key is made of.
pub(super) fn is_present(source: &KeySource, who: Who<'_>) -> bool {
    match source {
        KeySource::ClientIp | KeySource::Global | KeySource::Route => true,
        KeySource::Header(name) => only(who.headers.get_all(name).map(Value::as_bytes)).is_some(),
        KeySource::Cookie(name) => only(cookies(who.headers, name)).is_some(),
        KeySource::Query(name) => parameter(who.request.context.uri.query().unwrap_or_default(), name).is_some(),
    }
}

/// The only value. Several values count as none, so that a second one cannot evade a limit, and so does an empty one.
fn only<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> Option<&'v [u8]> {
    values.next().filter(|value| values.next().is_none() && !value.is_empty())
}

/// The values of the cookies with this name.
fn cookies<'h>(headers: &'h HeaderList, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let pairs = headers.get_all(http::header::COOKIE).map(Value::as_bytes).flat_map(|line| line.split(|b| *b == b';'));
    pairs.filter_map(move |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// The only value of a query parameter, decoded.
fn parameter<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name).map(|(_, value)| value);
    values.next().filter(|value| values.next().is_none() && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_several_count_as_none() {
        assert_eq!(parameter("a=1&k%65y=x%20y", "key").as_deref(), Some("x y"));
        for query in ["", "key", "key=", "key=1&key=1", "kei=1"] {
            assert_eq!(parameter(query, "key"), None, "{query}");
        }
        let mut headers = HeaderList::new();
        headers.append(http::header::COOKIE, http::HeaderValue::from_static("a=1; session=x; b=2; b=3"));
        assert_eq!(only(cookies(&headers, "session")), Some(&b"x"[..]));
        assert!(only(cookies(&headers, "b")).is_none() && only(cookies(&headers, "sess")).is_none());
    }
}
