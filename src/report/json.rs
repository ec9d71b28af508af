//! JSON errors by likeness: whatever the framework, the sentence, the code and the field errors stand under a small set of
//! names, at the top or one wrapper down.

use serde_json::{Map, Value};

use super::{Report, is_status_phrase};
use crate::text::Untrusted;

/// Names under which the sentence stands, best first.
const MESSAGE: &[&str] = &[
    "message",
    "msg",
    "error_description",
    "errorMessage",
    "error_message",
    "errorDescription",
    "detail",
    "details",
    "description",
    "reason",
    "userMessage",
    "developerMessage",
    "Message",
    "ExceptionMessage",
    "faultstring",
    "text",
    "diagnostics",
    "title",
    "error",
    "status_message",
];
/// Names under which the machine code stands, best first.
const CODE: &[&str] =
    &["code", "errorCode", "error_code", "errcode", "err_code", "Code", "ErrorCode", "type", "error", "reason", "name", "key"];
/// Objects that wrap the error.
const WRAPPER: &[&str] =
    &["error", "errors", "Error", "fault", "Fault", "exception", "err", "failure", "response", "data", "result", "meta", "issue"];
/// Names under which field errors stand.
const FIELDS: &[&str] = &[
    "fields",
    "fieldErrors",
    "field_errors",
    "errors",
    "violations",
    "invalid_params",
    "invalidParams",
    "invalid-params",
    "validationErrors",
    "validation_errors",
    "issues",
    "details",
    "detail",
    "subErrors",
    "messages",
    "error",
    "data",
    "params",
    "validation",
    "inner",
];
/// Names of a field error's path.
const PATH: &[&str] = &[
    "field",
    "loc",
    "path",
    "property",
    "propertyPath",
    "pointer",
    "instancePath",
    "param",
    "parameter",
    "fieldName",
    "attribute",
    "name",
    "location",
    "source",
];
/// How deep wrappers are followed.
const MAX_DEPTH: usize = 4;

/// Reads a JSON error; `None` when the text is not JSON.
pub(super) fn read(text: &str) -> Option<Report> {
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}').trim()).ok()?;
    let mut report = Report::default();
    visit(&value, &mut report, 0);
    if report.fields.is_empty() && report.message.is_none() && report.code.is_none() {
        report.fields = bare_field_map(&value);
    }
    Some(report)
}

/// Takes what this value says and then what it wraps says; the first found of each wins.
fn visit(value: &Value, report: &mut Report, depth: usize) {
    match value {
        Value::Object(object) if depth < MAX_DEPTH => visit_object(object, report, depth),
        Value::Array(list) if depth < MAX_DEPTH => {
            if let Some(first) = list.iter().find(|item| item.is_object()) {
                visit(first, report, depth + 1);
            } else if report.message.is_none() {
                report.message = sentence_of(value);
            }
        }
        Value::String(text) if report.message.is_none() => report.message = sentence(text),
        _ => {}
    }
}

fn visit_object(object: &Map<String, Value>, report: &mut Report, depth: usize) {
    let wrapped = WRAPPER.iter().find_map(|name| object.get(*name).filter(|inner| inner.is_object()));
    // An inner error object knows better than the wrapper around it.
    if let Some(inner) = wrapped {
        visit(inner, report, depth + 1);
    }
    if report.message.is_none() {
        report.message = MESSAGE.iter().find_map(|name| object.get(*name).and_then(sentence_of));
    }
    if report.code.is_none() {
        report.code = CODE.iter().find_map(|name| object.get(*name).and_then(|value| code(name, value)));
    }
    if report.fields.is_empty() {
        report.fields = FIELDS.iter().filter_map(|name| object.get(*name)).map(fields).find(|found| !found.is_empty()).unwrap_or_default();
    }
    if report.problem_type.is_none() {
        report.problem_type = object.get("type").and_then(Value::as_str).filter(|uri| uri.contains("://")).map(Untrusted::new);
    }
    if report.exception.is_none() {
        report.exception =
            ["exception", "exceptionType", "ExceptionType"].iter().find_map(|name| object.get(*name)?.as_str().map(Untrusted::new));
    }
    if report.stack.is_none() {
        report.stack = ["stack", "trace", "stackTrace", "StackTrace", "stacktrace", "traceback"]
            .iter()
            .find_map(|name| object.get(*name)?.as_str().map(Untrusted::new));
    }
    if report.message.is_none() && report.fields.is_empty() {
        for name in WRAPPER {
            if let Some(list @ Value::Array(_)) = object.get(*name) {
                visit(list, report, depth + 1);
            }
        }
    }
}

/// A sentence: a string that says more than a status phrase, or a list of such strings.
fn sentence_of(value: &Value) -> Option<Untrusted> {
    match value {
        Value::String(text) => sentence(text),
        Value::Array(list) => {
            let parts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            (!parts.is_empty() && parts.len() == list.len()).then(|| Untrusted::new(parts.join("; ")))
        }
        _ => None,
    }
}

fn sentence(text: &str) -> Option<Untrusted> {
    let text = text.trim();
    // A lone token is a code, not a sentence.
    let token = !text.contains(' ') && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    (!text.is_empty() && !token && !is_status_phrase(text)).then(|| Untrusted::new(text))
}

