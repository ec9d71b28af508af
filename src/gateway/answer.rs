//! The one place for every trouble: failure and report become an [`Envelope`], the envelope becomes bytes, and the record
//! keeps what the client is not told.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};

use super::admit::{Quota, whole_seconds};
use super::arrive::{Early, Trip};
use super::inspect::{Content, Passage, bytes_in};
use super::tail::{Recorded, Rest};
use super::{Gateway, Said, Trouble, cors};
use crate::body::{Body, Witness};
use crate::context::Peer;
use crate::envelope::{Debug, Envelope, Fields};
use crate::failure::catalog::{VALIDATION_ERROR, code_of_status};
use crate::failure::{Failure, Kind};
use crate::header::names;
use crate::message;
use crate::observe::visit::Original;
use crate::plan::Voice;
use crate::policy::{Mode, Policy, Upstream429};
use crate::redact::{self, Redactor};
use crate::relay::Relay;
use crate::render::{self, PageWords, Rendered, negotiate};
use crate::report::Report;
use crate::text::{Text, Untrusted};
use crate::upstream::request_head::is_connection_auth;
use crate::upstream::response_head::{describes_body, survives_server_error};

/// How much of an upstream's body the log keeps, in bytes.
const MAX_LOGGED: usize = 4 * 1024;
/// Field errors that are told.
const MAX_FIELDS: usize = 200;
/// How much of it the `debug` object shows, in bytes.
const MAX_SHOWN: usize = 16 * 1024;

impl Gateway {
    /// A good answer goes to the client.
    pub(super) fn pass(&self, passage: Passage, mut trip: Trip) -> Response<Body> {
        let Passage { status, mut headers, content } = passage;
        let policy = trip.route.as_ref().map_or(&self.plan.fallback, |route| &route.policy);
        finish_headers(&mut headers, policy, &trip.context().wanted.origin, &trip.quota);
        headers.insert(names::X_REQUEST_ID, trip.context().id.header().clone());
        headers.append(header::VIA, self.via.clone());
        trip.visit.status = status.as_u16();
        let body = match content {
            Content::Stream { prefix, body, lease, clocks } => {
                let rest = Rest { visit: trip.visit, lease: Some(lease), permit: trip.permit, progress: trip.progress };
                Body::Stream(Box::new(Relay::new(prefix, body, rest, clocks)))
            }
            Content::Ready(bytes) => {
                trip.visit.bytes_in = bytes_in(&trip);
                Body::ready(bytes, Some(Box::new(Recorded(trip.visit)) as Box<dyn Witness>))
            }
        };
        respond(status, headers, body)
    }

    /// Any trouble becomes an answer.
    pub(super) fn answer(&self, trouble: Trouble, mut trip: Trip) -> Response<Body> {
        let Trouble { failure, said } = trouble;
        self.record(&failure, said.as_deref(), &mut trip);
        let route = trip.route.clone();
        let policy = route.as_ref().map_or(&self.plan.fallback, |route| &route.policy);
        let voice = route.as_ref().map_or(&self.plan.fallback_voice, |route| &route.voice);
        let envelope = self.envelope(&failure, said.as_deref(), policy, voice, &trip);
        let mut headers = said.as_deref().map(|said| kept_headers(said, envelope.status, &voice.redactor)).unwrap_or_default();
        finish_headers(&mut headers, policy, &trip.context().wanted.origin, &trip.quota);
        let body = match said.as_deref().and_then(|said| said.page.clone()) {
            Some(page) => self.page_as_it_is(page, said.as_deref(), &mut headers),
            None => write_body(&envelope, policy, &trip, &mut headers),
        };
        self.error_headers(&mut headers, &envelope, &failure, said.as_deref(), policy);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        trip.visit.status = envelope.status.as_u16();
        trip.visit.bytes_in = bytes_in(&trip);
        let sent = if trip.context().method == Method::HEAD { Bytes::new() } else { body };
        let witness: Box<dyn Witness> = Box::new(Recorded(trip.visit));
        respond(envelope.status, headers, Body::ready(sent, Some(witness)))
    }

    /// An answer for bytes that never became a request.
    pub fn answer_early(&self, peer: &Peer, early: Early) -> Response<Body> {
        let trip = Trip::early(self, peer, &early);
        self.answer(early.failure.into(), trip)
    }

