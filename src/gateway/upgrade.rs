//! The rules of an upgrade (RFC 9110 7.8, RFC 6455 4): which requests may ask for one, and which 101 of an upstream answers it.
//!
//! Plain checks of heads. Knows nothing of the tunnel that follows.

use http::{HeaderValue, Method, StatusCode, Version, header};

use super::heads::guard_headers;
use super::outcome::{Content, Passed};
use super::payload::Payload;
use super::prepared::Prepared;
use super::request::{Inbound, Request};
use crate::failure::{Failure, Kind};
use crate::header::{HeaderList, Value};
use crate::plan::Route;
use crate::tunnel::handshake;
use crate::upstream::attempt::outgoing::Upgrade;
use crate::upstream::attempt::response::UpstreamResponse;

/// The one protocol whose handshake and frames the gateway knows.
const WEBSOCKET: &str = "websocket";

/// Returns the upgrade that a request asks for. An upgrade to another protocol than those of the route is ignored, since a server may do
/// so (RFC 9110 7.8) and the request makes sense without it. A WebSocket handshake does not: it is refused.
///
/// # Errors
/// The route does not permit WebSocket or its backend speaks HTTP/2, or the handshake is not valid.
#[cold]
pub(super) fn asked(route: &Route, request: Request<'_>, inbound: &Inbound) -> Result<Option<Box<Upgrade>>, Failure> {
    // A stream of HTTP/2 carries no other protocol.
    let upgrades = if route.forward().is_none_or(|forward| forward.backend.speaks_only_http2()) { &[] } else { &route.policy.upgrades[..] };
    let is_permitted = |offered: &&[u8]| upgrades.iter().find(|own| own.as_bytes().eq_ignore_ascii_case(offered));
    let Some(protocol) = tokens(&inbound.headers, header::UPGRADE).find_map(|offered| is_permitted(&offered)) else {
        let is_websocket = tokens(&inbound.headers, header::UPGRADE).any(|offered| offered.eq_ignore_ascii_case(WEBSOCKET.as_bytes()));
        return if is_websocket { Err(Kind::UpgradeNotPermitted.into()) } else { Ok(None) };
    };
    let bad = |rule: &str| Err(Failure::because(Kind::BadRequest, rule));
    // Over HTTP/2 the server makes the handshake of an extended CONNECT; `Upgrade` of a client is no valid field there (RFC 9113 8.2.2).
    if request.version == Version::HTTP_10 {
        return bad("an upgrade over HTTP/1.0");
    }
    if !tokens(&inbound.headers, header::CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade")) {
        return bad("an upgrade without `Connection: upgrade`");
    }
    match inbound.payload {
        Payload::Empty => {}
        Payload::Held(_) | Payload::Streaming { .. } => return bad("an upgrade with a body"),
    }
    let accept = match protocol.eq_ignore_ascii_case(WEBSOCKET) {
        true => Some(websocket(request, &inbound.headers)?),
        false => None,
    };
    let protocol = HeaderValue::from_str(protocol).map_err(|_| Failure::new(Kind::Internal))?;
    Ok(Some(Box::new(Upgrade { protocol, accept })))
}

/// Checks a WebSocket handshake (RFC 6455 4.2.1). Returns the `Sec-WebSocket-Accept` that answers it.
fn websocket(request: Request<'_>, headers: &HeaderList) -> Result<HeaderValue, Failure> {
    let bad = |rule: &str| Failure::because(Kind::BadRequest, rule);
    if request.context.method != Method::GET {
        return Err(bad("a WebSocket handshake that is no GET"));
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version.as_bytes() != handshake::VERSION.as_bytes()) {
        return Err(Kind::WebSocketVersion.into());
    }
    let key = only(headers, header::SEC_WEBSOCKET_KEY).filter(|key| handshake::is_key(key.as_bytes()));
    let key = key.ok_or_else(|| bad("Sec-WebSocket-Key is not one key"))?;
    HeaderValue::from_str(&handshake::accept_of(key.as_bytes())).map_err(|_| Failure::new(Kind::Internal))
}

/// Writes the upgrade into the head for the upstream, from which the client's hop-by-hop headers were removed.
pub(super) fn write(upgrade: &Upgrade, headers: &mut HeaderList) {
    headers.append(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.append(header::UPGRADE, &upgrade.protocol);
}

/// Checks that a 101 answers the upgrade that was asked for (RFC 6455 4.1).
///
/// # Errors
/// It does not, which is a failure of the upstream.
pub(super) fn check(upgrade: &Upgrade, response: &UpstreamResponse) -> Result<(), Failure> {
    let bad = |rule: &str| Err(Failure::because(Kind::ResponseMalformed, rule));
    let headers = &response.headers;
    if only(headers, header::UPGRADE).is_none_or(|protocol| !protocol.as_bytes().eq_ignore_ascii_case(upgrade.protocol.as_bytes())) {
        return bad("a 101 to another protocol than was asked for");
    }
    if !tokens(headers, header::CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade")) {
        return bad("a 101 without `Connection: upgrade`");
    }
    let Some(accept) = &upgrade.accept else { return Ok(()) };
    match only(headers, header::SEC_WEBSOCKET_ACCEPT).is_some_and(|value| value.as_bytes() == accept.as_bytes()) {
        true => Ok(()),
        false => bad("Sec-WebSocket-Accept does not answer the key"),
    }
}

/// Returns the upgrade if the response may accept it. Over HTTP/2 any success would begin a tunnel (RFC 8441 4).
///
/// # Errors
/// It is a success that the client could not tell from an accepted upgrade.
pub(super) fn accepted(upgrade: Box<Upgrade>, request: Request<'_>, response: &UpstreamResponse) -> Result<Option<Box<Upgrade>>, Failure> {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Some(upgrade));
    }
    match request.version == Version::HTTP_2 && response.status.is_success() {
        true => Err(Failure::because(Kind::ResponseMalformed, "a success that is no 101 answers a WebSocket handshake")),
        false => Ok(None),
    }
}

/// Makes the 101 for the client, with the upstream's stream.
///
/// # Errors
/// The connection is gone, which cannot be.
pub(super) fn pass(upgrade: Box<Upgrade>, prepared: Prepared, route: &Route) -> Result<Passed, Failure> {
    let Prepared { mut headers, mut body, .. } = prepared;
    if route.policy.leak_guard {
        guard_headers(&mut headers, &route.presenter.redactor);
    }
    let upstream = body.take_tunnel().ok_or(Kind::Internal)?;
    // A 101 has no content (RFC 9110 8.6).
    headers.remove(header::CONTENT_LENGTH);
    write(&upgrade, &mut headers);
    if let Some(accept) = &upgrade.accept {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    let is_websocket = upgrade.accept.is_some();
    Ok(Passed { status: StatusCode::SWITCHING_PROTOCOLS, headers, content: Content::Tunnel { upstream: Box::new(upstream), is_websocket } })
}

/// Returns the items of a list in all header lines of a name.
fn tokens(headers: &HeaderList, name: header::HeaderName) -> impl Iterator<Item = &[u8]> {
    headers.get_all(name).flat_map(|value| value.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

/// Returns the value of a header that has one line.
fn only(headers: &HeaderList, name: header::HeaderName) -> Option<Value<'_>> {
    let mut values = headers.get_all(name);
    values.next().filter(|_| values.next().is_none())
}
