//! Google's API error model (<https://google.aip.dev/193>): `error.status` is the code, and `details` are typed. Knows no other format.

use serde_json::{Map, Value};

use super::member::{get, text};
use crate::report::found::Report;
use crate::text::Untrusted;

/// The names of the gRPC status codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

pub(super) fn read(object: &Map<String, Value>) -> Option<Report> {
    // grpc-gateway omits the wrapper and writes the code as a number.
    let wrapped = get(object, "error").and_then(Value::as_object);
    let error = wrapped.unwrap_or(object);
    let details: Vec<&Map<String, Value>> =
        error.get("details").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object).collect();
    let typed = details.iter().any(|detail| detail.contains_key("@type"));
    let number = error.get("code").and_then(Value::as_u64).and_then(|code| CODES.get(usize::try_from(code).ok()?).copied());
    let status =
        text(error, "status").or(number.filter(|_| typed)).filter(|status| status.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
    if !typed && (status.is_none() || wrapped.is_none()) {
        return None;
    }
    // The name of a gRPC status says less than the reason of an ErrorInfo.
    let reason = details
        .iter()
        .find(|detail| text(detail, "@type").is_some_and(|name| name.ends_with("ErrorInfo")))
        .and_then(|detail| text(detail, "reason"));
    let localized = details
        .iter()
        .find(|detail| text(detail, "@type").is_some_and(|name| name.ends_with("LocalizedMessage")))
        .and_then(|detail| text(detail, "message"));
    Some(Report {
        message: localized.or_else(|| text(error, "message")).map(Untrusted::new),
        code: reason.or(status).map(Untrusted::new),
        ..Report::default()
    })
}
