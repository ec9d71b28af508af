//! JSON errors by likeness: whatever the framework, the sentence, the code and the field errors stand under a small set of
//! names, at the top or one wrapper down.

use serde_json::{Map, Value};

use super::{Report, fields, is_status_phrase};
use crate::text::Untrusted;

/// Names under which the sentence stands, best first.
const MESSAGE: &[&str] = &[
    "message",
    "msg",
    "error_description",
    "errorMessage",
    "error_message",
    "errorDescription",
    "errmsg",
    "err_msg",
    "resultMsg",
    "resultMessage",
    "retMsg",
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
    "non_field_errors",
    "__all__",
];
/// Names under which the machine code stands, best first.
const CODE: &[&str] = &[
    "code",
    "errorCode",
    "error_code",
    "errcode",
    "err_code",
    "resultCode",
    "Code",
    "ErrorCode",
    "faultcode",
    "type",
    "error",
    "reason",
    "name",
    "key",
];
/// Objects that wrap the error, or what is said about it.
const WRAPPER: &[&str] = &[
    "error",
    "errors",
    "Error",
    "fault",
    "Fault",
    "exception",
    "err",
    "failure",
    "response",
    "detail",
    "extensions",
    "data",
    "result",
    "meta",
    "issue",
    "zodError",
];
/// Names under which field errors stand.
const FIELDS: &[&str] = &[
    "fields",
    "fieldErrors",
    "field_errors",
    "fieldViolations",
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
    "message",
    "params",
    "validation",
    "inner",
    "error",
    "data",
    "result",
];
/// How deep wrappers are followed.
const MAX_DEPTH: usize = 4;

/// Reads a JSON error; `None` when the text is not JSON.
pub(super) fn read(text: &str) -> Option<Report> {
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}').trim()).ok()?;
    let mut report = Report::default();
    visit(&value, &mut report, 0);
    if report.fields.is_empty() {
        report.fields = fields::bare(&value, report.message.is_none() && report.code.is_none());
    }
    if report.message.is_none() && report.fields.is_empty() {
        report.message = only_sentence(&value);
    }
    Some(report)
}

/// An unknown object by likeness: the one string in it that reads as a sentence, whatever its name and language.
fn only_sentence(value: &Value) -> Option<Untrusted> {
    let reads = |text: &&str| text.contains(' ') || !text.is_ascii();
    let mut sentences = value.as_object()?.values().filter_map(Value::as_str).filter(reads);
    let first = sentences.next()?;
    if sentences.next().is_some() { None } else { sentence(first) }
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
        report.fields = FIELDS
            .iter()
            .filter_map(|name| Some((*name, object.get(*name)?)))
            .map(found_under)
            .find(|found| !found.is_empty())
            .unwrap_or_default();
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

/// Field errors under one of the names; some of the names hold them only as a list, and some hold values as often as texts.
fn found_under((name, value): (&str, &Value)) -> Vec<fields::Field> {
    match name {
        "data" | "error" | "result" if !value.is_array() => Vec::new(),
        "fields" | "params" => fields::of(value, fields::Texts::SentencesOnly),
        _ => fields::of(value, fields::Texts::Any),
    }
}

/// A sentence: a string that says more than a status phrase, or a list of such strings.
fn sentence_of(value: &Value) -> Option<Untrusted> {
    match value {
        Value::String(text) => sentence(text),
        Value::Array(list) => {
            let parts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            // Sentences about fields are told as field errors.
            let plain = !parts.is_empty() && parts.len() == list.len() && fields::of(value, fields::Texts::Any).is_empty();
            plain.then(|| Untrusted::new(parts.join("; ")))
        }
        _ => None,
    }
}

fn sentence(text: &str) -> Option<Untrusted> {
    let text = text.trim();
    // JSON in a string is data, not a sentence.
    if text.starts_with(['{', '[']) && serde_json::from_str::<Value>(text).is_ok() {
        return None;
    }
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
            r#"{"errors":{"items":{"0":{"qty":["too small"]}}}}"#,
            r#"{"items":[{"qty":["too small"]}]}"#,
            r#"{"errors":{"items[0].qty":{"msg":"too small","path":"items[0].qty"}}}"#,
            r#"{"errors":[{"source":{"pointer":"/data/attributes/items/0/qty"},"detail":"too small"}]}"#,
            r#"{"details":[{"fieldViolations":[{"field":"items[0].qty","description":"too small"}]}]}"#,
            r#"[{"path":["items",0,"qty"],"message":"too small"}]"#,
            r#"{"error":{"message":"[{\"path\":[\"items\",0,\"qty\"],\"message\":\"too small\"}]"}}"#,
            r#"{"message":[{"property":"items","children":[{"property":"0","children":[{"property":"qty","constraints":{"min":"too small"}}]}]}]}"#,
        ] {
            assert_eq!(told(text).2, want, "{text}");
        }
    }

    #[test]
    fn sentences_about_fields_become_field_errors() {
        let read = told(
            r#"{"message":["email must be an email","property zzz should not exist","lines.0.qty must not be less than 1"],"error":"Bad Request"}"#,
        );
        let paths: Vec<_> = read.2.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!((read.0, paths), (None, vec!["email", "zzz", "lines.0.qty"]));
        assert_eq!(
            told(r#"{"message":["The shop is closed","Come back tomorrow"]}"#).0.as_deref(),
            Some("The shop is closed; Come back tomorrow")
        );
    }

    #[test]
    fn graphql_errors_are_no_field_errors() {
        let read =
            told(r#"{"errors":[{"message":"Order not found","path":["order"],"extensions":{"code":"ORDER_NOT_FOUND"}}],"data":null}"#);
        assert_eq!(read, (Some("Order not found".into()), Some("ORDER_NOT_FOUND".into()), vec![]));
    }

    #[test]
    fn unknown_names_are_read_by_likeness() {
        assert_eq!(told(r#"{"erreur":"Le stock est vide","n":1}"#).0.as_deref(), Some("Le stock est vide"));
    }

    #[test]
    fn a_status_phrase_is_no_message() {
        assert_eq!(told(r#"{"status":404,"error":"Not Found","path":"/x"}"#).0, None);
    }
}
