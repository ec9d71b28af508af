//! An upstream's error is collected, decoded, read, and becomes what it is: by its status, by an operator's rule, or by the
//! constraint that a database refused.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as _;
use tokio::time::Instant;

use super::outcome::{Content, ErrorOutcome, Passed, UpstreamError};
use super::prepared::Prepared;
use super::request::Request;
use crate::failure::{Failure, Kind};
use crate::limit::reserve::Reserve;
use crate::plan::Route;
use crate::policy::{ErrorPolicy, Mode, Policy, Protocol};
use crate::relay::{Beyond, BodyClocks, Collected, collect};
use crate::render::negotiate::prefers_html;
use crate::report::database::Constraint;
use crate::report::{self, Report, database, decode, success};
use crate::text::Untrusted;

/// The largest page that may pass to a browser as it is, in bytes: what is larger is not read for leaks on a core that serves.
const MAX_PAGE: usize = 256 * 1024;

/// Clocks of a body that is read into memory: it must arrive within the response clock, or a drip would hold it for ever.
pub(super) fn reading_clocks(policy: &Policy, clocks: BodyClocks) -> BodyClocks {
    let by_response = policy.timeouts.response.map(|response| (Instant::now() + response, Kind::ResponseTimeout));
    BodyClocks { idle: clocks.idle, deadline: [clocks.deadline, by_response].into_iter().flatten().min_by_key(|(deadline, _)| *deadline) }
}

/// Reads up to `max` bytes of an error body, and what they say.
pub(super) async fn error(kind: Kind, mut reply: Prepared, route: &Route, mode: Mode, request: Request<'_>, max: usize) -> ErrorOutcome {
    let policy = &route.policy.errors;
    let read = collect(&mut reply.body, max, reading_clocks(&route.policy, reply.clocks), Beyond::Drain).await;
    let content_type = header_text(&reply.headers, "content-type");
    let decoded = decoded(&reply.headers, &read, policy.max_body);
    let page = page_for_browser(kind, &read, &decoded, content_type.as_deref(), route, mode, request);
    let Decoded { text, readable, .. } = decoded;
    let read_for = Some(text.as_str()).filter(|_| readable && is_worth_reading(kind, policy, mode));
    let report = read_for.map(|text| report::read_as(text, content_type.as_deref())).unwrap_or_default();
    if read.ended {
        reply.lease.finish(Instant::now());
    }
    let status = reply.status.as_u16();
    let verdict = Verdict::of(kind, status, &report, Some(text.as_str()).filter(|_| readable), policy);
    let upstream = UpstreamError {
        status,
        effective_status: verdict.status,
        code: verdict.code,
        headers: reply.headers,
        report,
        body: Untrusted::new(text),
        truncated: read.truncated,
        page: page.filter(|_| verdict.kind == kind),
    };
    outcome(verdict.kind, upstream, read.failure)
}

/// Will anything of what the body says be told or decide? What a backend did wrong is told in our words only (contract
/// section 2): its page is for the log.
fn is_worth_reading(kind: Kind, policy: &ErrorPolicy, mode: Mode) -> bool {
    let tells = matches!(kind, Kind::UpstreamClientError | Kind::UpstreamRateLimited) || mode == Mode::Development;
    // The id of a JSON-RPC call is told whatever went wrong.
    tells || !policy.status_map.is_empty() || policy.protocol == Protocol::Jsonrpc
}

/// Which error it is.
struct Verdict {
    kind: Kind,
    status: u16,
    code: Option<String>,
}

impl Verdict {
    fn of(kind: Kind, status: u16, report: &Report, text: Option<&str>, policy: &ErrorPolicy) -> Self {
        let own = report.code.as_ref().map(Untrusted::raw);
        if let Some(rule) = policy.status_map.iter().find(|rule| rule.when.holds(status, own)) {
            let told = rule.status.unwrap_or(status);
            return Self { kind: Kind::of_upstream_status(told).unwrap_or(kind), status: told, code: rule.code.clone() };
        }
        let kind = match text.filter(|_| policy.database_errors && status >= 500).and_then(database::constraint) {
            Some(Constraint::Duplicate) => Kind::Duplicate,
            Some(Constraint::Reference) => Kind::Reference,
            None => kind,
        };
        Self { kind, status, code: None }
    }
}

