//! Turns the outcome of a request into a response: a success is streamed, an error becomes an [`Envelope`] and then bytes. The record keeps
//! what the client does not see.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Version};

use super::admission::{Admission, Permits, Quota};
use super::build_envelope::build_envelope;
use super::evidence;
use super::finish::{ReadBound, ReadyEnd, StreamEnd};
use super::grpc;
use super::grpc_web::{self, Form};
use super::heads::{OwnHeaders, error_headers, finish_headers, kept_headers};
use super::outcome::{Content, ErrorOutcome, Passed, UpstreamError, Watch};
use super::request::{Early, RequestState};
use super::response::ClientResponse;
use super::secure::add_hsts;
use super::state::{Client, Gateway};
use super::traced;
use super::upgraded::Upgraded;
use crate::body::{Body, Flow, OnSent};
use crate::context::{Dialect, Peer};
use crate::envelope::Envelope;
use crate::failure::Failure;
use crate::failure::catalog::code_of_status;
use crate::header::{HeaderList, Value, names};
use crate::message::{self, Messages};
use crate::observe::access_record::{Facts, Original};
use crate::plan::{ErrorPresenter, Route};
use crate::policy::{Mode, Policy};
use crate::redact::{self, Guard};
use crate::relay::{Ahead, Guarded, Relay, ToWeb, WebTrailers};
use crate::render::negotiate::{self, NegotiationInput, Shape, Terms};
use crate::render::{self, Looks, PageWords, Rendered};
use crate::report::excerpt::excerpt;
use crate::text::Text;
use crate::upstream::attempt::response::ResponseBody;

/// How much of the cause of a failure the log keeps, in bytes.
const MAX_CAUSE: usize = 2 * 1024;

/// How many headers a response of the gateway's own usually has.
const USUAL_HEADERS: usize = 16;
/// How many bytes their values have.
const USUAL_BYTES: usize = 512;

impl Gateway {
    /// Sends a response on to the client.
    pub(super) fn pass(&self, passed: Passed, admission: Admission, mut state: Box<RequestState>, client: &Client) -> ClientResponse {
        if matches!(passed.content, Content::DryRun(_)) {
            let passed = self.note_dry_run(passed, &mut state);
            return self.pass(passed, admission, state, client);
        }
        let Passed { status, mut headers, content } = passed;
        let policy = state.route.as_ref().map_or(&self.plan.fallback, |route| &route.policy);
        let context = &state.record.context;
        finish_headers(&mut headers, policy, context.wanted.origin.as_deref(), &admission.quota);
        headers.insert(names::X_REQUEST_ID, &context.id);
        if let Some(cookie) = &state.cookie {
            headers.append(header::SET_COOKIE, cookie);
        }
        add_hsts(self, state.record.context.tls.is_some(), &mut headers);
        headers.append(header::VIA, &self.core.via);
        state.record.facts.status = status.as_u16();
        let body = match content {
            Content::Stream { .. } => {
                let web = admission.web.and_then(|form| Some((form, grpc_web::response(form, &mut headers)?)));
                self.stream(content, (&headers, web), admission.permits, state, client)
            }
            Content::Tunnel { upstream, is_websocket } => {
                let tunnel = Some(Box::new(Upgraded::new(state, admission.permits, upstream, is_websocket)));
                return ClientResponse { status, headers, body: Body::ready(Bytes::new(), None), tunnel };
            }
            // It is never the content of another one.
            Content::DryRun(_) => Body::ready(Bytes::new(), None),
            Content::Ready(bytes) => {
                // The backend has done its part.
                drop(admission);
                Body::ready(bytes, Some(Box::new(ReadyEnd(state)) as Box<dyn OnSent>))
            }
        };
        ClientResponse { status, headers, body, tunnel: None }
    }

