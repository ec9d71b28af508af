//! The one place for every trouble: failure and report become an [`Envelope`], the envelope becomes bytes, and the record
//! keeps what the client is not told.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode, Version};

use super::arrive::{Early, Trip};
use super::heads::{error_headers, finish_headers, kept_headers};
use super::inspect::{Content, Passage, bytes_in};
use super::tail::{Hurries, Recorded, Rest};
use super::{Client, Gateway, Said, Trouble};
use crate::body::{Body, Flow, Witness};
use crate::context::Peer;
use crate::envelope::Envelope;
use crate::failure::Failure;
use crate::header::names;
use crate::observe::visit::Original;
use crate::plan::Voice;
use crate::policy::Policy;
use crate::redact::{self, Guard};
use crate::relay::{Ahead, Guarded, Relay};
use crate::render::negotiate::{self, Asked, Shape, Terms};
use crate::render::{self, PageWords, Rendered};
use crate::report::excerpt::excerpt;

/// How much of the cause of a failure the log keeps, in bytes.
const MAX_CAUSE: usize = 2 * 1024;

/// How many headers an answer of ours usually has.
const USUAL_HEADERS: usize = 12;

impl Gateway {
    /// A good answer goes to the client.
    pub(super) fn pass(&self, passage: Passage, mut trip: Box<Trip>, client: &Client) -> Response<Body> {
        let Passage { status, mut headers, content } = passage;
        let policy = trip.route.as_ref().map_or(&self.plan.fallback, |route| &route.policy);
        finish_headers(&mut headers, policy, &trip.context().wanted.origin, &trip.quota);
        headers.insert(names::X_REQUEST_ID, trip.context().id.header().clone());
        headers.append(header::VIA, self.via.clone());
        trip.visit.status = status.as_u16();
        let body = match content {
            Content::Stream { prefix, body, lease, clocks, guarded } => {
                // Events may be read as slowly as they come.
                let events = headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
                let min_rate = trip.min_rate(policy).filter(|_| !events);
                let multiplexed = trip.version == Version::HTTP_2;
                let watched = trip.route.as_ref().filter(|_| guarded).cloned();
                let hurries = if multiplexed { Hurries::AfterAWhile } else { Hurries::WhenTaken(Arc::clone(&client.takes)) };
                let rest = Rest { trip, lease: Some(lease), mode: self.plan.mode, hurries };
                let relay = Relay::new(prefix, body, rest, clocks);
                let flow: Box<dyn Flow> = match watched {
                    None => Box::new(relay),
                    Some(route) => {
                        let begin = if events { Guard::live } else { Guard::new };
                        let guard = begin(Arc::clone(&route.voice.redactor));
                        Box::new(Guarded::new(relay, guard, move || route.metrics.masked()))
                    }
                };
                let flow = if multiplexed { Box::new(Ahead::new(flow, min_rate)) } else { flow };
                Body::Stream { flow, min_rate }
            }
            Content::Ready(bytes) => {
                (trip.permit, trip.place) = (None, None);
                trip.held.clear();
                trip.visit.bytes_in = bytes_in(&trip);
                Body::ready(bytes, Some(Box::new(Recorded(trip)) as Box<dyn Witness>))
            }
        };
        respond(status, headers, body)
    }

    /// Any trouble becomes an answer.
    pub(super) fn answer(&self, trouble: Trouble, mut trip: Box<Trip>) -> Response<Body> {
        let Trouble { failure, said } = trouble;
        // What was not read of the request is the server's to drain or to refuse; the backend has done its part.
        (trip.body, trip.permit, trip.place) = (None, None, None);
        trip.held.clear();
        self.record(&failure, said.as_deref(), &mut trip);
        let route = trip.route.clone();
        let policy = route.as_ref().map_or(&self.plan.fallback, |route| &route.policy);
        let voice = route.as_ref().map_or(&self.plan.fallback_voice, |route| &route.voice);
        let envelope = self.envelope(&failure, said.as_deref(), policy, voice, &trip);
        let mut headers = said.as_deref().map(|said| kept_headers(said, envelope.status, &voice.redactor)).unwrap_or_default();
        headers.reserve(USUAL_HEADERS);
        finish_headers(&mut headers, policy, &trip.context().wanted.origin, &trip.quota);
        let (status, body) = match said.as_deref().and_then(|said| said.page.clone()) {
            Some(page) => (envelope.status, page_as_it_is(page, said.as_deref(), &mut headers)),
            None => {
                let asked = Asked { answered_json: said.as_deref().is_some_and(Said::is_json), ..trip.asked() };
                write_body(&envelope, policy, voice, asked, &mut headers)
            }
        };
        error_headers(&mut headers, &envelope, &failure, said.as_deref(), policy);
        headers.append(header::VIA, self.via.clone());
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        trip.visit.status = envelope.status.as_u16();
        trip.visit.bytes_in = bytes_in(&trip);
        let sent = if trip.context().method == Method::HEAD { Bytes::new() } else { body };
        let witness: Box<dyn Witness> = Box::new(Recorded(trip));
        respond(status, headers, Body::ready(sent, Some(witness)))
    }

