//! Arrival: the request becomes a trip with identity and record, what no route may get is refused, and the route is found.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::buffer::{self, Read};
use super::limits::Quota;
use super::{Client, Gateway, deadline};
use crate::body::Hold;
use crate::context::{Dialect, MAX_REQUEST_FIELDS, MAX_REQUEST_TARGET, Peer, RequestContext, RequestId, Wanted};
use crate::data_rate::MinRate;
use crate::failure::{Failure, Kind};
use crate::limit::concurrency::KeyPass;
use crate::limit::gate::Pass;
use crate::observe::visit::Visit;
use crate::plan::Route;
use crate::policy::Policy;
use crate::render::negotiate::Asked;
use crate::route::{Found, Table, is_ambiguous};
use crate::upstream::attempt::outgoing::OutgoingRequest;
use crate::upstream::attempt::replay::Replay;
use crate::upstream::choose::balance::{Balance, HashKey, stable_hash};
use crate::upstream::heads::origin_form::origin_form;
use crate::upstream::heads::request::{self as request_head, Additions, Seen};
use crate::upstream::upload::{Bounds, Progress, Upload};

/// One request on its way through the spine.
#[derive(Debug)]
pub(super) struct Trip {
    /// Its record, written when the trip is dropped.
    pub(super) visit: Visit,
    /// What the scan of the headers found.
    pub(super) seen: Seen,
    /// Of the request line.
    pub(super) version: Version,
    /// The request's headers, until they go upstream.
    pub(super) headers: HeaderMap,
    /// The request's body with what it holds, until it goes upstream.
    pub(super) body: Option<(Incoming, Hold)>,
    /// Where it goes, once that is known.
    pub(super) route: Option<Arc<Route>>,
    /// Quota to tell on the answer.
    pub(super) quota: Vec<Quota>,
    /// Place at the backend, until its answer was streamed or is told by us.
    pub(super) permit: Option<Pass>,
    /// Place among all requests, as long.
    pub(super) place: Option<Pass>,
    /// Places among the requests of its keys, as long.
    pub(super) held: Vec<KeyPass>,
    /// What was read of the body beforehand.
    pub(super) read: Option<Read>,
    /// End of everything.
    pub(super) deadline: Option<Instant>,
    /// Progress of the upload.
    pub(super) progress: Option<Arc<Progress>>,
}

impl Trip {
    /// Begins: one scan of the headers, one record. On the heap, as it lives until the last byte is sent.
    pub(super) fn begin(gateway: &Gateway, peer: &Peer, request: Request<Incoming>, hold: Hold) -> Box<Self> {
        let (parts, body) = request.into_parts();
        let arrival = Instant::now();
        let wall = gateway.wall.at(arrival);
        let (seen, wanted) = request_head::scan(&parts.headers, gateway.pseudonym());
        let context = RequestContext {
            id: seen.accepted_id(peer).unwrap_or_else(|| RequestId::generate(wall)),
            arrival,
            wall,
            method: parts.method,
            uri: parts.uri,
            client: seen.client(peer, &gateway.plan.trusted),
            wanted,
        };
        Self::new(gateway, context, seen, parts.version, parts.headers, Some((body, hold)))
    }

    /// A trip of a request that never became one.
    pub(super) fn early(gateway: &Gateway, peer: &Peer, early: &Early) -> Box<Self> {
        let arrival = Instant::now();
        let wall = gateway.wall.at(arrival);
        let context = RequestContext {
            id: RequestId::generate(wall),
            arrival,
            wall,
            method: early.method.clone(),
            uri: early.uri.clone(),
            client: peer.address.ip().to_canonical(),
            wanted: early.wanted.clone(),
        };
        Self::new(gateway, context, Seen::default(), Version::HTTP_11, HeaderMap::new(), None)
    }

    fn new(
        gateway: &Gateway,
        context: RequestContext,
        seen: Seen,
        version: Version,
        headers: HeaderMap,
        body: Option<(Incoming, Hold)>,
    ) -> Box<Self> {
        let visit = Visit::begin(Arc::clone(&gateway.recorder), context);
        Box::new(Self {
            visit,
            seen,
            version,
            headers,
            body,
            route: None,
            quota: Vec::new(),
            permit: None,
            place: None,
            held: Vec::new(),
            read: None,
            deadline: None,
            progress: None,
        })
    }

    /// Who asked what.
    pub(super) fn context(&self) -> &RequestContext {
        &self.visit.context
    }

