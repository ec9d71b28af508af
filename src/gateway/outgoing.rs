//! Makes the request that goes upstream: headers, body and target.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use super::admission::Admission;
use super::buffer;
use super::deadline;
use super::destination;
use super::grpc_web;
use super::identity;
use super::local;
use super::payload::Payload;
use super::request::{Inbound, Request};
use super::state::{Client, Gateway};
use super::upgrade;
use crate::body::UploadProgress;
use crate::context::TraceId;
use crate::failure::{Failure, Kind};
use crate::header::{HeaderList, Value, names};
use crate::observe::access_record::Facts;
use crate::plan::{Forward, Route};
use crate::policy::{Policy, Scheme};
use crate::upstream::attempt::outgoing::{OutgoingRequest, Replay};
use crate::upstream::choose::backend::Backend;
use crate::upstream::choose::balance::{Balance, HashKey, stable_hash};
use crate::upstream::heads::request::{self as heads, Additions};
use crate::upstream::upload::{Bounds, Upload};

/// Makes the request that goes upstream.
///
/// # Errors
/// The deadline has passed, or the target is not valid.
pub(super) fn outgoing(
    gateway: &Gateway,
    client: &Client,
    (route, forward): (&Route, &Forward),
    (request, facts): (Request<'_>, &mut Facts),
    Inbound { mut headers, mut payload, upgrade, identity: user }: Inbound,
    admission: &Admission,
    scheme: Scheme,
) -> Result<OutgoingRequest, Failure> {
    let policy = &route.policy;
    let client_host = request.host_bytes();
    let connection_auth = request.seen.connection_auth;
    let repeatable = !connection_auth && buffer::is_repeatable(route, request, &headers);
    let key = affinity(&forward.backend, request, &headers);
    let trace = prepare_head(&mut headers, gateway, client, request);
    if let Some(upgrade) = &upgrade {
        upgrade::write(upgrade, &mut headers);
    }
    if let Some(auth) = &route.auth {
        identity::tell(auth, user.as_deref(), &mut headers, request.seen.has_odd_names());
    }
    destination::map(&mut headers, policy, request)?;
    let edited = edit(&mut headers, policy, request);
    // The trace of a request with spans is known from its arrival, whatever its upstream is told.
    if facts.trail.spans.is_none() {
        facts.trace = if edited { heads::trace(&headers) } else { Some(trace) };
    }
    if let Some(host) = client_host.filter(|_| edited || !request.named_by_host_line()) {
        // A host that is not valid was refused before.
        let _ = headers.try_insert(http::header::HOST, host);
    }
    deadline::write(&mut headers, admission.deadline, request)?;
    if let Some(form) = admission.web {
        payload = grpc_web::request(form, &mut headers, payload)?;
    }
    // What is held already holds its share of the memory.
    let keeps_upload = !matches!(payload, Payload::Streaming { .. });
    let Body { upload, progress, replay } = body(policy, &mut headers, request, payload);
    facts.upload.clone_from(&progress);
    let target = target(policy, forward, request, scheme)?;
    Ok(OutgoingRequest {
        method: request.context.method.clone(),
        raw_target: request.context.raw_query.as_deref().and_then(|raw| raw_target(&target, request.context.uri.query()?, raw)),
        target,
        headers,
        upload: Some(upload),
        has_client_host: client_host.is_some(),
        progress,
        connection_auth,
        replay: if repeatable { replay } else { Replay::Never },
        upgrade,
        keeps_upload,
        key,
    })
}

/// Prepares the headers of a client for another server: without those of the connection, with those that tell where the request came from.
/// Returns the trace of the request.
pub(super) fn prepare_head(headers: &mut HeaderList, gateway: &Gateway, client: &Client, request: Request<'_>) -> TraceId {
    let add = Additions {
        peer: &client.peer,
        client: request.context.client,
        id: &request.context.id,
        via: &gateway.core.via,
        host: request.host_bytes(),
        scheme: client.scheme(),
    };
    let trace = heads::prepare(headers, request.seen, &add);
    if let Some(certificate) = client.tls.as_ref().and_then(|tls| tls.certificate.as_ref()) {
        headers.remove(names::CLIENT_CERT_CHAIN);
        headers.insert(names::CLIENT_CERT, certificate);
    }
    trace
}

/// Applies what the route says about request headers. True when the operator edits them.
fn edit(headers: &mut HeaderList, policy: &Policy, request: Request<'_>) -> bool {
    if policy.leak_guard {
        // A guarded body must be readable as it passes.
        headers.insert(http::header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if let Some(prefix) = &policy.strip_prefix {
        write_prefix(headers, prefix);
    }
    let edits = &policy.request_headers;
    if edits.is_empty() {
        return false;
    }
    // A name with unusual characters in the operator's edits has a plain twin.
    if request.seen.has_odd_names() || edits.has_odd_names {
        heads::remove_twins(headers, edits.remove.iter().chain(edits.set.iter().map(|(name, _)| name)));
    }
    for name in &edits.remove {
        headers.remove(name);
    }
    for (name, value) in &edits.set {
        headers.insert(name.clone(), value);
    }
    true
}

/// Appends the removed path prefix to the one that a trusted proxy removed before.
fn write_prefix(headers: &mut HeaderList, prefix: &str) {
    let before = headers.get(names::X_FORWARDED_PREFIX).map_or(&b""[..], Value::as_bytes).trim_ascii_end();
    let whole = [before.strip_suffix(b"/").unwrap_or(before), prefix.as_bytes()].concat();
    // Both parts were validated.
    let _ = headers.try_insert(names::X_FORWARDED_PREFIX, &whole);
}

/// The body as it is sent, and what of it another attempt could send.
struct Body {
    upload: Upload,
    progress: Option<Arc<UploadProgress>>,
    replay: Replay,
}

fn body(policy: &Policy, headers: &mut HeaderList, request: Request<'_>, payload: Payload) -> Body {
    match payload {
        Payload::Empty => Body { upload: Upload::empty(), progress: None, replay: Replay::Whole(Bytes::new()) },
        Payload::Held(bytes) => {
            // The length is known now, whatever the framing was, and is written with the body; except that of an empty one.
            headers.remove(http::header::CONTENT_LENGTH);
            if bytes.is_empty() {
                headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            let (upload, progress) = Upload::whole(bytes.clone());
            let may_repeat = policy.retry.as_ref().is_none_or(|retry| bytes.len() <= retry.max_body);
            Body { upload, progress: Some(progress), replay: if may_repeat { Replay::Whole(bytes) } else { Replay::Never } }
        }
        Payload::Streaming { before, body } => {
            // A gRPC call may be silent in one direction while messages flow in the other.
            let silence = policy.timeouts.request_body.zip(policy.timeouts.idle).map(|(own, other)| own.max(other));
            let idle = if request.converses() { silence } else { policy.timeouts.request_body };
            let bounds = Bounds { limit: policy.request_body_limit, idle, min_rate: request.min_rate(policy) };
            let (upload, progress) = Upload::stream(before, body, bounds);
            Body { upload, progress: Some(progress), replay: Replay::Never }
        }
    }
}

/// Hash of the key by which the backend balances.
fn affinity(backend: &Backend, request: Request<'_>, headers: &HeaderList) -> Option<u64> {
    let Balance::Hash(key) = &backend.settings.balance else { return None };
    Some(match key {
        HashKey::ClientIp => match request.context.client {
            IpAddr::V4(v4) => stable_hash(&v4.octets()),
            IpAddr::V6(v6) => stable_hash(&v6.octets()),
        },
        HashKey::Header(name) => stable_hash(headers.get(name).map_or(b"", Value::as_bytes)),
    })
}

/// Path and query for the upstream: the bytes that were decided on, as the route edits them.
pub(super) fn target(policy: &Policy, forward: &Forward, request: Request<'_>, scheme: Scheme) -> Result<PathAndQuery, Failure> {
    let stripped = stripped(&request.context.uri, policy.strip_prefix.as_deref())?;
    if policy.add_prefix.is_none() && forward.rewrite.is_none() {
        return Ok(stripped);
    }
    let rewritten = forward.rewrite.as_ref().map(|rewrite| {
        let own_query = stripped.query().filter(|_| !rewrite.template.has_query());
        let path = local::render(rewrite, request, scheme, stripped.path());
        own_query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"))
    });
    let path = rewritten.as_deref().unwrap_or(stripped.as_str());
    if forward.rewrite.is_some() && has_dot_segment(path.split('?').next().unwrap_or_default()) {
        return Err(Failure::because(Kind::BadRequest, "the rewritten path has a dot segment"));
    }
    path_of(&[policy.add_prefix.as_deref().unwrap_or_default(), path].concat())
}

/// The target with the query as the client sent it, unless the route has changed the query.
fn raw_target(target: &PathAndQuery, encoded: &str, raw: &[u8]) -> Option<Box<[u8]>> {
    let before = target.as_str().strip_suffix(encoded).filter(|before| before.ends_with('?'))?;
    Some([before.as_bytes(), raw].concat().into())
}

/// Returns true if an upstream may read a segment as `.` or `..`. What was checked before a rewrite says nothing of what captures make
/// together.
fn has_dot_segment(path: &str) -> bool {
    path.split(['/', '\\']).any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        matches!(plain.split(';').next(), Some("." | ".."))
    })
}

/// The target less the prefix.
fn stripped(uri: &Uri, prefix: Option<&str>) -> Result<PathAndQuery, Failure> {
    let whole = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let Some(rest) = prefix.and_then(|prefix| whole.as_str().strip_prefix(prefix)) else {
        // An absolute form may have a query and no path (RFC 9112 3.2.1).
        return if whole.as_str().starts_with('?') { with_slash(whole.as_str()) } else { Ok(whole) };
    };
    if rest.starts_with("//") {
        // What follows a prefix is a path, and `//host` would name a host.
        return with_slash(rest.trim_start_matches('/'));
    }
    if rest.starts_with('/') { path_of(rest) } else { with_slash(rest) }
}

fn with_slash(rest: &str) -> Result<PathAndQuery, Failure> {
    path_of(&format!("/{rest}"))
}

fn path_of(text: &str) -> Result<PathAndQuery, Failure> {
    PathAndQuery::try_from(text).map_err(|error| Failure::because(Kind::BadRequest, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_stripped_from_the_bytes_as_sent() {
        let bare = |uri: &str| stripped(&uri.parse().unwrap(), Some("/orders")).unwrap().to_string();
        assert_eq!(bare("/orders/7?x=%2F"), "/7?x=%2F");
        assert_eq!(bare("/orders"), "/");
        assert_eq!(bare("/orders?x=1"), "/?x=1");
        assert_eq!(stripped(&"http://h/a".parse().unwrap(), None).unwrap(), "/a");
        assert_eq!(stripped(&"http://h?x".parse().unwrap(), None).unwrap(), "/?x");
        assert_eq!(stripped(&"http://h".parse().unwrap(), None).unwrap(), "/");
    }
}