    /// Keeps for operators what clients are not told.
    fn record(&self, failure: &Failure, said: Option<&Said>, trip: &mut Trip) {
        trip.visit.kind = Some(failure.kind);
        trip.visit.cause = failure.detail.as_deref().map(|detail| redact::mask(detail, MAX_LOGGED).into_boxed_str());
        trip.visit.original = said.filter(|said| !said.body.is_blank()).map(|said| {
            let text = redact::mask(said.body.raw(), MAX_LOGGED);
            Box::new(Original { text, truncated: said.truncated || said.body.raw().len() > MAX_LOGGED })
        });
    }

    /// What will be told.
    fn envelope(&self, failure: &Failure, said: Option<&Said>, policy: &Policy, voice: &Voice, trip: &Trip) -> Envelope {
        let status = status(failure, said, policy);
        let wanted = &trip.context().wanted;
        let text = |value: &Option<HeaderValue>| value.as_ref().and_then(|value| value.to_str().ok()).map(str::to_owned);
        let language = message::negotiate(text(&wanted.language).as_deref(), &policy.errors.languages).to_owned();
        let development = self.plan.mode == Mode::Development;
        // What a client did wrong is told in the upstream's words where they are clean; what a backend did wrong is not.
        let client_error = status.is_client_error() && matches!(failure.kind, Kind::UpstreamClientError | Kind::UpstreamRateLimited);
        let fields =
            if client_error { said.map(|said| fields(said, development, &voice.redactor)).unwrap_or_default() } else { Fields::new() };
        let code = code(failure, said, status, !fields.is_empty(), &voice.redactor);
        let own = said.and_then(|said| own_message(&said.report, development, client_error, &voice.redactor));
        let told_by_catalogue = own.is_none();
        let key = if message::knows(&code) { code.as_str() } else { catalogue_code(failure, status, !fields.is_empty()) };
        let message = own.unwrap_or_else(|| message::of_code(key, &language));
        Envelope {
            status,
            message,
            language: told_by_catalogue.then_some(language),
            fields,
            retry_after: retry_after(failure, said, status, policy),
            violated: failure.violated.clone(),
            problem_type: said.filter(|_| client_error).and_then(problem_type),
            timestamp: SystemTime::now(),
            request_id: trip.context().id.clone(),
            method: trip.context().method.clone(),
            path: trip.context().path().to_owned(),
            debug: development.then(|| Box::new(debug(failure, said, trip))),
            code,
        }
    }

    /// A page that may be shown as it is keeps the headers that describe it.
    fn page_as_it_is(&self, page: Bytes, said: Option<&Said>, headers: &mut HeaderMap) -> Bytes {
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::CONTENT_SECURITY_POLICY] {
            if let Some(value) = said.and_then(|said| said.headers.get(&name)) {
                headers.insert(name, value.clone());
            }
        }
        headers.append(header::VARY, HeaderValue::from_static("Accept"));
        page
    }

    /// Headers of every error answer (contract section 5).
    fn error_headers(&self, headers: &mut HeaderMap, envelope: &Envelope, failure: &Failure, said: Option<&Said>, policy: &Policy) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(names::X_REQUEST_ID, envelope.request_id.header().clone());
        headers.append(header::VIA, self.via.clone());
        if let Some(seconds) = envelope.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = &failure.allow {
            headers.insert(header::ALLOW, allow.clone());
        }
        if policy.errors.proxy_status
            && let Some(value) = proxy_status(failure, said)
        {
            headers.insert(names::PROXY_STATUS, value);
        }
    }
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// What every answer of a route carries: its header edits, its CORS, its quota.
fn finish_headers(headers: &mut HeaderMap, policy: &Policy, origin: &Option<HeaderValue>, quota: &[Quota]) {
    for name in &policy.response_headers.remove {
        headers.remove(name);
    }
    for (name, value) in &policy.response_headers.set {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(cors) = &policy.cors {
        cors::apply(cors, origin.as_ref(), headers);
    }
    if !quota.is_empty() {
        quota_headers(headers, quota);
    }
}

/// Structured fields: `"name";q=100;w=60` and `"name";r=7;t=60`.
fn quota_headers(headers: &mut HeaderMap, quota: &[Quota]) {
    let list = |item: &dyn Fn(&Quota) -> String| HeaderValue::from_str(&quota.iter().map(item).collect::<Vec<_>>().join(", ")).ok();
    let policy = list(&|q| format!("\"{}\";q={};w={}", quoted(&q.name), q.limit, q.window));
    let state = list(&|q| format!("\"{}\";r={};t={}", quoted(&q.name), q.remaining, q.reset));
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}

/// A string of RFC 9651 3.3.3: printable ASCII with `\` and `"` escaped.
fn quoted(name: &str) -> String {
    name.chars().filter(|c| (' '..='~').contains(c)).flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] }).collect()
}