/// Collects a 2xx body on a route that asked for it, and turns an error inside into what it is.
pub(super) async fn success(mut reply: Prepared, policy: &Policy, buffers: &Arc<Reserve>) -> Result<Passed, ErrorOutcome> {
    let declared = reply.body.size_hint().exact();
    let content_type = header_text(&reply.headers, "content-type").unwrap_or_default().to_ascii_lowercase();
    let readable = ["json", "xml", "text/plain", "graphql"].iter().any(|word| content_type.contains(word)) || content_type.is_empty();
    let fits = declared.is_none_or(|length| length <= policy.errors.max_body as u64);
    if !readable || !fits {
        return Ok(reply.stream());
    }
    // Without memory it passes unread: what the backend has done must not be told as an overload.
    let Some(share) = buffers.take(reply.holds(policy.errors.max_body)) else { return Ok(reply.stream()) };
    let read = collect(&mut reply.body, policy.errors.max_body, reading_clocks(policy, reply.clocks), Beyond::Keep).await;
    if let Some(failure) = read.failure {
        return Err(broken_off(failure).into());
    }
    if read.truncated {
        return Ok(reply.stream_after(share.hold(read.bytes).into()));
    }
    reply.lease.finish(Instant::now());
    let Decoded { text, readable, .. } = decoded(&reply.headers, &read, policy.errors.max_body);
    match inside(if readable { &text } else { "" }, reply.status.as_u16(), &mut reply.headers, policy) {
        Some(outcome) => Err(outcome),
        None => Ok(Passed { status: reply.status, headers: reply.headers, content: Content::Ready(share.hold(read.bytes)) }),
    }
}

/// The error that a success body reports, if the route's rules see one.
pub(super) fn inside(text: &str, status: u16, headers: &mut HeaderMap, policy: &Policy) -> Option<ErrorOutcome> {
    let success::ErrorInSuccess { status: told, report } = success::read(text, &policy.errors.errors_in_success)?;
    let kind = Kind::of_upstream_status(told).unwrap_or(Kind::UpstreamError);
    let verdict = Verdict::of(kind, told, &report, Some(text), &policy.errors);
    let upstream = UpstreamError {
        status,
        effective_status: verdict.status,
        code: verdict.code,
        headers: std::mem::take(headers),
        report,
        body: Untrusted::new(text),
        truncated: false,
        page: None,
    };
    Some(outcome(verdict.kind, upstream, None))
}

/// A success that broke off within a body that a rule had to read: a clock keeps its row.
pub(super) fn broken_off(failure: Failure) -> Failure {
    let kind = if failure.kind.row().clock { failure.kind } else { Kind::ResponseIncomplete };
    Failure { kind, ..failure }
}

fn outcome(kind: Kind, upstream: UpstreamError, failure: Option<Failure>) -> ErrorOutcome {
    let detail = failure.and_then(|failure| failure.detail);
    let failure = Failure { detail, ..Failure::new(kind) };
    ErrorOutcome { failure, upstream: Some(Box::new(upstream)) }
}

/// A header's values, as one list (RFC 9110 5.3).
pub(super) fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// The text of a body.
pub(super) struct Decoded {
    pub(super) text: String,
    /// That is all of it.
    pub(super) whole: bool,
    /// It is what the upstream wrote, or the beginning of that, and not a coding that nobody could undo.
    pub(super) readable: bool,
}

/// The text of a body; of one whose coding cannot be undone, what its bytes look like.
pub(super) fn decoded(headers: &HeaderMap, read: &Collected, max: usize) -> Decoded {
    let coding = header_text(headers, "content-encoding");
    let plain = decode::uncode(&read.bytes, coding.as_deref(), max);
    let text = decode::text(&plain.bytes, header_text(headers, "content-type").as_deref());
    let undone = matches!(plain.bytes, Cow::Owned(_));
    Decoded { text, whole: plain.whole && !read.truncated, readable: plain.whole || undone }
}

/// A 4xx page that a browser asked for passes, unless it is a framework's or shows internals (contract section 1).
fn page_for_browser(
    kind: Kind,
    read: &Collected,
    decoded: &Decoded,
    content_type: Option<&str>,
    route: &Route,
    mode: Mode,
    request: Request<'_>,
) -> Option<Bytes> {
    let wanted = route.policy.errors.negotiate && prefers_html(request.asked());
    let is_page = content_type.is_some_and(|value| value.to_ascii_lowercase().contains("html"));
    if kind != Kind::UpstreamClientError || !wanted || !is_page || read.truncated || read.failure.is_some() {
        return None;
    }
    // A part of a page says nothing of the rest, and an escape sequence may turn letters into others.
    let text = Some(decoded.text.as_str()).filter(|_| decoded.whole)?;
    let readable = text.len() <= MAX_PAGE && !text.contains('\u{1b}');
    let clean = readable
        && report::kind_of(text) == report::Kind::Html
        && !report::is_framework_page(text)
        && !route.presenter.redactor.page_leaks(text);
    (clean && mode == Mode::Production).then(|| Bytes::copy_from_slice(&read.bytes))
}
