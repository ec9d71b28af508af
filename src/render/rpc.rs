//! The shapes of protocols over HTTP: GraphQL (<https://spec.graphql.org/October2021/#sec-Errors>), JSON-RPC 2.0 section 5.1, and gRPC's
//! response without a body (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, "Trailers-Only"). Knows no other shape.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{HeaderName, HeaderValue};
use prost::Message as _;

use super::json::{Object, append_debug, append_details, object};
use crate::envelope::{Envelope, Item};
use crate::rpc::{self, BadRequest, Details, ErrorInfo, FieldViolation, RequestInfo, RetryInfo, Status};

/// The maximum length of the gRPC details in base64, because peers limit their headers to 8 KiB.
const MAX_DETAILS: usize = 4 * 1024;

/// Renders a GraphQL response with one error and without data.
pub(super) fn graphql(e: &Envelope) -> Vec<u8> {
    object(|response| {
        response.objects("errors", [e], |error, e| {
            error.text("message", e.message.as_str());
            error.object("extensions", |extensions| append_context(extensions, e));
        });
    })
}

/// Renders a JSON-RPC error response.
pub(super) fn jsonrpc(e: &Envelope) -> Vec<u8> {
    object(|response| {
        response.text("jsonrpc", "2.0");
        response.object("error", |error| {
            error.raw("code", jsonrpc_code(e).to_string().as_bytes());
            error.text("message", e.message.as_str());
            error.object("data", |data| append_context(data, e));
        });
        // Section 5: the id is null if it is unknown.
        response.raw("id", e.rpc_id.as_deref().unwrap_or("null").as_bytes());
    })
}

/// Adds what neither protocol has a member for.
fn append_context(object: &mut Object<'_>, e: &Envelope) {
    object.text("code", &e.code);
    object.number("statusCode", u64::from(e.status.as_u16()));
    object.text("requestId", e.request_id.as_str());
    object.timestamp("timestamp", e.timestamp);
    append_details(object, e);
    append_debug(object, e);
}

/// Returns the upstream's numeric code, or else the reserved code for this status.
fn jsonrpc_code(e: &Envelope) -> i64 {
    if let Ok(own) = e.code.parse::<i64>() {
        return own;
    }
    match e.status.as_u16() {
        _ if e.errors.iter().any(|item| item.field.is_some()) => -32_602,
        400 => -32_600,
        404 => -32_601,
        500..=599 => -32_603,
        _ => -32_000,
    }
}

/// Returns the headers of a gRPC response, which has no body.
pub(super) fn grpc(e: &Envelope) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = vec![(rpc::GRPC_STATUS, HeaderValue::from(u16::from(e.grpc)))];
    if let Ok(message) = HeaderValue::from_str(&rpc::percent_encode(e.message.as_str())) {
        headers.push((rpc::GRPC_MESSAGE, message));
    }
    let details = STANDARD_NO_PAD.encode(status(e).encode_to_vec());
    if let (true, Ok(details)) = (details.len() <= MAX_DETAILS, HeaderValue::from_str(&details)) {
        headers.push((rpc::GRPC_DETAILS, details));
    }
    headers
}

/// Returns the `google.rpc.Status` with machine-readable details.
fn status(e: &Envelope) -> Status {
    let mut details = Details::default();
    details.add(&ErrorInfo { reason: e.code.to_string(), domain: "lockgate".into(), ..ErrorInfo::default() });
    details.add(&RequestInfo { request_id: e.request_id.as_str().to_owned(), serving_data: String::new() });
    let violation = |item: &Item| {
        Some(FieldViolation {
            field: item.field.clone()?,
            description: item.message.as_str().to_owned(),
            reason: item.code.clone().unwrap_or_default(),
        })
    };
    let violations: Vec<FieldViolation> = e.errors.iter().filter_map(violation).collect();
    if !violations.is_empty() {
        details.add(&BadRequest { field_violations: violations });
    }
    if let Some(seconds) = e.retry_after {
        details.add(&RetryInfo::after(seconds));
    }
    Status { code: i32::from(e.grpc), message: e.message.as_str().to_owned(), details: details.0 }
}
