//! Finds a code that says more than the name of a status: in the details of the error. Knows codes, and no messages.

use serde_json::{Map, Value};

use super::super::names::{NormalizedObject, WRAPPERS};
use super::super::phrases::is_status_phrase;
use super::fields::is_field_error;
use super::texts::{code, words_of};
use crate::text::Untrusted;

/// The maximum depth of wrappers and details.
const MAX_DEPTH: usize = 4;

/// Members with details of an error.
const DETAILS: &[&str] = &["details", "detail", "data", "extensions", "meta", "info", "errorinfo", "errors"];
/// Names of a code in details.
const CODES: &[&str] = &["code", "errorcode", "subcode", "errorkey", "reason"];

/// Returns true for the name of an HTTP or gRPC status, in any spelling.
pub(super) fn is_name_of_status(code: &str) -> bool {
    const GRPC: &[&str] = &[
        "cancelled",
        "unknown",
        "invalid argument",
        "deadline exceeded",
        "already exists",
        "permission denied",
        "resource exhausted",
        "failed precondition",
        "aborted",
        "out of range",
        "unimplemented",
        "internal",
        "unavailable",
        "data loss",
        "unauthenticated",
    ];
    let words = words_of(code);
    GRPC.contains(&words.as_str()) || is_status_phrase(&words)
}

/// Returns the code in the details of an error, if it says more than the name of a status.
pub(super) fn code_in_details(value: &Value) -> Option<Untrusted> {
    in_error(value.as_object()?, 0)
}

fn in_error(object: &Map<String, Value>, depth: usize) -> Option<Untrusted> {
    if depth > MAX_DEPTH {
        return None;
    }
    let named = NormalizedObject::new(object);
    let inner = named.all_of(&WRAPPERS).filter_map(|(_, inner)| inner.as_object()).find_map(|inner| in_error(inner, depth + 1));
    inner.or_else(|| DETAILS.iter().filter_map(|name| named.get(name)).find_map(in_details))
}

/// Of several details, only a `google.rpc.ErrorInfo` is about the whole error.
fn in_details(details: &Value) -> Option<Untrusted> {
    let only = match details {
        Value::Array(list) if list.len() == 1 => list.first()?.as_object()?,
        Value::Array(list) => list.iter().filter_map(Value::as_object).find(|detail| detail.contains_key("domain"))?,
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    let named = NormalizedObject::new(only);
    let specific = |name: &str, value: &Value| {
        let is_specific = |text: &str| text.contains(['_', '-', '.']) || words_of(text).contains(' ') || is_upper(text);
        code(if name == "reason" { "code" } else { name }, value).filter(|code| is_specific(code.raw()) && !is_name_of_status(code.raw()))
    };
    if is_field_error(only) { None } else { named.first(CODES, specific) }
}

fn is_upper(text: &str) -> bool {
    text.len() > 2 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn details_may_be_more_specific_than_a_status() {
        let found = |value: Value| code_in_details(&value).map(|code| code.raw().to_owned());
        assert_eq!(found(json!({"error": {"status": "NOT_FOUND", "details": {"code": "room_missing"}}})).as_deref(), Some("room_missing"));
        assert_eq!(found(json!({"name": "NotFound", "data": {"errorCode": "E42_ROOM"}})).as_deref(), Some("E42_ROOM"));
        for value in [
            json!({"details": [{"code": "A_1"}, {"code": "B_2"}]}),
            json!({"details": [{"field": "a", "code": "TOO_SHORT", "message": "is too short"}]}),
            json!({"data": {"code": "not_found"}}),
            json!({"data": {"reason": "The room is closed."}}),
        ] {
            assert_eq!(found(value.clone()), None, "{value}");
        }
        assert!(is_name_of_status("NOT_FOUND") && is_name_of_status("notFound") && !is_name_of_status("ROOM_NOT_FOUND"));
    }
}