    /// The body of a response that streams. `web` is the form of a call that is translated to gRPC-Web, and the status in its head.
    fn stream(
        &self,
        content: Content,
        (headers, web): (&HeaderList, Option<(Form, Option<HeaderMap>)>),
        permits: Permits,
        mut state: Box<RequestState>,
        client: &Client,
    ) -> Body {
        let Content::Stream { prefix, body, clocks, watch } = content else { return Body::ready(Bytes::new(), None) };
        // Events may be read as slowly as they come.
        let events = headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        let policy = state.route.as_ref().map_or(&self.plan.fallback, |route| &route.policy);
        let min_rate = state.request().min_rate(policy).filter(|_| !events);
        let multiplexed = state.request().version == Version::HTTP_2;
        let watched = state.route.as_ref().filter(|_| watch != Watch::Nothing).cloned();
        let read_bound = if multiplexed { ReadBound::AfterAWhile } else { ReadBound::WhenTaken(Arc::clone(&client.takes)) };
        let grpc_response =
            headers.get(header::CONTENT_TYPE).and_then(|value| Dialect::of_content_type(value.as_bytes())) == Some(Dialect::Grpc);
        // A client of HTTP/1 may not read trailers, and would take a body with an end for a whole one.
        let ends_in_trailers = (multiplexed && grpc_response) || web.is_some();
        let masked = watched.as_ref().and_then(|_| traced::masked(state.record.facts.trail.spans.as_deref_mut()));
        let end = StreamEnd { state, _permits: permits, mode: self.plan.mode, read_bound, ends_in_trailers };
        let relay = Relay::new(prefix, body, end, clocks);
        let flow: Box<dyn Flow> = match watched {
            None => Box::new(relay),
            Some(route) if watch == Watch::WebTrailers => web_trailers(relay, headers, route, self.plan.mode),
            Some(route) => {
                let begin = if events { Guard::live } else { Guard::new };
                let guard = begin(Arc::clone(&route.presenter.redactor));
                Box::new(Guarded::new(relay, guard, move || traced::count_masked(&route, masked.as_deref())))
            }
        };
        let flow = match web {
            None => flow,
            Some((form, status)) => Box::new(ToWeb::new(flow, form == Form::Text, status)),
        };
        let flow = if multiplexed { Box::new(Ahead::new(flow, min_rate)) } else { flow };
        Body::Stream { flow, min_rate }
    }

    /// Turns an error into a response.
    pub(super) fn answer(&self, outcome: ErrorOutcome, quota: &[Quota], mut state: Box<RequestState>) -> ClientResponse {
        let ErrorOutcome { mut failure, upstream: said } = outcome;
        let upstream = said.as_deref();
        self.record(&mut failure, upstream, &mut state.record.facts);
        let route = state.route.clone();
        let policy = route.as_ref().map_or(&self.plan.fallback, |route| &route.policy);
        let presenter = route.as_ref().map_or(&self.plan.fallback_presenter, |route| &route.presenter);
        let envelope = build_envelope(&mut failure, upstream, (policy, self.plan.mode), presenter, &state);
        let mut headers = upstream.map(|upstream| kept_headers(upstream, envelope.status, &presenter.redactor)).unwrap_or_default();
        headers.reserve(USUAL_HEADERS, USUAL_BYTES);
        finish_headers(&mut headers, policy, state.record.context.wanted.origin.as_deref(), quota);
        let (status, body) = match upstream.and_then(|upstream| upstream.page.clone()) {
            Some(page) => (envelope.status, page_as_it_is(page, upstream, &mut headers)),
            None => {
                let asked = NegotiationInput { answered_json: upstream.is_some_and(UpstreamError::is_json), ..state.request().asked() };
                write_body(&envelope, policy, presenter, asked, &mut OwnHeaders::new(&mut headers, upstream, policy))
            }
        };
        let mut own = OwnHeaders::new(&mut headers, upstream, policy);
        error_headers(&mut own, &envelope, &failure, upstream, policy);
        add_hsts(self, state.record.context.tls.is_some(), own.headers);
        own.headers.append(header::VIA, &self.core.via);
        own.set_number(header::CONTENT_LENGTH, body.len() as u64);
        state.record.facts.status = envelope.status.as_u16();
        state.record.facts.code = Some(envelope.code);
        evidence::keep_told(self, &mut state.record.facts, said, &headers, &body);
        let sent = if state.record.context.method == Method::HEAD { Bytes::new() } else { body };
        let witness: Box<dyn OnSent> = Box::new(ReadyEnd(state));
        ClientResponse { status, headers, body: Body::ready(sent, Some(witness)), tunnel: None }
    }

    /// Answers bytes that never became a request.
    pub fn answer_early(&self, peer: &Peer, early: Early) -> ClientResponse {
        let state = RequestState::early(self, peer, &early);
        self.answer(early.failure.into(), &[], state)
    }

    /// Keeps for operators what clients do not see.
    pub(super) fn record(&self, failure: &mut Failure, upstream: Option<&UpstreamError>, facts: &mut Facts) {
        facts.kind = Some(failure.kind);
        // Only the development mode shows the detail to the client, too.
        let detail = if self.plan.mode == Mode::Development { failure.detail.clone() } else { failure.detail.take() };
        facts.cause = detail.map(|detail| redact::mask_own(detail, MAX_CAUSE));
        let most = upstream.map_or(0, |upstream| self.plan.log.original.of(upstream.status));
        facts.original = upstream.filter(|upstream| most > 0 && !upstream.body.is_blank()).map(|upstream| {
            // Masked as a whole first: the mask does not know a credential that is cut.
            let masked = redact::masked(upstream.body.raw());
            // And once more: what a page hides in its markup is plain in the excerpt.
            let text = match excerpt(&masked, most) {
                Cow::Borrowed(all) => all.to_owned(),
                Cow::Owned(excerpt) if memchr::memchr(b'&', masked.as_bytes()).is_some() => redact::mask(&excerpt, most),
                Cow::Owned(excerpt) => excerpt,
            };
            Box::new(Original { truncated: upstream.truncated || masked.len() > most, text })
        });
    }
}