    /// What the client can read.
    pub(super) fn asked(&self) -> Asked<'_> {
        let wanted = &self.context().wanted;
        let accept = wanted.accept.as_ref().and_then(|value| value.to_str().ok());
        Asked { accept, dialect: wanted.dialect, browser: wanted.browser, answered_json: false }
    }

    /// The same as a header value; without a copy where it came as one.
    pub(super) fn host_header(&self) -> Option<HeaderValue> {
        let authority = self.context().uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        authority.or_else(|| self.seen.host.clone())
    }

    /// Host as the client named it: `:authority` or absolute form first (RFC 9112 3.2.2).
    fn host(&self) -> Option<&str> {
        let authority = self.context().uri.authority().map(http::uri::Authority::as_str);
        authority.or_else(|| self.seen.host.as_ref().and_then(|host| host.to_str().ok()))
    }
}

/// A request that hyper never saw: what is known of it, and why it is refused.
#[derive(Debug)]
pub struct Early {
    /// Why.
    pub failure: Failure,
    /// Method of the request line, or `-`.
    pub method: Method,
    /// Target of the request line, or `/`.
    pub uri: Uri,
    /// What the client can read, where that is known.
    pub wanted: Wanted,
}

/// Refuses what no route may get.
pub(super) fn check(gateway: &Gateway, client: &Client, trip: &Trip) -> Result<(), Failure> {
    let seen = &trip.seen;
    if gateway.lifecycle.is_closing() {
        return Err(Kind::ShuttingDown.into());
    }
    if client.surplus {
        return Err(Failure::because(Kind::Overloaded, "listen.max_connections is reached"));
    }
    if seen.looped {
        return Err(Kind::LoopDetected.into());
    }
    if request_head::is_forbidden(&trip.context().method) {
        return Err(Failure {
            allow: Some(HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
            ..Failure::new(Kind::MethodNotAllowed)
        });
    }
    let (bytes, fields) = seen.size();
    if bytes > gateway.plan.listen.max_header_size || fields > MAX_REQUEST_FIELDS {
        return Err(Kind::HeadersTooLarge.into());
    }
    if trip.context().uri.path_and_query().map_or(0, |target| target.as_str().len()) > MAX_REQUEST_TARGET {
        return Err(Kind::UriTooLong.into());
    }
    match &seen.rare().expect {
        Some(expect) if !request_head::is_continue(expect) => return Err(Kind::ExpectationFailed.into()),
        _ => {}
    }
    check_host(trip)
}

/// Exactly one valid host (RFC 9112 3.2); an absolute form or `:authority` must agree with it.
fn check_host(trip: &Trip) -> Result<(), Failure> {
    let bad = |why: &str| Err(Failure::because(Kind::BadRequest, why));
    let authority = trip.context().uri.authority();
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return bad("user information in the authority");
    }
    match (trip.seen.hosts, authority, &trip.seen.host) {
        (0, None, _) if trip.version == Version::HTTP_10 => Ok(()),
        (0, None, _) => bad("no Host"),
        (0, Some(_), _) => Ok(()),
        (1, None, Some(host)) if is_host(host) => Ok(()),
        (1, Some(authority), Some(host)) if is_same_host(authority.as_str(), host, trip.context().uri.scheme_str()) => Ok(()),
        (1, ..) => bad("the Host is not valid or not the authority of the target"),
        _ => bad("more than one Host"),
    }
}

/// The same host and port, where the default port of the scheme need not be written (RFC 9110 4.2.3).
fn is_same_host(authority: &str, host: &HeaderValue, scheme: Option<&str>) -> bool {
    let port = if scheme == Some("https") { ":443" } else { ":80" };
    let bare = |text: &str| text.strip_suffix(port).or(text.strip_suffix(':')).unwrap_or(text).to_ascii_lowercase();
    let is_equal = host.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
    is_equal || host.to_str().is_ok_and(|host| bare(host) == bare(authority))
}

/// A valid host, perhaps with a port (RFC 9110 7.2).
fn is_host(host: &HeaderValue) -> bool {
    is_plain_host(host.as_bytes()) || host.to_str().is_ok_and(is_authority)
}

