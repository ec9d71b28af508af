//! JSON errors by likeness: whatever the framework, the sentence, the code and the field errors stand under a small set of
//! names, at the top or one wrapper down.

mod fields;
mod paths;
mod shapes;
mod tree;

use serde_json::{Map, Value};

use super::found::{Certainty, Report};
use super::names::{self, CAUSE, CODE, CONTEXT, EXCEPTION, FIELDS, LATE_CODE, MESSAGE, Named, STACK, WHOLE, WRAPPER};
use super::phrases::is_status_phrase;
use crate::text::Untrusted;

/// How deep wrappers are followed.
const MAX_DEPTH: usize = 8;
/// Objects and lists of one body that are looked into for its sentence.
const MAX_VISITS: usize = 24;
/// Bytes of a message after which nothing more is filled in.
const MAX_FILLED: usize = 4 * 1024;
/// Characters of a value that is filled in.
const MAX_VALUE: usize = 200;

/// Reads a JSON error; `None` when the text is not JSON.
pub(super) fn read(text: &str) -> Option<Report> {
    let value = tree::read(text)?;
    let mut report =
        value.as_object().and_then(shapes::read).map(|known| Report { certainty: Certainty::Known, ..known }).unwrap_or_default();
    let mut visits = MAX_VISITS;
    visit(&value, &mut report, 0, &mut visits);
    if report.fields.is_empty() {
        report.fields = fields::bare(&value, report.message.is_none() && report.code.is_none());
    }
    if report.message.is_some() || !report.fields.is_empty() {
        report.certainty = report.certainty.max(Certainty::Likeness);
    } else {
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
fn visit(value: &Value, report: &mut Report, depth: usize, visits: &mut usize) {
    let Some(left) = visits.checked_sub(1) else { return };
    *visits = left;
    match value {
        Value::Object(object) if depth < MAX_DEPTH => visit_object(object, report, depth, visits),
        Value::Array(list) if depth < MAX_DEPTH => visit_list(value, list, report, depth, visits),
        Value::String(text) if report.message.is_none() => report.message = sentence(text),
        _ => {}
    }
}

fn visit_list(value: &Value, list: &[Value], report: &mut Report, depth: usize, visits: &mut usize) {
    let Some(first) = list.iter().find(|item| item.is_object()) else {
        if report.message.is_none() {
            report.message = sentence_of(value);
        }
        return;
    };
    if fields::of(value, fields::Texts::Any).is_empty() {
        visit(first, report, depth + 1, visits);
    } else if let ([Value::Object(only)], None) = (list, &report.code) {
        // What a list of field errors says is about its fields; only a code that is written like one is about the whole.
        let named = Named::new(only);
        report.code =
            ["errorcode", "code"].iter().find_map(|name| code(name, named.get(name)?).filter(|code| is_telling("error", code.raw())));
    }
}

fn visit_object(object: &Map<String, Value>, report: &mut Report, depth: usize, visits: &mut usize) {
    let named = Named::new(object);
    // An inner error object knows better than the wrapper around it.
    let wrapped = named.first(WRAPPER, |_, inner| inner.is_object().then_some(inner));
    if let Some(inner) = wrapped {
        visit(inner, report, depth + 1, visits);
    }
    if report.message.is_none() {
        let told = named
            .first(MESSAGE, message)
            .or_else(|| named.iter().filter(|(name, _)| names::is_message(name)).find_map(|(name, value)| message(name, value)));
        report.message = told.map(|text| filled(text, &named));
    }
    if report.code.is_none() {
        let by_likeness = || named.iter().filter(|(name, _)| names::is_code(name)).find_map(|(name, value)| code(name, value));
        report.code = named.first(CODE, code).or_else(by_likeness);
    }
    if report.fields.is_empty() {
        report.fields = own_fields(&named, report);
    }
    let own = |text: &str| Untrusted::new(text);
    if report.problem_type.is_none() {
        report.problem_type = named.text("type").filter(|uri| uri.contains("://") || uri.starts_with("urn:")).map(own);
    }
    if report.exception.is_none() {
        report.exception = named.first(EXCEPTION, |_, value| value.as_str()).map(own);
    }
    if report.stack.is_none() {
        report.stack = named.first(STACK, |_, value| stack(value));
    }
    if report.cause.is_none() {
        report.cause = named.first(CAUSE, |_, value| value.as_str().filter(|text| !text.is_empty())).map(own);
    }
    visit_context(object, &named, wrapped, report, depth, visits);
    if report.code.is_none() {
        report.code = named.first(LATE_CODE, code);
    }
}

/// Field errors that an object holds, or the one that it is: a message beside the name of a field.
fn own_fields(named: &Named<'_>, report: &Report) -> Vec<fields::Field> {
    // JSend: the data of a failure are its field errors.
    let failed = named.text("status").is_some_and(|status| status.eq_ignore_ascii_case("fail"));
    let jsend = named.get("data").filter(|data| failed && data.is_object());
    let listed = named.first(FIELDS, |name, value| Some(found_under(name, value)).filter(|found| !found.is_empty()));
    let single = || {
        let path = ["field", "param", "attr", "fieldname", "parameter", "propertypath"].iter().find_map(|name| named.text(name))?;
        let sound = !path.is_empty()
            && path.len() <= 64
            && path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'[' | b']'));
        let message = report.message.as_ref().filter(|_| sound)?;
        Some(vec![(path.to_owned(), vec![message.clone()])])
    };
    listed.or_else(|| Some(fields::of(jsend?, fields::Texts::SentencesOnly))).or_else(single).unwrap_or_default()
}