/// The flow of a gRPC-Web body, whose trailers are cleaned.
fn web_trailers(relay: Relay<ResponseBody, StreamEnd>, headers: &HeaderList, route: Arc<Route>, mode: Mode) -> Box<dyn Flow> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_ascii_lowercase);
    let is_text = text("content-type").is_some_and(|value| value.starts_with("application/grpc-web-text"));
    let coding = text("grpc-encoding");
    let clean = move |frame| grpc::tidy_web(frame, coding.as_deref(), &route.presenter.redactor, mode);
    Box::new(WebTrailers::new(relay, is_text, clean))
}

/// A page that may be shown as it is keeps the headers that describe it.
fn page_as_it_is(page: Bytes, upstream: Option<&UpstreamError>, headers: &mut HeaderList) -> Bytes {
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::CONTENT_SECURITY_POLICY] {
        if let Some(value) = upstream.and_then(|upstream| upstream.headers.get(&name)) {
            headers.insert(name, value);
        }
    }
    headers.append(header::VARY, HeaderValue::from_static("Accept"));
    page
}

/// Writes the body and the headers that belong to it; the status is HTTP's own (a gRPC response succeeds).
fn write_body(
    envelope: &Envelope,
    policy: &Policy,
    presenter: &ErrorPresenter,
    asked: NegotiationInput<'_>,
    own: &mut OwnHeaders<'_>,
) -> (StatusCode, Bytes) {
    let shape = negotiate::shape(asked, Terms::of(&policy.errors));
    let language = envelope.negotiated_language.as_str();
    let title = (shape == Shape::Html && !envelope.is_translated).then(|| title(envelope, &presenter.messages));
    let words = if shape == Shape::Html { page_words(&presenter.messages, language, title.as_ref()) } else { PageWords::default() };
    let looks = Looks { words, template: presenter.template.as_deref(), pages: presenter.pages.as_deref() };
    let Rendered { body, content_type, headers: of_shape, succeeds } = render::render(envelope, shape, &looks);
    if shape == Shape::Html {
        forget_content_policies(own.headers, policy);
    }
    own.set(header::CONTENT_TYPE, content_type.as_bytes());
    if policy.errors.negotiate {
        own.headers.append(header::VARY, HeaderValue::from_static("Accept"));
    }
    if shape == Shape::Html || envelope.is_translated {
        own.headers.append(header::VARY, HeaderValue::from_static("Accept-Language"));
    }
    if let Some(language) = envelope.language() {
        own.set(header::CONTENT_LANGUAGE, language.as_bytes());
    }
    let exposed = own.headers.get(header::ACCESS_CONTROL_EXPOSE_HEADERS).filter(|_| shape == Shape::GrpcWeb).map(Value::to_header);
    for (name, value) in of_shape {
        own.set(name, value.as_bytes());
    }
    // A browser can read the status of gRPC-Web only if it is exposed.
    if let Some(exposed) = exposed {
        let all = HeaderValue::from_bytes(&[exposed.as_bytes(), b", Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin"].concat());
        all.into_iter().for_each(|all| own.headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, all));
    }
    (if succeeds { StatusCode::OK } else { envelope.status }, body.into())
}

/// What the catalog says of an error that the upstream describes in its own words.
fn title(envelope: &Envelope, messages: &Messages) -> Text {
    let code = if messages.has_code(&envelope.code) { &*envelope.code } else { code_of_status(envelope.status.as_u16()) };
    messages.of_code(code, &envelope.negotiated_language)
}

fn page_words<'w>(messages: &'w Messages, language: &str, title: Option<&'w Text>) -> PageWords<'w> {
    let word = |key| messages.of_page(key, language);
    PageWords {
        title: title.map_or("", Text::as_str),
        request_id: word("request_id"),
        code: word("code"),
        time: word("time"),
        copy: word("copy"),
        copied: word("copied"),
        retry: word("retry"),
        wait: word("wait").split_once(message::TIME).unwrap_or_default(),
        home: word("home"),
        help: word("help"),
    }
}

/// A page of the gateway's own is not what the upstream wrote its policy for. What the operator sets stays, where the page brings none.
fn forget_content_policies(headers: &mut HeaderList, policy: &Policy) {
    for name in [header::CONTENT_SECURITY_POLICY, header::CONTENT_SECURITY_POLICY_REPORT_ONLY] {
        if !policy.response_headers.set.iter().any(|(own, _)| *own == name) {
            headers.remove(&name);
        }
    }
}

/// Keeps the compiler honest about what crosses threads.
const _: fn() = || {
    fn sendable<T: Send>() {}
    sendable::<Arc<Gateway>>();
};
