//! Reads an upstream's error: collects the body, decodes it, and classifies it by its status, by an operator's rule, or by the database
//! constraint that it names.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::outcome::{Content, ErrorOutcome, Passed, UpstreamError};
use super::prepared::Prepared;
use super::request::Request;
use crate::body::Incoming as _;
use crate::failure::{Failure, Kind};
use crate::header::HeaderList;
use crate::language::Languages;
use crate::limit::reserve::Reserve;
use crate::plan::Route;
use crate::policy::{ErrorPolicy, Mode, Policy, Protocol};
use crate::relay::{Beyond, BodyClocks, Collected, collect};
use crate::render::negotiate::prefers_html;
use crate::report::database::Constraint;
use crate::report::decode::{self, DecodedBody};
use crate::report::{self, Report, database, extra, success};
use crate::text::Untrusted;

/// The largest page that may pass to a browser as it is, in bytes. Reading a larger one for leaks would hold up a core that serves.
const MAX_PAGE: usize = 256 * 1024;

/// The timeouts of a body that is read into memory. It must arrive within the response timeout, or a slow upstream would hold the memory
/// forever.
pub(super) fn reading_clocks(policy: &Policy, clocks: BodyClocks) -> BodyClocks {
    let by_response = policy.timeouts.response.map(|response| (Instant::now() + response, Kind::ResponseTimeout));
    BodyClocks { idle: clocks.idle, deadline: [clocks.deadline, by_response].into_iter().flatten().min_by_key(|(deadline, _)| *deadline) }
}

/// Reads up to `max` bytes of an error body and reports what they say.
pub(super) async fn error(kind: Kind, mut response: Prepared, route: &Route, mode: Mode, request: Request<'_>, max: usize) -> ErrorOutcome {
    let read = collect(&mut response.body, max, reading_clocks(&route.policy, response.clocks), Beyond::Drain).await;
    described(kind, (response.status.as_u16(), response.headers), read, (route, mode), request)
}

/// Reports what the body of an error says.
pub(super) fn described(
    kind: Kind,
    (status, headers): (u16, HeaderList),
    mut read: Collected,
    (route, mode): (&Route, Mode),
    request: Request<'_>,
) -> ErrorOutcome {
    let policy = &route.policy.errors;
    let content_type = header_text(&headers, "content-type");
    let asks_for_page = asks_for_page(kind, &read, content_type.as_deref(), route, mode, request);
    // Only a page that may pass is needed as it is, beside its text.
    let bytes = if asks_for_page { Cow::Borrowed(&*read.bytes) } else { Cow::Owned(std::mem::take(&mut read.bytes)) };
    let decoded = decoded(&headers, content_type.as_deref(), bytes, read.truncated, policy.max_body);
    let page = (asks_for_page && is_clean_page(&decoded, route)).then(|| Bytes::from(read.bytes));
    let Decoded { text, readable, .. } = decoded;
    let read_for = Some(text.as_str()).filter(|_| readable && is_worth_reading(kind, policy, mode));
    let mut report = read_for.map(|text| report::read_as(text, content_type.as_deref(), request.languages(policy))).unwrap_or_default();
    if report.code.is_none() {
        report.code = report::headers::code_in(&headers);
    }
    let verdict = Verdict::of(kind, status, &report, Some(text.as_str()).filter(|_| readable), policy);
    let upstream = UpstreamError {
        status,
        effective_status: verdict.status,
        code: verdict.code,
        extra: read_for.map(|text| extra::members(text, &route.policy.keep_fields, &report)).unwrap_or_default(),
        report,
        headers,
        body: Untrusted::new(text),
        truncated: read.truncated,
        page: page.filter(|_| verdict.kind == kind),
    };
    outcome(verdict.kind, upstream, read.failure)
}

/// Returns true if the content of the body is sent to the client or decides anything. A backend's own fault is described in the gateway's
/// words only (contract section 2); its page is for the log.
fn is_worth_reading(kind: Kind, policy: &ErrorPolicy, mode: Mode) -> bool {
    let is_sent = matches!(kind, Kind::UpstreamClientError | Kind::UpstreamRateLimited) || mode == Mode::Development;
    // The response carries the id of the JSON-RPC call, whatever went wrong.
    is_sent || !policy.status_map.is_empty() || policy.protocol == Protocol::Jsonrpc
}

/// The classification of an error.
struct Verdict {
    kind: Kind,
    status: u16,
    code: Option<String>,
}

impl Verdict {
    fn of(kind: Kind, status: u16, report: &Report, text: Option<&str>, policy: &ErrorPolicy) -> Self {
        let mut codes = report.code.iter().chain(&report.codes).map(Untrusted::raw);
        let by_code = codes.find_map(|code| policy.status_map.iter().find(|rule| rule.when.is_code(code)));
        if let Some(rule) = by_code.or_else(|| policy.status_map.iter().find(|rule| rule.when.is_status(status))) {
            let status = rule.status.unwrap_or(status);
            return Self { kind: Kind::of_upstream_status(status).unwrap_or(kind), status, code: rule.code.clone() };
        }
        let kind = match text.filter(|_| policy.database_errors && status >= 500).and_then(database::constraint) {
            Some(Constraint::Duplicate) => Kind::Duplicate,
            Some(Constraint::Reference) => Kind::Reference,
            None => kind,
        };
        Self { kind, status, code: None }
    }
}

