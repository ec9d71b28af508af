//! Asks a service whether a request may enter (ForwardAuth). The service gets the head of the request and no body, and its status decides.
//!
//! Whatever goes wrong, the request does not enter. Knows nothing of passwords.

use std::future::poll_fn;
use std::task::{Poll, ready};

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};
use tokio::time::Instant;

use super::deadline;
use super::identity::{Entry, Identity};
use super::outcome::{Content, Passed};
use super::outgoing::prepare_head;
use super::request::Request;
use super::state::{Client, Gateway};
use crate::body::Incoming;
use crate::context::Trail;
use crate::failure::{Failure, Kind};
use crate::header::{HeaderList, Value, names};
use crate::plan::{AuthService, Route};
use crate::upstream::attempt::DispatchContext;
use crate::upstream::attempt::outgoing::{OutgoingRequest, Replay};
use crate::upstream::attempt::private::Private;
use crate::upstream::attempt::response::{ResponseBody, UpstreamResponse};
use crate::upstream::connect::per_client::ClientSlot;
use crate::upstream::dispatch::dispatch;
use crate::upstream::heads::mapping::Mapping;
use crate::upstream::heads::own_address;
use crate::upstream::heads::request as heads;
use crate::upstream::upload::Upload;

/// How much of the service's body is read, in bytes, so that its connection can serve again. Nobody sees it.
const MAX_BODY: usize = 64 << 10;

/// Headers that belong to the body or to the resource, and mean nothing to the service.
const OF_THE_RESOURCE: [HeaderName; 10] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::EXPECT,
    header::RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
];

/// Asks the service.
///
/// # Errors
/// The service refuses the request, or it gives no usable answer in time.
pub(super) async fn ask(
    gateway: &Gateway,
    client: &Client,
    (route, service): (&Route, &AuthService),
    request: Request<'_>,
    headers: &HeaderList,
    deadline: Option<Instant>,
) -> Result<Entry, Failure> {
    if headers.get_all(header::AUTHORIZATION).nth(1).is_some() {
        // The service could read one line and the backend the other.
        return Err(Failure::because(Kind::BadRequest, "the request has several lines `Authorization`"));
    }
    let begin = Instant::now();
    let own = begin + service.timeout;
    let due = deadline.map_or(own, |deadline| deadline.min(own));
    let mut outgoing = outgoing(gateway, client, service, request, headers);
    let context = DispatchContext {
        upstreams: &gateway.core.upstreams,
        timeouts: &service.timeouts,
        retry: None,
        begin,
        deadline: Some(due),
        private: &Private::default(),
        interim: None,
        addresses: None,
        slot: ClientSlot::of(request.context.client),
    };
    // A log line names the endpoint of the backend, not that of the service.
    let mut trail = Trail::default();
    let asked = tokio::time::timeout_at(due, dispatch(&service.backend, &mut outgoing, context, &mut trail)).await;
    let UpstreamResponse { status, headers: answer, mut body, .. } = match asked {
        Ok(Ok(response)) => response,
        Ok(Err(failure)) => {
            deadline::check(deadline, Instant::now())?;
            return Err(unusable(&failure.to_string()));
        }
        Err(_) => {
            deadline::check(deadline, Instant::now())?;
            return Err(unusable("no answer in time"));
        }
    };
    drain(&mut body, due).await;
    match status.as_u16() {
        200..=299 => Ok(Entry::Admitted(identity(service, &answer))),
        401 => Err(unauthorized(route, service, &answer)),
        403 => Err(Failure::because(Kind::AuthRefused, "the authentication service answered with 403")),
        301 | 302 | 303 | 307 | 308 => redirect(status, service, answer, request).map(|passed| Entry::Redirected(Box::new(passed))),
        other => Err(unusable(&format!("status {other}"))),
    }
}

fn unusable(why: &str) -> Failure {
    Failure::because(Kind::AuthUnavailable, ["the authentication service: ", why].concat())
}

