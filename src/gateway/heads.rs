//! Headers of a response: those of every response of a route, those kept from an upstream's error, and those that an error adds.

use http::StatusCode;
use http::header;

use super::admission::Quota;
use super::cors;
use super::outcome::UpstreamError;
use crate::envelope::Envelope;
use crate::failure::{Failure, Kind};
use crate::header::{HeaderList, Value, names};
use crate::policy::Policy;
use crate::redact::Redactor;
use crate::tunnel::handshake;
use crate::upstream::heads::response::{describes_body, survives_server_error};
use crate::upstream::heads::scan::is_connection_auth;
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
    let mut value = Vec::with_capacity(64);
    let mut set = |name, write: fn(&mut Vec<u8>, &Quota)| {
        value.clear();
        for one in quota {
            if !value.is_empty() {
                value.extend_from_slice(b", ");
            }
            write(&mut value, one);
        }
        // Names of limits are tokens.
        let _ = headers.try_insert(name, &value);
    };
    set(names::RATELIMIT_POLICY, |value, one| value.extend_from_slice(one.quota_policy.policy.as_bytes()));
    set(names::RATELIMIT, |value, one| {
        value.extend_from_slice(one.quota_policy.label.as_bytes());
        value.extend_from_slice(b";r=");
        write::number(value, u64::from(one.remaining));
        value.extend_from_slice(b";t=");
        write::number(value, one.reset);
    });
}

/// The headers that an error response of the gateway's own gets.
pub(super) struct OwnHeaders<'h> {
    pub(super) headers: &'h mut HeaderList,
    /// Whether there may be lines of the same names, of the upstream or by the policy, which are replaced. Otherwise none is searched for.
    replaces: bool,
}

impl<'h> OwnHeaders<'h> {
    pub(super) fn new(headers: &'h mut HeaderList, upstream: Option<&UpstreamError>, policy: &Policy) -> Self {
        Self { headers, replaces: upstream.is_some() || policy.cors.is_some() || !policy.response_headers.set.is_empty() }
    }

    /// Sets a header, unless the value is not valid.
    pub(super) fn set(&mut self, name: header::HeaderName, value: &[u8]) {
        let _ = match self.replaces {
            true => self.headers.try_insert(name, value),
            false => self.headers.try_append(name, value),
        };
    }

    pub(super) fn set_number(&mut self, name: header::HeaderName, number: u64) {
        self.set(name, itoa::Buffer::new().format(number).as_bytes());
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
    headers: &mut OwnHeaders<'_>,
    envelope: &Envelope,
    failure: &Failure,
    upstream: Option<&UpstreamError>,
    policy: &Policy,
) {
    headers.set(header::CACHE_CONTROL, b"no-store");
    headers.set(header::X_CONTENT_TYPE_OPTIONS, b"nosniff");
    headers.set(names::X_REQUEST_ID, envelope.request_id.as_bytes());
    if let Some(seconds) = envelope.retry_after {
        headers.set_number(header::RETRY_AFTER, seconds);
    }
    if let Some(allow) = &failure.allow {
        headers.set(header::ALLOW, allow.as_bytes());
    }
    if let Some(challenge) = &failure.challenge {
        headers.set(header::WWW_AUTHENTICATE, challenge.as_bytes());
    }
    if failure.kind == Kind::WebSocketVersion {
        name_version(headers);
    }
    if policy.errors.proxy_status {
        headers.set(names::PROXY_STATUS, &proxy_status(failure, upstream));
    }
}

/// Adds the headers of a 426 that refuses a version of WebSocket: the version and the protocol that the gateway speaks (RFC 6455 4.2.2,
/// RFC 9110 15.5.22).
fn name_version(headers: &mut OwnHeaders<'_>) {
    headers.set(header::CONNECTION, b"Upgrade");
    headers.set(header::UPGRADE, b"websocket");
    headers.set(header::SEC_WEBSOCKET_VERSION, handshake::VERSION.as_bytes());
}

/// `Proxy-Status` with the gateway's name, the error type and the received status (RFC 9209 2.1 and 2.3).
fn proxy_status(failure: &Failure, upstream: Option<&UpstreamError>) -> Vec<u8> {
    let reason = failure.kind.row().reason;
    let mut value = Vec::with_capacity(64);
    value.extend_from_slice(b"lockgate");
    if !reason.is_empty() {
        value.extend_from_slice(b"; error=");
        value.extend_from_slice(reason.as_bytes());
    }
    if let Some(upstream) = upstream {
        value.extend_from_slice(b"; received-status=");
        write::number(&mut value, u64::from(upstream.status));
    }
    value
}
