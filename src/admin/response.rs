//! Responses of the admin listener: texts, JSON, and errors in the envelope format.
//!
//! Must not know the pages.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;

use crate::context::RequestId;
use crate::envelope::{Envelope, Item};
use crate::header::names;
use crate::message::Messages;
use crate::policy::{Details, Format};
use crate::render::{self, Looks, negotiate::Shape};
use crate::text::Text;

/// What every response tells a browser: its type is what it says, no other page may frame or load it, and no address goes elsewhere.
/// Own pages do get one, because a form of a page that gives none has the origin `null`, as one of another site can have.
pub(super) const SAFE: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = text("application/json", format!("{value:#}\n"));
    *response.status_mut() = status;
    response
}

pub(super) fn unavailable(request: &Request<()>) -> Response<Full<Bytes>> {
    let mut response = error(request, StatusCode::SERVICE_UNAVAILABLE, "SHUTTING_DOWN");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

pub(super) fn text(content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in SAFE {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox"));
    response
}

pub(super) fn error(request: &Request<()>, status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    error_because(request, status, code, Vec::new())
}

/// Returns an error that says what is wrong with parts of the request.
pub(super) fn error_because(request: &Request<()>, status: StatusCode, code: &str, errors: Vec<Item>) -> Response<Full<Bytes>> {
    let now = SystemTime::now();
    let envelope = Envelope {
        status,
        code: code.to_owned().into(),
        message: Messages::default().of_code(code, "en"),
        negotiated_language: "en".into(),
        is_translated: false,
        errors,
        details: Details::Map,
        retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(5),
        violated: Vec::new(),
        problem_type: None,
        upstream: None,
        timestamp: now,
        request_id: RequestId::generate(now),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        grpc: 2,
        rpc_id: None,
        debug: None,
    };
    let rendered = render::render(&envelope, Shape::Json(Format::Envelope), &Looks::default());
    let mut response = text("application/json", String::from_utf8_lossy(&rendered.body).into_owned());
    *response.status_mut() = status;
    if let Ok(id) = HeaderValue::from_bytes(envelope.request_id.as_bytes()) {
        response.headers_mut().insert(names::X_REQUEST_ID, id);
    }
    response
}

/// Returns the error of a request with a part that is not valid.
pub(super) fn bad_request(request: &Request<()>, why: &str) -> Response<Full<Bytes>> {
    let item = Item { field: None, code: None, message: Text::own(why.to_owned()) };
    error_because(request, StatusCode::BAD_REQUEST, "BAD_REQUEST", vec![item])
}
