//! The parts of a request that decide which rule matches. Knows nothing of rules.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;

use http::Method;

use crate::header::HeaderList;
use crate::policy::Scheme;

/// The parts of a request that decide which rule matches.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The host as sent, possibly with a port.
    pub host: Option<&'a str>,
    /// The path as sent.
    pub path: &'a str,
    /// The query.
    pub query: Query<'a>,
    /// The method.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a HeaderList,
    /// The address of the client.
    pub client: IpAddr,
    /// The scheme that the client used.
    pub scheme: Scheme,
}

/// A query, which is decoded once, when a condition asks for it.
#[derive(Clone, Debug, Default)]
pub struct Query<'a> {
    text: &'a str,
    parameters: OnceCell<Vec<(Cow<'a, str>, Cow<'a, str>)>>,
}

impl<'a> Query<'a> {
    /// Takes a query as sent, without its question mark.
    pub fn new(text: Option<&'a str>) -> Self {
        Self { text: text.unwrap_or_default(), parameters: OnceCell::new() }
    }

    /// Returns the decoded names and values, in their order.
    pub fn parameters(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        self.parameters.get_or_init(|| form_urlencoded::parse(self.text.as_bytes()).collect())
    }
}
