//! A request as it arrived, and its record.
//!
//! The part that goes upstream ([`Inbound`]) is owned by the stage that has it. What all stages read ([`Request`]) never changes.

use std::sync::Arc;

use http::{HeaderValue, Method, Uri, Version};
use tokio::time::Instant;

use super::evidence;
use super::identity::Identity;
use super::messages::ClientRequest;
use super::payload::Payload;
use super::state::{Client, Gateway};
use super::traced;
use crate::context::{ClientPreferences, Dialect, Named, Peer, RequestContext, RequestId};
use crate::data_rate::MinRate;
use crate::failure::Failure;
use crate::header::HeaderList;
use crate::http1::target::Target;
use crate::language::Languages;
use crate::observe::access_record::{AccessRecord, Facts};
use crate::plan::Route;
use crate::policy::{ErrorPolicy, Policy};
use crate::render::negotiate::NegotiationInput;
use crate::upstream::attempt::outgoing::Upgrade;
use crate::upstream::heads::scan::{self, HeaderScan};
use crate::upstream::heads::trace_context;

/// One request in the gateway: what arrived, and the record that is written when this is dropped.
#[derive(Debug)]
pub(super) struct RequestState {
    pub(super) record: AccessRecord,
    /// Its route, once it is found.
    pub(super) route: Option<Arc<Route>>,
    /// The cookie that keeps the client on its route, if it does not have it yet.
    pub(super) cookie: Option<HeaderValue>,
    seen: HeaderScan,
}

/// The part of a request that goes upstream.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) headers: HeaderList,
    pub(super) payload: Payload,
    /// The upgrade that it asks for and its route permits.
    pub(super) upgrade: Option<Box<Upgrade>>,
    /// Who the user is, once that is known.
    pub(super) identity: Option<Box<Identity>>,
}

/// A request as all stages see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) context: &'a RequestContext,
    /// What the scan of the headers found.
    pub(super) seen: &'a HeaderScan,
    pub(super) version: Version,
    /// Its route, once it is found.
    route: Option<&'a Route>,
}

/// Describes a request that could not be parsed, and the reason for its rejection.
#[derive(Debug)]
pub struct Early {
    /// Why it is rejected.
    pub failure: Failure,
    /// Method of the request line, or `-`.
    pub method: Method,
    /// Target of the request line, or `/`.
    pub uri: Uri,
    /// What the client can read, where that is known.
    pub wanted: ClientPreferences,
}

impl RequestState {
    /// Takes a request apart: one scan of the headers, one record. The state is on the heap, as it lives until the last byte is sent.
    pub(super) fn arrive(gateway: &Gateway, client: &Client, request: ClientRequest) -> (Box<Self>, Inbound) {
        let peer = &client.peer;
        let ClientRequest { method, target: Target { uri, raw_query }, version, mut headers, body } = request;
        let arrival = Instant::now();
        let wall = gateway.core.wall.at(arrival);
        let (mut seen, wanted, named) = scan::scan(&headers, gateway.core.pseudonym());
        let spans = gateway.tracer.as_ref().and_then(|tracer| traced::begin(tracer, client, &mut headers, &mut seen));
        let context = RequestContext {
            id: seen.accepted_id(peer).unwrap_or_else(|| RequestId::generate(wall)),
            arrival,
            wall,
            method,
            uri,
            version,
            tls: client.tls.as_ref().map(|tls| tls.version),
            named,
            raw_query,
            client: seen.client(peer, &gateway.plan.trusted),
            wanted,
        };
        let mut state = Self::new(gateway, context, seen);
        if let Some(spans) = spans {
            let facts = &mut state.record.facts;
            facts.trace = Some(trace_context::id_of(spans.own.trace));
            (facts.tracer, facts.trail.spans) = (gateway.tracer.clone(), Some(spans));
        }
        let payload = match Payload::new(body) {
            Payload::Streaming { before, body } => {
                Payload::Streaming { before, body: evidence::keep_body(gateway, &mut state.record.facts, &headers, body) }
            }
            held @ (Payload::Empty | Payload::Held(_)) => held,
        };
        (state, Inbound { headers, payload, upgrade: None, identity: None })
    }

