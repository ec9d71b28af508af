//! Headers of a response: those of every response of a route, those kept from an upstream's error, and those that an error adds.

use http::StatusCode;
use http::header::{self, HeaderValue};

use super::admission::Quota;
use super::cors;
use super::outcome::UpstreamError;
use super::upgrade;
use crate::envelope::Envelope;
use crate::failure::{Failure, Kind};
use crate::header::{HeaderList, Value, names};
use crate::policy::Policy;
use crate::redact::Redactor;
use crate::upstream::heads::request::is_connection_auth;
use crate::upstream::heads::response::{describes_body, survives_server_error};
use crate::write;

/// The longest value that is read for leaks, in bytes. A longer one is dropped.
const MAX_VALUE: usize = 4 * 1024;

/// Adds what every response of a route carries: its header edits, CORS headers and quotas.
pub(super) fn finish_headers(headers: &mut HeaderList, policy: &Policy, origin: Option<&str>, quota: &[Quota]) {
    for name in &policy.response_headers.remove {
        headers.remove(name);
    }
    for (name, value) in &policy.response_headers.set {
        headers.insert(name.clone(), value);
    }
    if let Some(cors) = &policy.cors {
        cors::apply(cors, origin, headers);
    }
    if !quota.is_empty() {
        quota_headers(headers, quota);
    }
}

/// Writes the `RateLimit` headers as structured fields: `"name";q=100;w=60` and `"name";r=7;t=60`.
fn quota_headers(headers: &mut HeaderList, quota: &[Quota]) {
    let (mut policy, mut state) = (Vec::with_capacity(64), Vec::with_capacity(64));
    for (at, one) in quota.iter().enumerate() {
        if at > 0 {
            policy.extend_from_slice(b", ");
            state.extend_from_slice(b", ");
        }
        policy.extend_from_slice(one.quota_policy.policy.as_bytes());
        state.extend_from_slice(one.quota_policy.label.as_bytes());
        state.extend_from_slice(b";r=");
        write::number(&mut state, u64::from(one.remaining));
        state.extend_from_slice(b";t=");
        write::number(&mut state, one.reset);
    }
    for (name, value) in [(names::RATELIMIT_POLICY, policy), (names::RATELIMIT, state)] {
        // Names of limits are tokens.
        let _ = headers.try_insert(name, &value);
    }
}

/// Removes headers whose values leak from a success of a guarded route.
pub(super) fn guard_headers(headers: &mut HeaderList, redactor: &Redactor) {
    let dirty = |(name, value): (&header::HeaderName, Value<'_>)| leaks(name, value, redactor).then(|| name.clone());
    let dirty: Vec<_> = headers.iter().filter_map(dirty).collect();
    headers.remove_all(&dirty);
}

/// Returns true if a value leaks. Cookies and challenges may carry tokens, which are meant for this client.
fn leaks(name: &header::HeaderName, value: Value<'_>, redactor: &Redactor) -> bool {
    let shown = String::from_utf8_lossy(value.as_bytes());
    match *name {
        // A date or a number is nothing but that.
        header::DATE | header::EXPIRES | header::LAST_MODIFIED if httpdate::parse_http_date(&shown).is_ok() => false,
        header::RETRY_AFTER | header::AGE if shown.bytes().all(|byte| byte.is_ascii_digit()) => false,
        header::SET_COOKIE => redactor.cookie_leaks(&shown),
        header::WWW_AUTHENTICATE | header::PROXY_AUTHENTICATE => !is_connection_auth(value) && redactor.leaks(&shown),
        _ => shown.len() > MAX_VALUE || redactor.leaks(&shown),
    }
}

/// The headers of an upstream's error that are sent with the gateway's own.
pub(super) fn kept_headers(upstream: &UpstreamError, status: StatusCode, redactor: &Redactor) -> HeaderList {
    let server_error = status.is_server_error();
    let mut kept = HeaderList::new();
    for (name, value) in upstream.headers.iter() {
        let text = name.as_str();
        let range = status == StatusCode::RANGE_NOT_SATISFIABLE && *name == header::CONTENT_RANGE;
        let describes = describes_body(text) || (*name == header::CONTENT_RANGE && !range);
        if describes || (server_error && !survives_server_error(text)) {
            continue;
        }
        if !leaks(name, value, redactor) {
            kept.append(name.clone(), value);
        }
    }
    kept
}

/// Adds the headers of every error response.
pub(super) fn error_headers(
    headers: &mut HeaderList,
    envelope: &Envelope,
    failure: &Failure,
    upstream: Option<&UpstreamError>,
    policy: &Policy,
) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(names::X_REQUEST_ID, &envelope.request_id);
    if let Some(seconds) = envelope.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = &failure.allow {
        headers.insert(header::ALLOW, allow);
    }
    if failure.kind == Kind::WebSocketVersion {
        upgrade::name_version(headers);
    }
    if policy.errors.proxy_status
        && let Some(value) = proxy_status(failure, upstream)
    {
        headers.insert(names::PROXY_STATUS, value);
    }
}

/// `Proxy-Status` with the gateway's name, the error type and the received status (RFC 9209 2.1 and 2.3).
fn proxy_status(failure: &Failure, upstream: Option<&UpstreamError>) -> Option<HeaderValue> {
    let reason = failure.kind.row().reason;
    let mut value = String::with_capacity(64);
    value.push_str("lockgate");
    if !reason.is_empty() {
        value.push_str("; error=");
        value.push_str(reason);
    }
    if let Some(upstream) = upstream {
        value.push_str(&format!("; received-status={}", upstream.status));
    }
    HeaderValue::from_str(&value).ok()
}
