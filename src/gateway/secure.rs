//! Redirects plain requests to the listener for TLS, and adds `Strict-Transport-Security` to responses over TLS. Knows nothing of
//! handshakes.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::outcome::{Content, Passed};
use super::request::Request;
use super::state::{Client, Gateway};
use crate::header::HeaderList;
use crate::plan::Plan;

/// The default port of https.
const HTTPS: u16 = 443;

/// Redirects a request to a plain listener, if the configuration says so. The method and the body of the request are to be sent again
/// (RFC 9110 15.4.9). `None` if the request is served here.
pub(super) fn redirect(gateway: &Gateway, client: &Client, request: Request<'_>) -> Option<Passed> {
    let location = location(&gateway.plan, client.tls.is_some(), request)?;
    let mut headers = HeaderList::new();
    // The host and the path were validated, so this is a valid value; without it there is no redirect.
    headers.try_insert(header::LOCATION, location.as_bytes()).ok()?;
    Some(Passed { status: StatusCode::PERMANENT_REDIRECT, headers, content: Content::Ready(Bytes::new()) })
}

/// The URL at the listener for TLS that a request to a plain listener is sent to.
pub(super) fn location(plan: &Plan, is_secure: bool, request: Request<'_>) -> Option<String> {
    let tls = plan.listen.tls.as_ref().filter(|tls| tls.redirects && !is_secure)?;
    let host = request.host_name()?;
    let port = if tls.address.port() == HTTPS { String::new() } else { format!(":{}", tls.address.port()) };
    let path = request.context.uri.path_and_query().map_or("/", |path| path.as_str());
    // `*` and a query without a path are no part of a URL that could be sent.
    if !path.starts_with('/') {
        return None;
    }
    Some(format!("https://{host}{port}{path}"))
}

/// Adds `Strict-Transport-Security` to a response over TLS; over a plain connection it has no meaning (RFC 6797 7.2).
pub(super) fn add_hsts(gateway: &Gateway, secure: bool, headers: &mut HeaderList) {
    let hsts: Option<&HeaderValue> = gateway.plan.listen.tls.as_ref().and_then(|tls| tls.hsts.as_ref());
    if let Some(hsts) = hsts.filter(|_| secure) {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts);
    }
}
