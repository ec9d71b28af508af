//! Makes a case of an exchange, without its credentials.
//!
//! Only headers that decide the form of an error are kept of a request. Its body is left out, values of its query are masked, and so are
//! segments of its path that may be tokens. A response is masked as the log is. Must not know files.

use std::hash::{Hash as _, Hasher as _};

use super::tap::Exchange;
use crate::cli::cases::case::{Case, Lines, Reply, Request};
use crate::cli::cases::read::CLIENT;
use crate::header::HeaderList;
use crate::redact;
use crate::report::decode;
use crate::text::bounded;

/// Headers of a request that decide the form of an error.
const REQUEST_HEADERS: &[&str] =
    &["accept", "accept-language", "content-type", "origin", "sec-fetch-dest", "sec-fetch-mode", "soapaction", "te", "x-requested-with"];
/// Headers of a response that belong to its connection or its coding, or that differ each time.
const DROPPED: &[&str] = &["connection", "content-encoding", "content-length", "date", "keep-alive", "transfer-encoding", "x-request-id"];
/// Most bytes of a body, decoded.
const MAX_BODY: usize = 256 * 1024;
/// Segments of a path that are at least so long may be tokens.
const TOKEN: usize = 20;
/// Bytes of a body that tell whether two errors are alike.
const LIKENESS: usize = 4096;

/// A case without credentials.
pub(super) struct Cleaned {
    pub(super) case: Case,
    /// The same for errors that differ in numbers only.
    pub(super) likeness: u64,
    /// The path as part of a file name.
    pub(super) slug: String,
}

/// Returns the case of an exchange, or `None` if its response is no error.
pub(super) fn clean(exchange: Exchange) -> Option<Cleaned> {
    let Exchange { request, response, body } = exchange;
    let status = response.status.as_u16();
    if status < 400 {
        return None;
    }
    let uri = &request.target.uri;
    let path: Vec<String> = uri.path().split('/').map(segment).collect();
    let path = path.join("/");
    let body = text(&body, &response.headers);
    let likeness = likeness(request.method.as_str(), &path, status, &body);
    let slug: String = path.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let request = Request {
        method: request.method,
        path: uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{}", masked_query(query))),
        host: "localhost".into(),
        secure: false,
        client: CLIENT,
        headers: lines(&request.headers, |name| REQUEST_HEADERS.contains(&name)),
        body: Vec::new(),
    };
    let mut headers = lines(&response.headers, |name| !DROPPED.contains(&name));
    for (name, value) in &mut headers {
        if name == "content-type" && !body.is_ascii() {
            // The body is written as UTF-8, whatever it was.
            *value = format!("{}; charset=utf-8", value.split(';').next().unwrap_or_default().trim());
        }
    }
    let reply = Reply { status, headers, body: body.into_bytes(), ..Reply::default() };
    let case = Case { name: String::new(), span: 0..0, request, repeat: 1, replies: vec![reply], checks: Vec::new() };
    let slug = bounded(slug.trim_matches('-'), 60).to_owned();
    Some(Cleaned { case, likeness, slug: if slug.is_empty() { "root".into() } else { slug } })
}

/// A segment of a path, masked if it may be a token.
fn segment(text: &str) -> String {
    let kinds = [text.bytes().any(|b| b.is_ascii_digit()), text.bytes().any(|b| b.is_ascii_alphabetic())];
    if (text.len() >= TOKEN && kinds == [true, true]) || text.len() >= 2 * TOKEN || redact::masked(text) != text {
        return "***".into();
    }
    text.to_owned()
}

/// A query with the names of its parameters and without their values.
fn masked_query(query: &str) -> String {
    let mut masked = Vec::new();
    redact::masked_query(&mut masked, query.as_bytes());
    String::from_utf8_lossy(&masked).into_owned()
}

/// Header lines without credentials.
fn lines(headers: &HeaderList, keep: impl Fn(&str) -> bool) -> Lines {
    let kept = headers.iter().filter(|(name, _)| keep(name.as_str()));
    kept.map(|(name, value)| {
        // With its name, which tells what the value is.
        let line = format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        let masked = redact::masked(&line);
        (name.to_string(), masked.split_once(": ").map_or_else(|| "***".to_owned(), |(_, value)| value.to_owned()))
    })
    .collect()
}

/// The body as text, with its coding undone and credentials masked.
fn text(body: &[u8], headers: &HeaderList) -> String {
    let header = |name: &str| {
        let found = headers.iter().find(|(key, _)| key.as_str() == name);
        found.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let coding = header("content-encoding");
    let decoded = decode::uncode(body, coding.as_deref(), MAX_BODY);
    redact::masked(&decode::text(&decoded.bytes, header("content-type").as_deref())).into_owned()
}

fn likeness(method: &str, path: &str, status: u16, body: &str) -> u64 {
    let plain = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let mut hasher = std::hash::DefaultHasher::new();
    (method, plain(path), status, plain(bounded(body, LIKENESS))).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_token_is_masked() {
        assert_eq!(segment("orders"), "orders");
        assert_eq!(segment("42"), "42");
        assert_eq!(segment("01938c6e-6f7a-7c3e-9d0a-2b7f3a1c4d5e"), "***");
        assert_eq!(segment("eyJhbGciOiJI.eyJzdWIiOi.x"), "***");
        assert_eq!(masked_query("page=2&token=abc&flag&=x"), "page=***&token=***&***&=***");
    }
}