/// The request to the service: a `GET` with the client's headers.
fn outgoing(gateway: &Gateway, client: &Client, service: &AuthService, request: Request<'_>, headers: &HeaderList) -> OutgoingRequest {
    let mut headers = headers.clone();
    prepare_head(&mut headers, gateway, client, request);
    headers.remove_all(&OF_THE_RESOURCE);
    let own = [names::X_FORWARDED_METHOD, names::X_FORWARDED_URI];
    if request.seen.has_odd_names() {
        heads::remove_twins(&mut headers, own.iter());
    }
    let context = request.context;
    let whole = context.uri.path_and_query().map_or("/", |whole| whole.as_str());
    let slash = if whole.starts_with('?') { "/" } else { "" };
    // A method and a target that were parsed are valid values.
    let _ = headers.try_insert(names::X_FORWARDED_METHOD, context.method.as_str().as_bytes());
    let _ = headers.try_insert(names::X_FORWARDED_URI, [slash, whole].concat().as_bytes());
    OutgoingRequest {
        method: Method::GET,
        target: service.target.clone(),
        raw_target: None,
        headers,
        upload: Some(Upload::empty()),
        keeps_upload: true,
        has_client_host: false,
        progress: None,
        connection_auth: request.seen.connection_auth,
        replay: Replay::Whole(Bytes::new()),
        upgrade: None,
        key: None,
    }
}

/// Reads the body to its end, so that the connection can serve again. If it is too long or comes too slowly, the connection is closed.
async fn drain(body: &mut ResponseBody, due: Instant) {
    let mut left = MAX_BODY;
    let read = poll_fn(|cx| {
        loop {
            let Some(Ok(frame)) = ready!(body.poll_frame(cx)) else { return Poll::Ready(()) };
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return Poll::Ready(()) };
            left = rest;
        }
    });
    // What the service decides is in its head.
    let _ = tokio::time::timeout_at(due, read).await;
}

/// The headers that the service wants the backend to see.
fn identity(service: &AuthService, answer: &HeaderList) -> Identity {
    let of_name = |name: &HeaderName| answer.get_all(name.clone()).map(|value| (name.clone(), value.to_header())).collect::<Vec<_>>();
    Identity(service.copied.iter().flat_map(of_name).collect())
}

/// A 401 with the challenges of the service, except those that name its address or other internals.
fn unauthorized(route: &Route, service: &AuthService, answer: &HeaderList) -> Failure {
    let is_shown = |value: &Value<'_>| {
        let text = String::from_utf8_lossy(value.as_bytes());
        !own_address::names_endpoint(value.as_bytes(), &service.backend.targets, None, b"") && !route.presenter.redactor.leaks(&text)
    };
    let challenges: Vec<&[u8]> = answer.get_all(header::WWW_AUTHENTICATE).filter(is_shown).map(Value::as_bytes).collect();
    // Valid values are joined; several challenges may be one line (RFC 9110 11.6.1).
    let joined = http::HeaderValue::from_bytes(&challenges.join(&b", "[..])).ok();
    let challenge = joined.filter(|value| !value.is_empty()).map(Box::new);
    Failure { challenge, ..Failure::because(Kind::Unauthorized, "the authentication service answered with 401") }
}

/// Sends the client where the service says, such as to a page to sign in. A reference to the service itself loses its host: the address of
/// the service is the operator's.
fn redirect(status: StatusCode, service: &AuthService, mut answer: HeaderList, request: Request<'_>) -> Result<Passed, Failure> {
    let mapping = Mapping {
        prefix: None,
        added: None,
        targets: &service.backend.targets,
        host: service.backend.targets.first().map_or(&b""[..], |target| target.authority.as_bytes()),
        client_host: request.host_bytes().unwrap_or_default(),
        cookies: true,
        // The page to sign in may be in the same internal network as the client.
        shows_internals: true,
    };
    mapping.apply(&mut answer);
    let location = answer.get(header::LOCATION).map(Value::to_header);
    let location = location.ok_or_else(|| unusable(&format!("status {} without a usable `Location`", status.as_u16())))?;
    let mut headers = HeaderList::new();
    headers.insert(header::LOCATION, &location);
    for cookie in answer.get_all(header::SET_COOKIE) {
        headers.append(header::SET_COOKIE, cookie);
    }
    // It is for this client and this moment, also if it is permanent.
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    Ok(Passed { status, headers, content: Content::Ready(Bytes::new()) })
}