/// Headers of the upstream's answer that go on with ours.
fn kept_headers(said: &Said, status: StatusCode, redactor: &Redactor) -> HeaderMap {
    let server_error = status.is_server_error();
    let mut kept = HeaderMap::new();
    for (name, value) in &said.headers {
        let text = name.as_str();
        let range = status == StatusCode::RANGE_NOT_SATISFIABLE && *name == header::CONTENT_RANGE;
        let describes = describes_body(text) || (*name == header::CONTENT_RANGE && !range);
        if describes || (server_error && !survives_server_error(text)) {
            continue;
        }
        let shown = String::from_utf8_lossy(value.as_bytes());
        // A cookie and a challenge carry tokens that are meant for this client.
        let dirty = match *name {
            header::SET_COOKIE => redactor.cookie_leaks(&shown),
            header::WWW_AUTHENTICATE | header::PROXY_AUTHENTICATE => !is_connection_auth(value) && redactor.leaks(&shown),
            // What is too long to be looked through is not shown.
            _ => shown.len() > MAX_LOGGED || redactor.leaks(&shown),
        };
        if !dirty {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

fn write_body(envelope: &Envelope, policy: &Policy, trip: &Trip, headers: &mut HeaderMap) -> Bytes {
    let accept = trip.context().wanted.accept.as_ref().and_then(|value| value.to_str().ok());
    let shape = negotiate::shape(accept, policy.errors.format, policy.errors.negotiate);
    let language = envelope.language.as_deref().unwrap_or("en");
    let words = PageWords { request_id: message::of_page("request_id", language), help: message::of_page("help", language) };
    let Rendered { body, content_type } = render::render(envelope, shape, words);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if policy.errors.negotiate {
        headers.append(header::VARY, HeaderValue::from_static("Accept"));
    }
    if let Some(language) = envelope.language.as_deref().and_then(|tag| HeaderValue::from_str(tag).ok()) {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Language"));
        headers.insert(header::CONTENT_LANGUAGE, language);
    }
    body.into()
}

fn status(failure: &Failure, said: Option<&Said>, policy: &Policy) -> StatusCode {
    let status = match failure.kind {
        Kind::UpstreamClientError => said.map_or(400, |said| said.told),
        Kind::UpstreamRateLimited if policy.errors.upstream_429 == Upstream429::Unavailable => 503,
        kind => kind.row().status,
    };
    let status = if policy.errors.edge_safe && matches!(status, 502 | 504) { 503 } else { status };
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn catalogue_code(failure: &Failure, status: StatusCode, has_fields: bool) -> &'static str {
    match failure.kind.row().code {
        "" if has_fields => VALIDATION_ERROR,
        "" => code_of_status(status.as_u16()),
        code => code,
    }
}

/// The upstream's words: all in development, else the first of its sentences that is clean, and only for what a client did
/// wrong. Where it named one field and nothing else, what is wrong with that field is the message.
fn own_message(report: &Report, development: bool, client_error: bool, redactor: &Redactor) -> Option<Text> {
    if development {
        return report.message.as_ref().map(Text::development);
    }
    if !client_error {
        return None;
    }
    let only_field = match report.fields.as_slice() {
        [(_, texts)] if report.message.is_none() && texts.len() == 1 && texts[0].raw().contains(' ') => texts.first(),
        _ => None,
    };
    report.message.iter().chain(&report.alternatives).chain(only_field).find_map(|own| redactor.clear(own))
}

/// A client error keeps the upstream's own code when it is safe, and tells more than what was thrown where a trace or another
/// internal stands beside it. A code of ours that promises something (`RATE_LIMITED`: nothing was processed) stays ours.
fn code(failure: &Failure, said: Option<&Said>, status: StatusCode, has_fields: bool, redactor: &Redactor) -> String {
    let client = status.is_client_error() && matches!(failure.kind, Kind::UpstreamClientError | Kind::UpstreamRateLimited);
    let own = said.filter(|_| client).and_then(|said| {
        let code = redactor.clear_code(said.report.code.as_ref()?.raw())?;
        let promises = matches!(code.as_str(), "RATE_LIMITED" | "OVERLOADED" | "SHUTTING_DOWN");
        let dirty = || said.report.stack.is_some() || said.report.message.as_ref().is_some_and(|message| redactor.leaks(message.raw()));
        let unfit = promises || (redact::is_thrown(&code) && dirty());
        (!unfit).then_some(code)
    });
    own.unwrap_or_else(|| catalogue_code(failure, status, has_fields).to_owned())
}

fn fields(said: &Said, development: bool, redactor: &Redactor) -> Fields {
    let mut fields = Fields::new();
    for (path, texts) in said.report.fields.iter().take(MAX_FIELDS) {
        let clear = |text: &Untrusted| if development { Some(Text::development(text)) } else { redactor.clear(text) };
        let texts: Vec<Text> = texts.iter().filter_map(clear).collect();
        if let Some(path) = redactor.clear_field(path).filter(|_| !texts.is_empty()) {
            fields.insert(path, texts);
        }
    }
    fields
}

fn problem_type(said: &Said) -> Option<String> {
    let uri = said.report.problem_type.as_ref()?.raw();
    let sound = uri.len() <= 256 && uri.parse::<http::Uri>().is_ok() && !redact::leaks(uri);
    sound.then(|| uri.to_owned())
}

/// Seconds for 429 and 503: what the failing part knows, what the upstream said (capped), else the default.
fn retry_after(failure: &Failure, said: Option<&Said>, status: StatusCode, policy: &Policy) -> Option<u64> {
    let told = said.and_then(|said| said.headers.get(header::RETRY_AFTER)).and_then(parse_retry_after);
    let asked = failure.retry_after.or(told.map(|told| told.min(policy.errors.retry_after_max)));
    let needed = matches!(status.as_u16(), 429 | 503);
    let wait = if needed { asked.unwrap_or(policy.errors.retry_after) } else { asked? };
    Some(whole_seconds(wait))
}

/// Seconds or a date (RFC 9110 10.2.3).
fn parse_retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

/// RFC 9209 2.1 and 2.3: our name, the token, the status we got.
fn proxy_status(failure: &Failure, said: Option<&Said>) -> Option<HeaderValue> {
    let reason = failure.kind.row().reason;
    let mut value = String::from("lockgate");
    if !reason.is_empty() {
        value.push_str("; error=");
        value.push_str(reason);
    }
    if let Some(said) = said {
        value.push_str(&format!("; received-status={}", said.status));
    }
    HeaderValue::from_str(&value).ok()
}

/// The inside view, development mode only.
fn debug(failure: &Failure, said: Option<&Said>, trip: &Trip) -> Debug {
    let row = failure.kind.row();
    let reason = if row.reason.is_empty() { row.cause } else { row.reason };
    let shown = |text: &Untrusted| Text::development(&Untrusted::new(text.raw().chars().take(MAX_SHOWN).collect::<String>()));
    let exception = said.and_then(|said| said.report.exception.as_ref()).map(shown);
    Debug {
        upstream_status: said.map(|said| said.status),
        backend: trip.visit.backend.as_ref().map(|(name, _)| name.to_string()),
        endpoint: trip.visit.endpoint.as_ref().map(ToString::to_string),
        attempts: trip.visit.attempts,
        reason: reason.to_owned(),
        exception: exception.or_else(|| failure.detail.as_deref().map(|detail| Text::own(detail.to_owned()))),
        stack: said.and_then(|said| said.report.stack.as_ref()).map(shown),
        body: said.filter(|said| !said.body.is_blank()).map(|said| shown(&said.body)),
    }
}

/// Keeps the compiler honest about what crosses threads.
const _: fn() = || {
    fn sendable<T: Send>() {}
    sendable::<Arc<Gateway>>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_reads_seconds_and_dates() {
        assert_eq!(parse_retry_after(&HeaderValue::from_static("7")), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after(&HeaderValue::from_static("99999999999999999999999")), Some(Duration::from_secs(u64::from(u32::MAX))));
        assert_eq!(parse_retry_after(&HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT")), Some(Duration::ZERO));
        assert_eq!(parse_retry_after(&HeaderValue::from_static("soon")), None);
    }

    #[test]
    fn quota_names_are_structured_strings() {
        assert_eq!(quoted("a\"b\\c"), "a\\\"b\\\\c");
    }
}
