//! Builds the [`Envelope`] of an error from the failure and from what the upstream sent. Writes no bytes.

use std::borrow::Cow;
use std::time::SystemTime;

use http::StatusCode;
use http::header;

use super::outcome::UpstreamError;
use super::request::RequestState;
use crate::envelope::{Debug, Envelope, Item};
use crate::failure::catalog::{VALIDATION_ERROR, code_of_status, grpc_status};
use crate::failure::{Failure, Kind};
use crate::header::{retry_after_of, whole_seconds};
use crate::language;
use crate::plan::ErrorPresenter;
use crate::policy::{Mode, Policy, Upstream429};
use crate::redact::{self, Redactor};
use crate::report::{self, Report};
use crate::rpc;
use crate::text::{Text, Untrusted};

/// The most field errors that an envelope holds.
const MAX_FIELDS: usize = 200;
/// The most bytes of an upstream's further members that an envelope holds.
const MAX_KEPT: usize = 8 * 1024;
/// How much of a text the `debug` object shows, in characters.
const MAX_SHOWN: usize = 16 * 1024;

/// Builds the envelope of an error.
pub(super) fn build_envelope(
    failure: &mut Failure,
    upstream: Option<&UpstreamError>,
    (policy, mode): (&Policy, Mode),
    presenter: &ErrorPresenter,
    state: &RequestState,
) -> Envelope {
    let violated = std::mem::take(&mut failure.violated);
    let failure = &*failure;
    let status = status(failure, upstream, policy);
    let accept = state.record.context.wanted.language.as_deref();
    let language = language::negotiate(accept, &policy.errors.languages).to_owned();
    let development = mode == Mode::Development;
    // A client's error is described in the upstream's words where they are clean; a backend's fault is not.
    let client_error = status.is_client_error() && matches!(failure.kind, Kind::UpstreamClientError | Kind::UpstreamRateLimited);
    let errors = match upstream {
        Some(upstream) if client_error => errors(&upstream.report, development, &presenter.redactor),
        _ => Vec::new(),
    };
    let has_fields = errors.iter().any(|item| item.field.is_some());
    let code = code(failure, upstream, status, has_fields, &presenter.redactor);
    let own = upstream.and_then(|upstream| own_message(&upstream.report, development, client_error, (status, &presenter.redactor)));
    let is_translated = own.is_none();
    let message = own.unwrap_or_else(|| {
        let key = if presenter.messages.has_code(&code) { &*code } else { catalogue_code(failure, status, has_fields) };
        presenter.messages.of_code(key, &language)
    });
    Envelope {
        status,
        message,
        negotiated_language: language,
        is_translated,
        errors,
        details: policy.errors.details,
        retry_after: retry_after(failure, upstream, status, policy),
        violated,
        problem_type: upstream.filter(|_| client_error).and_then(|upstream| problem_type(upstream, &presenter.redactor)),
        upstream: upstream.filter(|_| client_error).and_then(|upstream| presenter.redactor.clear_members(&upstream.extra, MAX_KEPT)),
        timestamp: SystemTime::now(),
        request_id: state.record.context.id.clone(),
        method: state.record.context.method.clone(),
        path: state.record.context.path().to_owned(),
        grpc: upstream.and_then(own_grpc_status).unwrap_or_else(|| grpc_status(status.as_u16(), failure.kind.row().clock).number()),
        rpc_id: upstream.and_then(|upstream| upstream.report.rpc_id.clone()).filter(|id| is_safe_id(id, &presenter.redactor)),
        debug: development.then(|| Box::new(debug(failure, upstream, state))),
        code,
    }
}

/// Returns true if the id of a call may be sent back: a number, or a token that is no internal.
fn is_safe_id(id: &str, redactor: &Redactor) -> bool {
    id.bytes().all(|b| b.is_ascii_digit() || b == b'-') || redactor.clear_code(id.trim_matches('"')).is_some()
}

/// `grpc-status` of the upstream's response, if it is a failure.
fn own_grpc_status(upstream: &UpstreamError) -> Option<u8> {
    upstream.headers.get(rpc::GRPC_STATUS)?.to_str().ok()?.parse().ok().filter(|status| (1..=16).contains(status))
}