/// What was not said here may be said by what is around it, or by the only object there is.
fn visit_context(
    object: &Map<String, Value>,
    named: &Named<'_>,
    wrapped: Option<&Value>,
    report: &mut Report,
    depth: usize,
    visits: &mut usize,
) {
    let seen = |value: &Value| wrapped.is_some_and(|wrapped| std::ptr::eq(wrapped, value));
    for inner in WRAPPER.iter().chain(CONTEXT).filter_map(|name| named.get(name)).filter(|value| !seen(value)) {
        match inner {
            Value::Object(_) if report.fields.is_empty() => visit(inner, report, depth + 1, visits),
            Value::Array(_) if report.message.is_none() && report.fields.is_empty() => visit(inner, report, depth + 1, visits),
            _ => {}
        }
    }
    if report.message.is_none() && report.fields.is_empty() {
        let mut inner = object.values().filter(|value| value.is_object());
        if let (Some(only), None) = (inner.next().filter(|value| !seen(value)), inner.next()) {
            visit(only, report, depth + 1, visits);
        }
    }
}

/// `%1`, `%name` in a message filled from the parameters beside it, once and within bounds: what is filled in is not looked
/// at again.
fn filled(message: Untrusted, named: &Named<'_>) -> Untrusted {
    let Some(parameters) = named.get("parameters").filter(|_| message.raw().contains('%')) else { return message };
    let mut out = String::new();
    let mut rest = message.raw();
    while let Some(at) = rest.find('%').filter(|_| out.len() < MAX_FILLED) {
        out.push_str(&rest[..at]);
        let name: &str = rest[at + 1..].split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let value = match parameters {
            Value::Object(values) => values.get(name),
            Value::Array(values) => name.parse::<usize>().ok().and_then(|number| values.get(number.checked_sub(1)?)),
            _ => None,
        };
        match value.filter(|value| value.is_string() || value.is_number()) {
            Some(value) => {
                let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                out.extend(shown.chars().take(MAX_VALUE));
            }
            None => out.push_str(&rest[at..=at + name.len()]),
        }
        rest = &rest[at + 1 + name.len()..];
    }
    out.push_str(rest);
    Untrusted::new(out)
}

/// A trace as one text.
fn stack(value: &Value) -> Option<Untrusted> {
    match value {
        Value::String(text) => Some(Untrusted::new(text.as_str())),
        Value::Array(list) if !list.is_empty() => {
            let line = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            Some(Untrusted::new(list.iter().map(line).collect::<Vec<_>>().join("\n")))
        }
        _ => None,
    }
}

/// Field errors under one of the names; some of the names hold them only as a list, and some hold values as often as texts.
fn found_under(name: &str, value: &Value) -> Vec<fields::Field> {
    match name {
        "data" | "error" | "result" | "issue" if !value.is_array() && !fields::is_map_of_errors(value) => Vec::new(),
        // The name of an error in a language where one is called as many are.
        name if name != "errors" && WRAPPER.contains(&name) && !value.is_array() && !fields::is_map_of_errors(value) => Vec::new(),
        "properties" => Vec::new(),
        "fields" | "params" | "parameters" | "detail" | "details" | "data" | "extra" | "message" => {
            fields::of(value, fields::Texts::SentencesOnly)
        }
        _ => fields::of(value, fields::Texts::Any),
    }
}