/// A machine code: a token that is neither the HTTP status nor a sentence.
fn code(name: &str, value: &Value) -> Option<Untrusted> {
    match value {
        Value::String(text) => {
            let token =
                (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'));
            // `error`, `reason`, `name`: only what looks like a code (`invalid_grant`), never a word or a class.
            let weak = matches!(name, "error" | "reason" | "name" | "key");
            let telling = text.contains('_') || (text.len() > 2 && !text.bytes().any(|b| b.is_ascii_lowercase()));
            (token && (!weak || telling) && !is_status_number(text)).then(|| Untrusted::new(text))
        }
        Value::Number(number) if name.to_ascii_lowercase().contains("code") => {
            let text = number.to_string();
            (!is_status_number(&text)).then(|| Untrusted::new(text))
        }
        _ => None,
    }
}

fn is_status_number(text: &str) -> bool {
    text.len() == 3 && text.parse::<u16>().is_ok_and(|n| (400..600).contains(&n))
}

/// Field errors in an object of messages or a list of objects.
fn fields(value: &Value) -> Vec<(String, Vec<Untrusted>)> {
    match value {
        Value::Object(object) => object.iter().filter_map(|(name, value)| Some((name.clone(), messages(value)?))).collect(),
        Value::Array(list) => {
            let mut found: Vec<(String, Vec<Untrusted>)> = Vec::new();
            for (path, text) in list.iter().filter_map(field_error) {
                match found.iter_mut().find(|(known, _)| *known == path) {
                    Some((_, texts)) => texts.push(text),
                    None => found.push((path, vec![text])),
                }
            }
            found
        }
        _ => Vec::new(),
    }
}

/// One `{field, message}` of a list.
fn field_error(item: &Value) -> Option<(String, Untrusted)> {
    let object = item.as_object()?;
    let path = PATH.iter().find_map(|name| path_of(object.get(*name)?))?;
    let text = ["message", "msg", "detail", "defaultMessage", "description", "reason", "title", "error", "code"]
        .iter()
        .find_map(|name| object.get(*name)?.as_str())
        .map(str::trim)
        .filter(|text| !text.is_empty())?;
    Some((path, Untrusted::new(text)))
}

/// A path from a name, a list of segments, a JSON pointer, or an object that holds one of these.
fn path_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.starts_with('/') || text.starts_with("#/") => {
            let segments: Vec<Value> =
                text.trim_start_matches('#').split('/').skip(1).map(|s| Value::from(s.replace("~1", "/").replace("~0", "~"))).collect();
            join(&segments)
        }
        Value::String(text) => (!text.is_empty() && text.len() <= 128 && !text.contains(' ')).then(|| text.clone()),
        Value::Array(segments) => join(segments),
        Value::Object(object) => ["pointer", "parameter", "path"].iter().find_map(|name| path_of(object.get(*name)?)),
        _ => None,
    }
}

/// `["body", "items", 0, "qty"]` -> `items[0].qty`: where the value was sent (body, query) is not part of its name.
fn join(segments: &[Value]) -> Option<String> {
    let mut path = String::new();
    for (at, segment) in segments.iter().enumerate() {
        match segment {
            Value::Number(index) => path.push_str(&format!("[{index}]")),
            Value::String(name)
                if at == 0 && segments.len() > 1 && matches!(name.as_str(), "body" | "query" | "path" | "header" | "cookie" | "data") => {}
            Value::String(name) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) && !path.is_empty() => {
                path.push_str(&format!("[{name}]"))
            }
            Value::String(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            _ => return None,
        }
    }
    (!path.is_empty()).then_some(path)
}

/// The messages of one field: a string or a list of strings.
fn messages(value: &Value) -> Option<Vec<Untrusted>> {
    match value {
        Value::Array(list) if !list.is_empty() => list.iter().map(|item| item.as_str().map(Untrusted::new)).collect(),
        _ => None,
    }
}

/// A whole body that is nothing but field errors (`{"email": ["..."]}`).
fn bare_field_map(value: &Value) -> Vec<(String, Vec<Untrusted>)> {
    let Some(object) = value.as_object() else { return Vec::new() };
    let found = fields(value);
    if found.len() == object.len() { found } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = (Option<String>, Option<String>, Vec<(String, Vec<String>)>);

    fn told(text: &str) -> Told {
        let report = read(text).unwrap();
        let own = |t: Option<Untrusted>| t.map(|t| t.raw().to_owned());
        let fields = report.fields.into_iter().map(|(p, m)| (p, m.iter().map(|t| t.raw().to_owned()).collect())).collect();
        (own(report.message), own(report.code), fields)
    }

    #[test]
    fn flat_and_wrapped_errors_read_alike() {
        let flat = told(r#"{"statusCode":409,"message":"Order is locked","code":"ORDER_LOCKED","error":"Conflict"}"#);
        let wrapped = told(r#"{"error":{"message":"Order is locked","code":"ORDER_LOCKED"}}"#);
        assert_eq!(flat, (Some("Order is locked".into()), Some("ORDER_LOCKED".into()), vec![]));
        assert_eq!(flat, wrapped);
    }

    #[test]
    fn oauth_keeps_its_code_and_description() {
        let read = told(r#"{"error":"invalid_grant","error_description":"The code has expired"}"#);
        assert_eq!(read, (Some("The code has expired".into()), Some("invalid_grant".into()), vec![]));
    }

    #[test]
    fn field_errors_in_lists_maps_and_pointers() {
        let want = vec![("items[0].qty".to_owned(), vec!["too small".to_owned()])];
        for text in [
            r#"{"detail":[{"loc":["body","items",0,"qty"],"msg":"too small"}]}"#,
            r#"{"errors":[{"source":{"pointer":"/items/0/qty"},"detail":"too small"}]}"#,
            r#"{"errors":[{"path":"items[0].qty","message":"too small"}]}"#,
            r#"{"errors":{"items[0].qty":["too small"]}}"#,
            r#"{"items[0].qty":["too small"]}"#,
        ] {
            assert_eq!(told(text).2, want, "{text}");
        }
    }

    #[test]
    fn a_status_phrase_is_no_message() {
        assert_eq!(told(r#"{"status":404,"error":"Not Found","path":"/x"}"#).0, None);
    }
}