/// Collects a 2xx body on a route that looks for errors in it. An error inside becomes an error response.
pub(super) async fn success(
    mut response: Prepared,
    policy: &Policy,
    buffers: &Arc<Reserve>,
    languages: Languages<'_>,
) -> Result<Passed, ErrorOutcome> {
    let declared = response.body.size_hint().exact();
    let content_type = header_text(&response.headers, "content-type").unwrap_or_default().to_ascii_lowercase();
    let readable = ["json", "xml", "text/plain", "graphql"].iter().any(|word| content_type.contains(word)) || content_type.is_empty();
    let fits = declared.is_none_or(|length| length <= policy.errors.max_body as u64);
    if !readable || !fits {
        return Ok(response.stream());
    }
    // Without memory the body passes unread: the backend has done its work, so the response must not be an overload error.
    let Some(memory) = buffers.take(response.holds(policy.errors.max_body)) else { return Ok(response.stream()) };
    let read = collect(&mut response.body, policy.errors.max_body, reading_clocks(policy, response.clocks), Beyond::Keep).await;
    if let Some(failure) = read.failure {
        return Err(broken_off(failure).into());
    }
    if read.truncated {
        return Ok(response.stream_after(memory.hold(read.bytes).into()));
    }
    let Decoded { text, readable, .. } =
        decoded(&response.headers, Some(&content_type), Cow::Borrowed(&read.bytes), false, policy.errors.max_body);
    let mut headers = if policy.dry_run { response.headers.clone() } else { std::mem::take(&mut response.headers) };
    let found = inside(if readable { &text } else { "" }, response.status.as_u16(), &mut headers, policy, languages);
    match found {
        Some(outcome) if !policy.dry_run => Err(outcome),
        found => {
            let headers = if policy.dry_run { response.headers } else { headers };
            let passed = Passed { status: response.status, headers, content: Content::Ready(memory.hold(read.bytes)) };
            Ok(match found {
                Some(outcome) => passed.in_dry_run(outcome),
                None => passed,
            })
        }
    }
}

/// The error that a success body reports, if one of the route's rules finds one.
pub(super) fn inside(text: &str, status: u16, headers: &mut HeaderList, policy: &Policy, languages: Languages<'_>) -> Option<ErrorOutcome> {
    let success::ErrorInSuccess { status: error_status, report } = success::read(text, &policy.errors.errors_in_success, languages)?;
    let kind = Kind::of_upstream_status(error_status).unwrap_or(Kind::UpstreamError);
    let verdict = Verdict::of(kind, error_status, &report, Some(text), &policy.errors);
    let upstream = UpstreamError {
        status,
        effective_status: verdict.status,
        code: verdict.code,
        headers: std::mem::take(headers),
        extra: extra::members(text, &policy.keep_fields, &report),
        report,
        body: Untrusted::new(text),
        truncated: false,
        page: None,
    };
    Some(outcome(verdict.kind, upstream, None))
}

/// The failure of a success whose body broke off while a rule had to read it. A timeout keeps its own kind.
pub(super) fn broken_off(failure: Failure) -> Failure {
    let kind = if failure.kind.row().clock { failure.kind } else { Kind::ResponseIncomplete };
    Failure { kind, ..failure }
}

fn outcome(kind: Kind, upstream: UpstreamError, failure: Option<Failure>) -> ErrorOutcome {
    let detail = failure.and_then(|failure| failure.detail);
    let failure = Failure { detail, ..Failure::new(kind) };
    ErrorOutcome { failure, upstream: Some(Box::new(upstream)) }
}

/// The values of a header as one list (RFC 9110 5.3).
pub(super) fn header_text<'h>(headers: &'h HeaderList, name: &'static str) -> Option<Cow<'h, str>> {
    let mut values = headers.get_all(name).filter_map(|value| value.to_str().ok());
    let first = values.next()?;
    Some(match values.next() {
        Some(second) => Cow::Owned([first, second].into_iter().chain(values).collect::<Vec<_>>().join(", ")),
        None => Cow::Borrowed(first),
    })
}

/// The text of a body.
pub(super) struct Decoded {
    pub(super) text: String,
    /// The text is the whole body.
    pub(super) whole: bool,
    /// The text is what the upstream wrote, or its beginning. False for a content coding that could not be decoded.
    pub(super) readable: bool,
}

/// The text of a body. For a coding that cannot be decoded, the bytes read as text.
pub(super) fn decoded(headers: &HeaderList, content_type: Option<&str>, bytes: Cow<'_, [u8]>, truncated: bool, max: usize) -> Decoded {
    let coding = header_text(headers, "content-encoding");
    let DecodedBody { bytes: plain, whole } = decode::uncode(&bytes, coding.as_deref(), max);
    let undone = match plain {
        Cow::Owned(plain) => Some(plain),
        Cow::Borrowed(_) => None,
    };
    let readable = whole || undone.is_some();
    let text = decode::text_of(undone.unwrap_or_else(|| bytes.into_owned()), content_type);
    Decoded { text, whole: whole && !truncated, readable }
}

/// Returns true if a browser asks for the page, which may pass as it is if it is clean (contract section 1).
fn asks_for_page(kind: Kind, read: &Collected, content_type: Option<&str>, route: &Route, mode: Mode, request: Request<'_>) -> bool {
    kind == Kind::UpstreamClientError
        && mode == Mode::Production
        && !read.truncated
        && read.failure.is_none()
        && content_type.is_some_and(|value| value.to_ascii_lowercase().contains("html"))
        && route.policy.errors.negotiate
        && prefers_html(request.asked())
}

/// Returns true if a browser may see the page: it is not a framework's own page, and without internals.
fn is_clean_page(decoded: &Decoded, route: &Route) -> bool {
    let text = decoded.text.as_str();
    // A part of a page proves nothing about the rest, and an escape sequence may change the meaning of the letters behind it.
    decoded.whole
        && text.len() <= MAX_PAGE
        && !text.contains('\u{1b}')
        && report::kind_of(text) == report::Kind::Html
        && !report::is_framework_page(text)
        && !route.presenter.redactor.page_leaks(text)
}