/// What nearly every host is: letters, digits, dots and dashes, then perhaps a port.
fn is_plain_host(host: &[u8]) -> bool {
    let name = host.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')).count();
    match &host[name..] {
        [] => name > 0,
        [b':', digits @ ..] => name > 0 && digits.len() < 6 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn is_authority(text: &str) -> bool {
    let Ok(authority) = text.parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let port = authority.as_str().get(name.len()..).unwrap_or_default();
    // `http` takes anything behind the colon; RFC 3986 3.2.3 digits only.
    let port_is_sound = port.is_empty() || (port.len() <= 6 && port.starts_with(':') && port[1..].bytes().all(|b| b.is_ascii_digit()));
    // RFC 3986 allows sub-delimiters; no name has them, and some readers take a comma for the end of it.
    !name.is_empty() && port_is_sound && !authority.as_str().contains(['@', ',', ';', '!', '$', '&', '\'', '(', ')', '*', '+', '='])
}

/// Finds the route, or says why there is none. With the route comes a refusal when only its methods do not fit.
pub(super) fn route<'p>(table: &'p Table<Arc<Route>>, trip: &Trip) -> Result<(&'p Arc<Route>, Option<Failure>), Failure> {
    let path = trip.context().uri.path();
    let host = trip.host();
    let whole_server = path == "*" && trip.context().method == Method::OPTIONS;
    if !path.starts_with('/') && !whole_server {
        return Err(Failure::because(Kind::BadRequest, "the target is not a path"));
    }
    if is_ambiguous(table, host, path) {
        return Err(Failure::because(Kind::BadRequest, "the path can be read in more than one way"));
    }
    // The method a preflight asks for decides, not OPTIONS itself (Fetch standard 3.2.2).
    let preflight = trip.preflight_method();
    match table.find(host, path, preflight.as_ref().unwrap_or(&trip.context().method)) {
        Found::Target(route) => Ok((route, None)),
        Found::Nothing => Err(Kind::RouteNotFound.into()),
        Found::OtherMethods(methods, route) => {
            let list = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
            let refused = Failure { allow: HeaderValue::from_str(&list).ok(), ..Failure::new(Kind::MethodNotAllowed) };
            Ok((route, Some(refused)))
        }
    }
}

impl Trip {
    /// Is it a call of gRPC, whose messages flow for as long as both sides like?
    pub(super) fn is_grpc(&self) -> bool {
        matches!(self.context().wanted.dialect, Some(Dialect::Grpc | Dialect::GrpcWeb))
    }

    /// The least rate of its bodies.
    pub(super) fn min_rate(&self, policy: &Policy) -> MinRate {
        policy.min_rate.filter(|_| !self.is_grpc())
    }

    /// The method a CORS preflight asks about.
    pub(super) fn preflight_method(&self) -> Option<Method> {
        let asked = self
            .seen
            .rare()
            .preflight_method
            .as_ref()
            .filter(|_| self.context().method == Method::OPTIONS && self.context().wanted.origin.is_some())?;
        Method::from_bytes(asked.as_bytes()).ok()
    }
}

/// Makes the request ready for the upstream.
pub(super) fn outgoing(gateway: &Gateway, client: &Client, route: &Route, trip: &mut Trip) -> Result<OutgoingRequest, Failure> {
    let policy = &route.policy;
    let client_host = trip.host_header();
    let connection_auth = trip.seen.connection_auth;
    let repeatable = !connection_auth && buffer::is_repeatable(route, trip);
    let key = affinity(route, trip);
    let mut headers = std::mem::take(&mut trip.headers);
    let context = &trip.visit.context;
    let add = Additions {
        peer: &client.peer,
        client: context.client,
        id: &context.id,
        via: &gateway.via,
        host: client_host.as_ref(),
        scheme: "http",
    };
    let mut trace = Some(request_head::prepare(&mut headers, &trip.seen, &add));
    if policy.leak_guard {
        // What is watched must be readable as it passes.
        headers.insert(http::header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if let Some(prefix) = &policy.strip_prefix {
        request_head::tell_prefix(&mut headers, prefix);
    }
    let edits = &policy.request_headers;
    // An odd name of the operator's has a plain twin.
    if !edits.is_empty() && (trip.seen.has_odd_names() || edits.has_odd_names) {
        request_head::remove_twins(&mut headers, edits.remove.iter().chain(edits.set.iter().map(|(name, _)| name)));
    }
    for name in &policy.request_headers.remove {
        headers.remove(name);
    }
    for (name, value) in &policy.request_headers.set {
        headers.insert(name.clone(), value.clone());
    }
    if !policy.request_headers.is_empty() {
        trace = request_head::trace(&headers);
    }
    trip.visit.trace = trace;
    deadline::tell(&mut headers, trip)?;
    let (body, replay) = upload(policy, &mut headers, trip);
    let context = &trip.visit.context;
    let request = origin_form(context.method.clone(), target(&context.uri, policy.strip_prefix.as_deref())?, headers, body)?;
    let replay = if repeatable { replay } else { Replay::Never };
    Ok(OutgoingRequest { request: Some(request), client_host, progress: trip.progress.clone(), connection_auth, replay, key })
}

/// The body as it goes out, and what there is of it for another try.
fn upload(policy: &Policy, headers: &mut HeaderMap, trip: &mut Trip) -> (Upload, Replay) {
    let rest = trip.body.take().filter(|(body, _)| !http_body::Body::is_end_stream(body));
    let read = trip.read.as_ref().map(|read| (read.bytes.clone(), read.whole));
    let (body, progress, replay) = match (read, rest) {
        (None, None) => return (Upload::empty(), Replay::Whole(Bytes::new())),
        (Some((bytes, true)), _) => {
            // Its length is known now, whatever its framing was; hyper says so, but of an empty one.
            headers.remove(http::header::CONTENT_LENGTH);
            if bytes.is_empty() {
                headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            let (body, progress) = Upload::whole(bytes.clone());
            let may_repeat = policy.retry.as_ref().is_none_or(|retry| bytes.len() <= retry.max_body);
            (body, progress, if may_repeat { Replay::Whole(bytes) } else { Replay::Never })
        }
        (read, Some((body, hold))) => {
            if http_body::Body::size_hint(&body).exact().is_none() {
                // Content of unknown length, whatever the method (RFC 9110 9.3.1): hyper would not send it with GET or HEAD.
                headers.insert(http::header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
            let bounds = Bounds { limit: policy.request_body_limit, idle: policy.timeouts.request_body, min_rate: trip.min_rate(policy) };
            let before = read.map(|(bytes, _)| bytes).unwrap_or_default();
            let (body, progress) = Upload::stream(before, body, hold, bounds);
            (body, progress, Replay::Never)
        }
        (Some((bytes, false)), None) => {
            let (body, progress) = Upload::whole(bytes);
            (body, progress, Replay::Never)
        }
    };
    trip.progress = Some(progress);
    (body, replay)
}

/// Hash of what the backend balances by.
fn affinity(route: &Route, trip: &Trip) -> Option<u64> {
    let Balance::Hash(key) = &route.backend.settings.balance else { return None };
    Some(match key {
        HashKey::ClientIp => match trip.context().client {
            IpAddr::V4(v4) => stable_hash(&v4.octets()),
            IpAddr::V6(v6) => stable_hash(&v6.octets()),
        },
        HashKey::Header(name) => stable_hash(trip.headers.get(name).map_or(b"", HeaderValue::as_bytes)),
    })
}

/// Path and query for the upstream: the bytes that were decided on, less the prefix.
fn target(uri: &Uri, prefix: Option<&str>) -> Result<PathAndQuery, Failure> {
    let whole = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let Some(rest) = prefix.and_then(|prefix| whole.as_str().strip_prefix(prefix)) else { return Ok(whole) };
    let stripped = if rest.starts_with('/') { PathAndQuery::try_from(rest) } else { PathAndQuery::try_from(format!("/{rest}")) };
    stripped.map_err(|error| Failure::because(Kind::BadRequest, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_stripped_from_the_bytes_as_sent() {
        let stripped = |uri: &str| target(&uri.parse().unwrap(), Some("/orders")).unwrap().to_string();
        assert_eq!(stripped("/orders/7?x=%2F"), "/7?x=%2F");
        assert_eq!(stripped("/orders"), "/");
        assert_eq!(stripped("/orders?x=1"), "/?x=1");
        assert_eq!(target(&"http://h/a".parse().unwrap(), None).unwrap(), "/a");
    }

    #[test]
    fn hosts_are_validated() {
        let host = |text: &'static str| is_host(&HeaderValue::from_static(text));
        assert!(host("shop.example.com:8080") && host("[::1]:80") && host("a_b") && host("h:"));
        for list in ["h,evil", ",", "h;x", "a=b", "h, evil", "h*"] {
            assert!(!host(list), "{list}");
        }
        let same = |authority, host: &'static str, scheme| is_same_host(authority, &HeaderValue::from_static(host), Some(scheme));
        assert!(same("shop.example:80", "shop.example", "http") && same("SHOP.example", "shop.example:80", "http"));
        assert!(same("shop.example:443", "shop.example", "https") && !same("shop.example:443", "shop.example", "http"));
        assert!(!same("shop.example:8080", "shop.example", "http") && !same("a", "b", "http"));
        assert!(!host("") && !host("a b") && !host("a/b") && !host("u@h") && !host("h:x") && !host(":80") && !host("h:123456"));
    }

    proptest::proptest! {
        #[test]
        fn a_plain_host_is_an_authority(text in "[a-zA-Z0-9.:@_-]{0,12}") {
            proptest::prop_assert!(!is_plain_host(text.as_bytes()) || is_authority(&text));
        }
    }
}