fn status(failure: &Failure, upstream: Option<&UpstreamError>, policy: &Policy) -> StatusCode {
    let status = match failure.kind {
        Kind::UpstreamClientError => upstream.map_or(400, |upstream| upstream.effective_status),
        Kind::Responded => failure.status,
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

/// The upstream's own message: as it is in development, else its first clean sentence, and only for a client's error. Where the upstream
/// named one field and nothing else, the text of that field is the message.
fn own_message(report: &Report, development: bool, client_error: bool, (status, redactor): (StatusCode, &Redactor)) -> Option<Text> {
    // The phrase of the status that is sent says nothing.
    let phrase = report.phrase.as_ref().filter(|phrase| report.fields.is_empty() && !report::is_phrase_of(phrase.raw(), status.as_u16()));
    if development {
        return report.message.as_ref().or(phrase).map(Text::development);
    }
    if !client_error {
        return None;
    }
    let only_field = match report.fields.as_slice() {
        [(_, errors)] if report.message.is_none() && errors.len() == 1 => {
            errors.first().map(|error| &error.message).filter(|text| text.raw().contains(' '))
        }
        _ => None,
    };
    report.message.iter().chain(&report.alternatives).chain(only_field).chain(phrase).find_map(|own| redactor.clear(own))
}

/// The code of an error. An operator's rule comes first. A client error keeps the upstream's own code if that is safe; beside a trace or
/// another internal, the name of an exception is not. An upstream cannot use a code of the gateway's that promises something
/// (`RATE_LIMITED`: nothing was processed).
fn code(
    failure: &Failure,
    upstream: Option<&UpstreamError>,
    status: StatusCode,
    has_fields: bool,
    redactor: &Redactor,
) -> Cow<'static, str> {
    if let Some(code) = upstream.and_then(|upstream| upstream.code.clone()) {
        return Cow::Owned(code);
    }
    let client = status.is_client_error() && matches!(failure.kind, Kind::UpstreamClientError | Kind::UpstreamRateLimited);
    let own = upstream.filter(|_| client).and_then(|upstream| {
        let code = redactor.clear_code(upstream.report.code.as_ref()?.raw())?;
        let promises = matches!(code.as_str(), "RATE_LIMITED" | "OVERLOADED" | "SHUTTING_DOWN");
        let dirty =
            || upstream.report.stack.is_some() || upstream.report.message.as_ref().is_some_and(|message| redactor.leaks(message.raw()));
        let unfit = promises || (redact::is_thrown(&code) && dirty());
        (!unfit).then_some(code)
    });
    own.map_or_else(|| Cow::Borrowed(catalogue_code(failure, status, has_fields)), Cow::Owned)
}

/// The errors of fields, sorted by their paths, and then those without a field. An error whose path or message leaks is left out, and a code
/// that leaks as well.
fn errors(report: &Report, development: bool, redactor: &Redactor) -> Vec<Item> {
    let clean = |item: &report::Item, field: Option<&String>| {
        let message = if development { Text::development(&item.message) } else { redactor.clear(&item.message)? };
        let code = item.code.as_ref().and_then(|code| redactor.clear_code(code.raw()));
        Some(Item { field: field.cloned(), message, code })
    };
    let of_field = |(path, errors): &report::Field| {
        let path = redactor.clear_field(path)?;
        Some(errors.iter().filter_map(|item| clean(item, Some(&path))).collect::<Vec<_>>())
    };
    let mut found: Vec<Item> = report.fields.iter().take(MAX_FIELDS).filter_map(of_field).flatten().collect();
    found.sort_by(|a, b| a.field.cmp(&b.field));
    found.extend(report.items.iter().take(MAX_FIELDS).filter_map(|item| clean(item, None)));
    found
}

fn problem_type(upstream: &UpstreamError, redactor: &Redactor) -> Option<String> {
    let uri = upstream.report.problem_type.as_ref()?.raw();
    let sound = uri.len() <= 256 && uri.parse::<http::Uri>().is_ok() && !redactor.leaks(uri);
    sound.then(|| uri.to_owned())
}

/// Seconds for `Retry-After`, on 429 and 503 always: from the failure, else from the upstream (capped), else the default.
fn retry_after(failure: &Failure, upstream: Option<&UpstreamError>, status: StatusCode, policy: &Policy) -> Option<u64> {
    let named = upstream.and_then(|upstream| upstream.headers.get(header::RETRY_AFTER)).and_then(retry_after_of);
    let asked = failure.retry_after.or(named.map(|named| named.min(policy.errors.retry_after_max)));
    let needed = matches!(status.as_u16(), 429 | 503);
    let wait = if needed { asked.unwrap_or(policy.errors.retry_after) } else { asked? };
    Some(whole_seconds(wait))
}

/// The `debug` object of development mode.
fn debug(failure: &Failure, upstream: Option<&UpstreamError>, state: &RequestState) -> Debug {
    let row = failure.kind.row();
    let reason = if row.reason.is_empty() { row.cause } else { row.reason };
    let shown = |text: &Untrusted| Text::development(&Untrusted::new(text.raw().chars().take(MAX_SHOWN).collect::<String>()));
    let exception = upstream.and_then(|upstream| upstream.report.exception.as_ref()).map(shown);
    Debug {
        upstream_status: upstream.map(|upstream| upstream.status),
        backend: state.record.facts.route.as_ref().filter(|_| state.record.facts.dispatched).map(|route| route.backend.to_string()),
        endpoint: state.record.facts.trail.endpoint.as_ref().map(ToString::to_string),
        attempts: state.record.facts.trail.attempts,
        reason: reason.to_owned(),
        exception: exception.or_else(|| failure.detail.as_deref().map(|detail| Text::own(detail.to_owned()))),
        stack: upstream.and_then(|upstream| upstream.report.stack.as_ref()).map(shown),
        cause: upstream.and_then(|upstream| upstream.report.cause.as_ref()).map(shown),
        certainty: upstream.filter(|upstream| !upstream.body.is_blank()).map(|upstream| upstream.report.certainty.word()),
        body: upstream.filter(|upstream| !upstream.body.is_blank()).map(|upstream| shown(&upstream.body)),
    }
}
