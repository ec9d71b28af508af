//! The response to a request for a page, with the headers that keep foreign text from becoming code.
//!
//! Knows no page.

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderValue, StatusCode};

use super::super::response::SAFE;
use super::ask::{self, Query};
use super::language;

/// Nothing is loaded but from the gateway itself, nothing is inline, no other page may frame this one, and forms go to the gateway only.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lockgate";

/// The response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// All headers but `Content-Length`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    fn new(status: StatusCode, content_type: &'static str, body: Bytes) -> Self {
        let own = [(header::CONTENT_TYPE, content_type), (header::CONTENT_SECURITY_POLICY, POLICY)];
        let safe = SAFE.into_iter().map(|(name, value)| (HeaderName::from_static(name), value));
        let headers = own.into_iter().chain(safe).map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
        Self { status, headers, body }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A page, which no cache may keep.
    pub(super) fn html(status: StatusCode, body: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", body.into())
            .with(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
            .with(header::VARY, HeaderValue::from_static("Accept-Language, Cookie"))
    }

    /// A file to be saved or copied. A browser shows it as text at most.
    pub(super) fn file(content_type: &'static str, name: &str, body: String) -> Self {
        let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '_' }).collect();
        let answer = Self::new(StatusCode::OK, content_type, body.into()).with(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match HeaderValue::from_str(&format!("inline; filename=\"{safe}\"")) {
            Ok(disposition) => answer.with(header::CONTENT_DISPOSITION, disposition),
            Err(_) => answer,
        }
    }

    /// A file whose address changes with its content.
    pub(super) fn asset(content_type: &'static str, body: &'static str) -> Self {
        Self::new(StatusCode::OK, content_type, Bytes::from_static(body.as_bytes()))
            .with(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"))
    }
}

/// Sends the browser to another page of the gateway. `to` holds visible ASCII only.
pub(in crate::admin) fn see_other(to: &str) -> Answer {
    let answer = Answer::html(StatusCode::SEE_OTHER, String::new());
    match HeaderValue::from_str(to) {
        Ok(to) => answer.with(header::LOCATION, to),
        Err(_) => answer.with(header::LOCATION, HeaderValue::from_static("/")),
    }
}

/// Keeps the language that was chosen, and shows the page again.
pub(super) fn language(tag: &str, path: &str, query: &Query) -> Answer {
    let answer = see_other(&ask::link(path, &query.with("lang", None)));
    let tag = language::known(tag);
    match HeaderValue::from_str(&format!("{}={tag}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly", language::COOKIE)) {
        Ok(cookie) => answer.with(header::SET_COOKIE, cookie),
        Err(_) => answer,
    }
}