    /// An answer for bytes that never became a request.
    pub fn answer_early(&self, peer: &Peer, early: Early) -> Response<Body> {
        let trip = Trip::early(self, peer, &early);
        self.answer(early.failure.into(), trip)
    }

    /// Keeps for operators what clients are not told.
    fn record(&self, failure: &Failure, said: Option<&Said>, trip: &mut Trip) {
        trip.visit.kind = Some(failure.kind);
        trip.visit.cause = failure.detail.as_deref().map(|detail| redact::mask(detail, MAX_CAUSE).into_boxed_str());
        let most = said.map_or(0, |said| self.plan.log.original.of(said.status));
        trip.visit.original = said.filter(|said| most > 0 && !said.body.is_blank()).map(|said| {
            // Masked as a whole first: a credential that is cut is no longer one to the mask.
            let masked = redact::masked(said.body.raw());
            // And once more: what a page hides in its markup is plain in the excerpt.
            let text = match excerpt(&masked, most) {
                Cow::Borrowed(all) => all.to_owned(),
                Cow::Owned(excerpt) if masked.contains('&') => redact::mask(&excerpt, most),
                Cow::Owned(excerpt) => excerpt,
            };
            Box::new(Original { truncated: said.truncated || masked.len() > most, text })
        });
    }
}

/// A page that may be shown as it is keeps the headers that describe it.
fn page_as_it_is(page: Bytes, said: Option<&Said>, headers: &mut HeaderMap) -> Bytes {
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::CONTENT_SECURITY_POLICY] {
        if let Some(value) = said.and_then(|said| said.headers.get(&name)) {
            headers.insert(name, value.clone());
        }
    }
    headers.append(header::VARY, HeaderValue::from_static("Accept"));
    page
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Writes the body and the headers that belong to it; the status is HTTP's own (a gRPC answer succeeds).
fn write_body(envelope: &Envelope, policy: &Policy, voice: &Voice, asked: Asked<'_>, headers: &mut HeaderMap) -> (StatusCode, Bytes) {
    let shape = negotiate::shape(asked, Terms::of(&policy.errors));
    let language = envelope.spoken.as_str();
    let word = |key| if shape == Shape::Html { voice.messages.of_page(key, language) } else { "" };
    let words = PageWords { request_id: word("request_id"), help: word("help") };
    let Rendered { body, content_type, headers: own, succeeds } = render::render(envelope, shape, words, voice.template.as_deref());
    if let Ok(value) = HeaderValue::from_str(&content_type) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    if policy.errors.negotiate {
        headers.append(header::VARY, HeaderValue::from_static("Accept"));
    }
    if shape == Shape::Html || envelope.language.is_some() {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Language"));
    }
    if let Some(language) = envelope.language.as_deref().and_then(|tag| HeaderValue::from_str(tag).ok()) {
        headers.insert(header::CONTENT_LANGUAGE, language);
    }
    let exposed = headers.get(header::ACCESS_CONTROL_EXPOSE_HEADERS).cloned();
    for (name, value) in own {
        headers.insert(name, value);
    }
    // A browser reads gRPC-Web's status only where it is told that it may.
    if let (true, Some(exposed)) = (shape == Shape::GrpcWeb, exposed) {
        let all = HeaderValue::from_bytes(&[exposed.as_bytes(), b", Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin"].concat());
        all.into_iter().for_each(|all| drop(headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, all)));
    }
    (if succeeds { StatusCode::OK } else { envelope.status }, body.into())
}

/// Keeps the compiler honest about what crosses threads.
const _: fn() = || {
    fn sendable<T: Send>() {}
    sendable::<Arc<Gateway>>();
};