/// What stands under a name of the sentence. Some names hold a sentence or a word for the machine.
fn message(name: &str, value: &Value) -> Option<Untrusted> {
    let weak = matches!(
        name,
        "status" | "content" | "info" | "err" | "fault" | "failure" | "general" | "all" | "errors" | "schema" | "base" | "root"
    );
    match value {
        Value::String(text) if weak && !text.trim().contains(' ') && text.is_ascii() => None,
        // Sentences about the whole, even where one begins like a field.
        Value::Array(list) if WHOLE.contains(&name) => {
            let parts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            (!parts.is_empty() && parts.len() == list.len()).then(|| Untrusted::new(parts.join("; ")))
        }
        Value::Array(_) if weak && name != "errors" => None,
        // OData 2 and 3: `{"lang": "en", "value": "..."}`.
        Value::Object(inner) => inner.get("value").or_else(|| inner.get("text")).and_then(Value::as_str).and_then(sentence),
        _ => sentence_of(value),
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
    let lone = !text.contains(char::is_whitespace) && text.is_ascii();
    // A lone token is a code, a path or a type, not a sentence.
    let code = lone && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let snake = lone && text.contains('_') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let path = lone && text.contains('/');
    (!text.is_empty() && !code && !snake && !path && text.chars().any(char::is_alphabetic) && !is_status_phrase(text))
        .then(|| Untrusted::new(text))
}

/// A machine code: a token that is neither the HTTP status nor a sentence.
fn code(name: &str, value: &Value) -> Option<Untrusted> {
    match value {
        Value::String(text) => {
            // `namespace#Code`, as typed protocols write it.
            let text = if text.contains("://") { text } else { text.rsplit('#').next().unwrap_or(text) };
            let token =
                (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'));
            let weak = is_weak(name);
            let uri = text.starts_with("about:") || text.starts_with("urn:");
            (token && !uri && (!weak || is_telling(name, text)) && !is_status_number(text) && !is_status_phrase_token(name, text))
                .then(|| Untrusted::new(text))
        }
        Value::Number(number) if names::is_code(name) || (CODE.contains(&name) && !is_weak(name)) => {
            let text = number.to_string();
            (!is_status_number(&text) && text != "0").then(|| Untrusted::new(text))
        }
        _ => None,
    }
}

/// Does this name hold words, classes or ids as often as codes?
fn is_weak(name: &str) -> bool {
    matches!(name, "error" | "reason" | "name" | "key" | "status" | "id" | "slug" | "title" | "type" | "errortype")
}

/// Under a name that also holds words: only what looks like a code (`invalid_grant`, `E42`), never a word, a class or an id.
fn is_telling(name: &str, text: &str) -> bool {
    let upper = text.len() > 2 && !text.bytes().any(|b| b.is_ascii_lowercase()) && text.bytes().any(|b| b.is_ascii_uppercase());
    match name {
        "id" => upper && text.contains('_'),
        "status" => upper && text.contains('_'),
        "type" | "errortype" => text.contains(['_', '-']) || upper || (humps(text) > 1 && !text.ends_with("Exception")),
        "name" => text.contains('_') || upper || (humps(text) > 1 && !text.ends_with("Error") && !text.ends_with("Exception")),
        // `AlreadyExists`, where a machine is told the reason.
        "reason" => text.contains('_') || upper || humps(text) > 1,
        // `order-locked`, `RecordInvalid`; what is thrown (`TypeError`) is no code.
        "error" => {
            text.contains(['_', '-'])
                || upper
                || (humps(text) > 1 && !text.ends_with("Error") && !text.ends_with("Exception") && !is_status_phrase(&spaced(text)))
        }
        _ => text.contains('_') || upper,
    }
}

/// `NotFound` -> `Not Found`.
fn spaced(text: &str) -> String {
    text.chars().flat_map(|c| c.is_ascii_uppercase().then_some(' ').into_iter().chain([c])).collect()
}

fn humps(text: &str) -> usize {
    let letters = text.bytes().all(|b| b.is_ascii_alphabetic());
    if letters && text.starts_with(|c: char| c.is_ascii_uppercase()) { text.bytes().filter(u8::is_ascii_uppercase).count() } else { 0 }
}

/// `type: "error"` and other words for any failure are no codes.
fn is_status_phrase_token(name: &str, text: &str) -> bool {
    name == "type"
        && matches!(
            text.to_ascii_lowercase().as_str(),
            "error" | "exception" | "failure" | "fault" | "problem" | "api_error" | "object" | "string"
        )
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
    fn what_is_filled_in_is_bounded_and_not_filled_again() {
        let body =
            serde_json::json!({ "message": format!("{}x y", "%1 ".repeat(2_000)), "parameters": ["%2".repeat(200), "%1".repeat(200)] });
        let message = told(&body.to_string()).0.unwrap();
        assert!(message.len() < 12_000 && message.contains("%2"), "{}", message.len());
    }

    #[test]
    fn nested_wrappers_are_looked_into_a_bounded_number_of_times() {
        let many: String = (0..2_000).map(|n| format!("\"k{n}\":0,")).collect();
        let body = format!("{}{{{many}\"z\":1}}{}", "{\"errors\":".repeat(7), "}".repeat(7));
        assert_eq!(told(&body), (None, None, vec![]));
    }

    #[test]
    fn a_status_phrase_is_no_message() {
        assert_eq!(told(r#"{"status":404,"error":"Not Found","path":"/x"}"#).0, None);
    }
}
