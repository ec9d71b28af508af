//! Answers requests of routes without a backend: redirects and fixed responses. Knows nothing of limits, which were checked before.

use bytes::Bytes;
use http::{Method, header};

use super::outcome::{Content, ErrorOutcome, Passed};
use super::request::Request;
use crate::failure::{Failure, Kind};
use crate::header::HeaderList;
use crate::plan::{PathTemplate, Redirect, Respond};
use crate::policy::Scheme;
use crate::route::Values;

/// Redirects a request. The query is kept unless the template has one of its own.
///
/// # Errors
/// The redirect leads to the URL that was requested.
pub(super) fn redirect(redirect: &Redirect, request: Request<'_>, scheme: Scheme) -> Result<Passed, ErrorOutcome> {
    let query = request.context.uri.query();
    if redirect.to.template.has_host() && request.host_name().is_none_or(str::is_empty) {
        return Err(Failure::because(Kind::BadRequest, "the redirect of the route needs a host, and the request names none").into());
    }
    let mut to = render(&redirect.to, request, scheme, request.context.path());
    if let Some(query) = query.filter(|_| !redirect.to.template.has_query()) {
        let fragment = to.find('#').map_or_else(String::new, |at| to.split_off(at));
        to = [&to, "?", query, &fragment].concat();
    }
    // A client takes `//host` for another host, whatever the operator meant.
    if to.starts_with("//") || to.starts_with("/\\") {
        to = format!("/{}", to.trim_start_matches(['/', '\\']));
    }
    if leads_to_itself(&to, request, scheme) {
        return Err(Failure::because(Kind::LoopDetected, "the redirect of the route leads to the URL that was requested").into());
    }
    let mut headers = HeaderList::new();
    let written = headers.try_insert(header::LOCATION, to.as_bytes());
    written.map_err(|_| Failure::because(Kind::BadRequest, "the redirect is not a valid header value"))?;
    Ok(Passed { status: redirect.status, headers, content: Content::Ready(Bytes::new()) })
}

/// Gives the response of a route.
///
/// # Errors
/// The response is an error without a body of its own: the route's format tells it.
pub(super) fn respond(respond: &Respond, request: Request<'_>) -> Result<Passed, ErrorOutcome> {
    let status = respond.status;
    let mut headers = HeaderList::new();
    let body = match &respond.body {
        None if status.is_client_error() || status.is_server_error() => {
            return Err(Failure { status: status.as_u16(), ..Failure::new(Kind::Responded) }.into());
        }
        None => Bytes::new(),
        Some((body, content_type)) => {
            headers.insert(header::CONTENT_TYPE, content_type);
            if request.context.method == Method::HEAD {
                headers.insert(header::CONTENT_LENGTH, header_of(body.len()));
                Bytes::new()
            } else {
                body.clone()
            }
        }
    };
    Ok(Passed { status, headers, content: Content::Ready(body) })
}

fn header_of(length: usize) -> http::HeaderValue {
    http::HeaderValue::from(length)
}

/// Returns a template with the parts of a request. `path` is the value of `{path}`.
pub(super) fn render(template: &PathTemplate, request: Request<'_>, scheme: Scheme, path: &str) -> String {
    let matched = request.context.path();
    // One of the patterns has matched; where there are several, the first that matches tells the captures.
    let Some(pattern) = template.patterns.iter().find(|pattern| pattern.matches(matched)).or(template.patterns.first()) else {
        return path.to_owned();
    };
    template.template.render(&Values {
        host: request.host_name().unwrap_or_default(),
        path,
        query: request.context.uri.query().unwrap_or_default(),
        scheme: scheme.as_str(),
        captures: (pattern, matched),
    })
}

fn leads_to_itself(to: &str, request: Request<'_>, scheme: Scheme) -> bool {
    let own = request.context.uri.path_and_query().map_or("/", |own| own.as_str());
    let to = to.split('#').next().unwrap_or(to);
    let Some((to_scheme, rest)) = to.split_once("://") else { return to == own };
    let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    to_scheme == scheme.as_str() && path == own && request.host().is_some_and(|own| own.eq_ignore_ascii_case(host))
}