    /// Creates the state of a request that could not be parsed.
    pub(super) fn early(gateway: &Gateway, peer: &Peer, early: &Early) -> Box<Self> {
        let arrival = Instant::now();
        let wall = gateway.core.wall.at(arrival);
        let context = RequestContext {
            id: RequestId::generate(wall),
            arrival,
            wall,
            method: early.method.clone(),
            uri: early.uri.clone(),
            version: Version::HTTP_11,
            tls: None,
            named: Named::default(),
            raw_query: None,
            client: peer.address.ip().to_canonical(),
            wanted: early.wanted.clone(),
        };
        Self::new(gateway, context, HeaderScan::default())
    }

    fn new(gateway: &Gateway, context: RequestContext, seen: HeaderScan) -> Box<Self> {
        gateway.recorder.arrived();
        let record = AccessRecord::new(Arc::clone(&gateway.records), context);
        Box::new(Self { record, route: None, cookie: None, seen })
    }

    /// The request as it arrived.
    pub(super) fn request(&self) -> Request<'_> {
        Request { context: &self.record.context, seen: &self.seen, version: self.record.context.version, route: self.route.as_deref() }
    }

    /// The request, and what is recorded of it.
    pub(super) fn parts(&mut self) -> (Request<'_>, &mut Facts) {
        let context = &self.record.context;
        let request = Request { context, seen: &self.seen, version: context.version, route: self.route.as_deref() };
        (request, &mut self.record.facts)
    }
}

impl<'a> Request<'a> {
    /// A request whose route is not known.
    pub(super) const fn of(context: &'a RequestContext, seen: &'a HeaderScan) -> Self {
        Self { context, seen, version: context.version, route: None }
    }

    /// What the client can read.
    pub(super) fn asked(self) -> NegotiationInput<'a> {
        let wanted = &self.context.wanted;
        let accept = wanted.accept.as_deref();
        NegotiationInput { accept, dialect: wanted.dialect, browser: wanted.browser, answered_json: false }
    }

    /// The languages that are wanted for an error on this route.
    pub(super) fn languages(self, policy: &'a ErrorPolicy) -> Languages<'a> {
        let accept = self.context.wanted.language.as_deref();
        Languages::new(accept, &policy.languages)
    }

    /// The host that the client named, as bytes of a header value.
    pub(super) fn host_bytes(self) -> Option<&'a [u8]> {
        self.context.host()
    }

    /// True if the header line `Host` named the host, and not the target.
    pub(super) fn named_by_host_line(self) -> bool {
        self.context.uri.authority().is_none()
    }

    /// The host that the client named: `:authority` or absolute form before `Host` (RFC 9112 3.2.2).
    pub(super) fn host(self) -> Option<&'a str> {
        let authority = self.context.uri.authority().map(http::uri::Authority::as_str);
        authority.or_else(|| std::str::from_utf8(self.context.named.host()?).ok().filter(|host| host.is_ascii()))
    }

    /// The host that the client named, without its port.
    pub(super) fn host_name(self) -> Option<&'a str> {
        self.host().map(without_port)
    }

    /// True if the client says that it speaks gRPC.
    pub(super) const fn is_grpc(self) -> bool {
        matches!(self.context.wanted.dialect, Some(Dialect::Grpc | Dialect::GrpcWeb | Dialect::GrpcWebText))
    }

    /// True for a gRPC call to a backend that can serve one: both sides may be silent for as long as they like. What a client says of its
    /// content lifts no bound anywhere else.
    pub(super) fn converses(self) -> bool {
        let is_served = || self.route.and_then(Route::forward).is_some_and(|forward| forward.backend.may_speak_http2());
        self.is_grpc() && self.context.method == Method::POST && is_served()
    }

    /// The least rate of its bodies.
    pub(super) fn min_rate(self, policy: &Policy) -> MinRate {
        policy.min_rate.filter(|_| !self.converses())
    }

    /// The method that a CORS preflight asks about; `None` for any other request.
    pub(super) fn preflight_method(self) -> Option<Method> {
        let preflight = self.context.method == Method::OPTIONS && self.context.wanted.origin.is_some();
        let asked = self.seen.rare().preflight_method.as_ref().filter(|_| preflight)?;
        Method::from_bytes(asked.as_bytes()).ok()
    }
}

/// Returns the host without its port. An address of IPv6 keeps its brackets.
fn without_port(host: &str) -> &str {
    let name_end = host.rfind(']').map_or(0, |bracket| bracket + 1);
    host[name_end..].find(':').map_or(host, |colon| &host[..name_end + colon])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_removed_from_hosts() {
        assert_eq!(
            ["a.example:8080", "a.example", "[::1]:80", "[::1]", "a:"].map(without_port),
            ["a.example", "a.example", "[::1]", "[::1]", "a"]
        );
    }
}
