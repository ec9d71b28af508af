//! The parser of JSON errors. For all frameworks, the message, the code and the field errors have one of a small set of names, at the top
//! or in a wrapper, so the parser searches for these names. Knows no framework; `shapes` knows the formats that this search would misread.

mod fields;
mod items;
mod paths;
mod rules;
mod shapes;
mod specific;
mod texts;
mod translations;
mod tree;

use serde_json::{Map, Value};

use super::found::{Certainty, Field, Item, Report};
use super::names::{
    self, CAUSE, CODES, CONTEXTS, EXCEPTION, FALLBACK_CODE, FIELD_LISTS, GENERAL, MESSAGES, NormalizedObject, STACK, WRAPPER, WRAPPERS,
};
use super::phrases::phrase;
use crate::language::Languages;
use crate::text::Untrusted;
use texts::{code, is_code_like, sentence};

/// Names of members in which a status phrase stands for the message.
const PHRASED: &[&str] =
    &["message", "msg", "errormessage", "errordescription", "detail", "description", "reason", "error", "title", "text", "faultstring"];
/// The maximum depth of wrappers that are followed.
const MAX_DEPTH: usize = 8;
/// The maximum number of objects and lists of one body that are searched.
const MAX_VISITS: usize = 24;
/// The length of a message beyond which no parameter is substituted, in bytes.
const MAX_SUBSTITUTED: usize = 4 * 1024;
/// The maximum length of a substituted value, in characters.
const MAX_VALUE: usize = 200;

/// What a search through a body may still do, and what it looks for.
struct Search<'l> {
    /// Objects and lists that may still be searched.
    visits: usize,
    languages: Languages<'l>,
}

/// Parses a JSON error. Returns `None` if the text is not JSON.
pub(super) fn read(text: &str, languages: Languages<'_>) -> Option<Report> {
    let value = tree::read(text)?;
    let mut report =
        value.as_object().and_then(shapes::read).map(|known| Report { certainty: Certainty::Known, ..known }).unwrap_or_default();
    let mut search = Search { visits: MAX_VISITS, languages };
    visit(&value, &mut report, 0, &mut search);
    let is_status = report.code.as_ref().is_some_and(|code| specific::is_name_of_status(code.raw()));
    if is_status && let Some(code) = specific::code_in_details(&value) {
        report.code = Some(code);
    }
    if report.fields.is_empty() {
        report.fields = fields::field_errors_of_body(&value, report.message.is_none() && report.code.is_none());
    }
    report.items = items::without_repetitions(items::items(&value), report.message.as_ref(), &report.fields);
    if report.message.is_none() && !report.items.is_empty() {
        // Without a summary, the first error that names no field is the message.
        let first = report.items.remove(0);
        report.message = Some(first.message);
    }
    if report.message.is_some() || !report.fields.is_empty() {
        report.certainty = report.certainty.max(Certainty::Likeness);
    } else {
        report.message = only_sentence(&value);
    }
    Some(report)
}

/// Returns the only string of an object that reads as a sentence, for names in any language. Returns `None` if there are several.
fn only_sentence(value: &Value) -> Option<Untrusted> {
    let reads = |text: &&str| text.contains(' ') || !text.is_ascii();
    let mut sentences = value.as_object()?.values().filter_map(Value::as_str).filter(reads);
    let first = sentences.next()?;
    if sentences.next().is_some() { None } else { sentence(first) }
}

/// Searches a value and the values in it. The first message, code, and so on, takes precedence.
fn visit(value: &Value, report: &mut Report, depth: usize, search: &mut Search<'_>) {
    let Some(left) = search.visits.checked_sub(1) else { return };
    search.visits = left;
    match value {
        Value::Object(object) if depth < MAX_DEPTH => visit_object(object, report, depth, search),
        Value::Array(list) if depth < MAX_DEPTH => visit_list(value, list, report, depth, search),
        Value::String(text) if report.message.is_none() => report.message = sentence(text),
        _ => {}
    }
}

fn visit_list(value: &Value, list: &[Value], report: &mut Report, depth: usize, search: &mut Search<'_>) {
    let Some(first) = list.iter().find(|item| item.is_object()) else {
        if report.message.is_none() {
            report.message = sentence_of(value);
        }
        return;
    };
    if fields::field_errors(value, fields::MessageFilter::Any).is_empty() {
        visit(first, report, depth + 1, search);
    } else if let ([Value::Object(only)], None) = (list, &report.code) {
        // The code of a field error is about the field. Only a value that is written like a code is the code of the whole error.
        let named = NormalizedObject::new(only);
        report.code =
            ["errorcode", "code"].iter().find_map(|name| code(name, named.get(name)?).filter(|code| is_code_like("error", code.raw())));
    }
}

fn visit_object(object: &Map<String, Value>, report: &mut Report, depth: usize, search: &mut Search<'_>) {
    if translations::is_by_language(object) {
        if report.message.is_none() {
            report.message = translations::of_map(object, search.languages).and_then(sentence);
        }
        return;
    }
    let named = NormalizedObject::new(object);
    // The members of an inner error object take precedence over those of its wrapper.
    // A map of field errors beside a summary is no wrapper.
    let has_summary = || ["message", "msg", "title", "detail"].iter().any(|name| named.text(name).is_some());
    let is_fields = |name: &str, inner: &Value| name == "errors" && has_summary() && !field_errors_in(name, inner).is_empty();
    let wrapped = named.all_of(&WRAPPERS).find(|(name, inner)| inner.is_object() && !is_fields(name, inner)).map(|(_, inner)| inner);
    if let Some(inner) = wrapped {
        visit(inner, report, depth + 1, search);
    }
    if report.message.is_none() {
        let message = |name: &str, value: &Value| message(name, value, search.languages);
        let found = named
            .all_of(&MESSAGES)
            .find_map(|(name, value)| message(name, value))
            .or_else(|| named.iter().filter(|(name, _)| names::is_message(name)).find_map(|(name, value)| message(name, value)));
        report.message = found.map(|text| with_parameters(text, &named));
    }
    if report.message.is_none() && report.phrase.is_none() {
        report.phrase = named.first(PHRASED, |_, value| value.as_str().and_then(phrase));
    }
    if report.code.is_none() {
        let by_likeness = || named.iter().filter(|(name, _)| names::is_code(name)).find_map(|(name, value)| code(name, value));
        report.code = named.all_of(&CODES).find_map(|(name, value)| code(name, value)).or_else(by_likeness);
    }
    // A gRPC status is a number; the reason in its details says which error it is (google.rpc.ErrorInfo).
    let is_number = report.code.as_ref().is_some_and(|code| code.raw().bytes().all(|b| b.is_ascii_digit()));
    // Likewise the subcode beside it.
    let subcode = || code("subcode", named.get("subcode")?).filter(|code| !code.raw().bytes().all(|b| b.is_ascii_digit()));
    if is_number && let Some(specific) = reason_in_details(&named).or_else(subcode) {
        report.code = Some(specific);
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
        report.stack = named.first(STACK, |_, value| stack_text(value));
    }
    if report.cause.is_none() {
        report.cause = named.first(CAUSE, |_, value| value.as_str().filter(|text| !text.is_empty())).map(own);
    }
    visit_context(object, &named, wrapped, report, depth, search);
    if report.code.is_none() {
        // A constant alone where a sentence belongs is the code.
        let constant = |_: &str, value: &Value| code("title", value);
        report.code = named.first(FALLBACK_CODE, code).or_else(|| named.first(&["detail", "message", "msg"], constant));
    }
}

/// Returns the `reason` of a detail that has a `domain` or the type of an ErrorInfo.
fn reason_in_details(named: &NormalizedObject<'_>) -> Option<Untrusted> {
    let details = named.get("details")?.as_array()?;
    details.iter().filter_map(Value::as_object).map(NormalizedObject::new).find_map(|detail| {
        let is_info = detail.has("domain") || detail.text("type").is_some_and(|name| name.ends_with("ErrorInfo"));
        code("reason", detail.get("reason").filter(|_| is_info)?)
    })
}

/// Returns the field errors in an object, or the single one that the object itself is: a message beside the name of a field.
fn own_fields(named: &NormalizedObject<'_>, report: &Report) -> Vec<Field> {
    // JSend: the `data` of a failure are its field errors.
    let failed = named.text("status").is_some_and(|status| status.eq_ignore_ascii_case("fail"));
    let jsend = named.get("data").filter(|data| failed && data.is_object());
    let found = |name: &'static str, value| Some(field_errors_in(name, value)).filter(|found| !found.is_empty());
    let listed = named.all_of(&FIELD_LISTS).find_map(|(name, value)| {
        let errors = found(name, value)?;
        // Sentences name their fields less well than the objects from which they were made.
        let is_sentences = value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        let objects = || named.first(&["inner", "issues", "details"], found).filter(|objects| objects.len() >= errors.len());
        Some(if is_sentences { objects().unwrap_or(errors) } else { errors })
    });
    let single = || {
        let path = ["field", "param", "attr", "fieldname", "parameter", "propertypath"].iter().find_map(|name| named.text(name))?;
        let is_valid = !path.is_empty()
            && path.len() <= 64
            && path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'[' | b']'));
        let message = report.message.as_ref().filter(|_| is_valid)?;
        Some(vec![(path.to_owned(), vec![Item { message: message.clone(), code: report.code.clone() }])])
    };
    listed.or_else(|| Some(fields::field_errors(jsend?, fields::MessageFilter::SentencesOnly))).or_else(single).unwrap_or_default()
}

/// Searches other wrappers and details for the missing parts, and then the only object in this one.
fn visit_context(
    object: &Map<String, Value>,
    named: &NormalizedObject<'_>,
    wrapped: Option<&Value>,
    report: &mut Report,
    depth: usize,
    search: &mut Search<'_>,
) {
    let is_visited = |value: &Value| wrapped.is_some_and(|wrapped| std::ptr::eq(wrapped, value));
    for (_, inner) in named.all_of(&WRAPPERS).chain(named.all_of(&CONTEXTS)).filter(|(_, value)| !is_visited(value)) {
        match inner {
            Value::Object(_) if report.fields.is_empty() => visit(inner, report, depth + 1, search),
            Value::Array(_) if report.message.is_none() && report.fields.is_empty() => visit(inner, report, depth + 1, search),
            _ => {}
        }
    }
    if report.message.is_none() && report.fields.is_empty() {
        let mut inner = object.values().filter(|value| value.is_object());
        if let (Some(only), None) = (inner.next().filter(|value| !is_visited(value)), inner.next()) {
            visit(only, report, depth + 1, search);
        }
    }
}

/// Substitutes `%1` and `%name` in a message with the parameters beside it, within bounds. Substituted values are not expanded again.
fn with_parameters(message: Untrusted, named: &NormalizedObject<'_>) -> Untrusted {
    let Some(parameters) = named.get("parameters").filter(|_| message.raw().contains('%')) else { return message };
    let mut out = String::new();
    let mut rest = message.raw();
    while let Some(at) = rest.find('%').filter(|_| out.len() < MAX_SUBSTITUTED) {
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

/// Returns a stack trace as one text.
fn stack_text(value: &Value) -> Option<Untrusted> {
    match value {
        Value::String(text) => Some(Untrusted::new(text.as_str())),
        Value::Array(list) if !list.is_empty() => {
            let line = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            Some(Untrusted::new(list.iter().map(line).collect::<Vec<_>>().join("\n")))
        }
        _ => None,
    }
}

/// Returns the field errors in a member with one of these names. Some names have field errors only as a list, and some have values as often
/// as messages.
fn field_errors_in(name: &str, value: &Value) -> Vec<Field> {
    match name {
        "data" | "error" | "result" | "issue" if !value.is_array() && !fields::is_map_of_errors(value) => Vec::new(),
        // The word for an error in a language in which singular and plural are the same.
        name if name != "errors" && WRAPPER.contains(&name) && !value.is_array() && !fields::is_map_of_errors(value) => Vec::new(),
        "properties" => Vec::new(),
        _ if translations::is_translated(value) => Vec::new(),
        "detail" | "details" | "data" | "extra" if fields::is_error(value) => Vec::new(),
        "nested" if !fields::is_map_of_errors(value) => Vec::new(),
        "fields" | "params" | "parameters" | "detail" | "details" | "data" | "extra" | "message" => {
            fields::field_errors(value, fields::MessageFilter::SentencesOnly)
        }
        _ => fields::field_errors(value, fields::MessageFilter::Any),
    }
}

/// Returns the message in a member with a name of messages. Under some names, a single word is not a message.
fn message(name: &str, value: &Value, languages: Languages<'_>) -> Option<Untrusted> {
    let ambiguous = matches!(
        name,
        "status" | "content" | "info" | "err" | "fault" | "failure" | "general" | "all" | "errors" | "schema" | "base" | "root"
    );
    match value {
        Value::String(text) if ambiguous && !text.trim().contains(' ') && text.is_ascii() => None,
        // Sentences about the whole request, even if one starts like a field error.
        Value::Array(list) if GENERAL.contains(&name) => {
            let parts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            (!parts.is_empty() && parts.len() == list.len()).then(|| Untrusted::new(parts.join("; ")))
        }
        Value::Array(_) if ambiguous && name != "errors" => None,
        Value::Object(_) | Value::Array(_) if translations::is_translated(value) => translations::best(value, languages).and_then(sentence),
        // OData 2 and 3: `{"lang": "en", "value": "..."}`.
        Value::Object(inner) => inner.get("value").or_else(|| inner.get("text")).and_then(Value::as_str).and_then(sentence),
        _ => sentence_of(value),
    }
}

/// Returns the sentence in a string, or the joined strings of a list.
fn sentence_of(value: &Value) -> Option<Untrusted> {
    match value {
        Value::String(text) => sentence(text),
        Value::Array(list) => {
            let parts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            // Sentences about fields become field errors.
            let plain =
                !parts.is_empty() && parts.len() == list.len() && fields::field_errors(value, fields::MessageFilter::Any).is_empty();
            plain.then(|| Untrusted::new(parts.join("; ")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Summary = (Option<String>, Option<String>, Vec<(String, Vec<String>)>);

    fn summary(text: &str) -> Summary {
        let report = read(text, Languages::default()).unwrap();
        let own = |t: Option<Untrusted>| t.map(|t| t.raw().to_owned());
        let fields = report.fields.into_iter().map(|(p, m)| (p, m.iter().map(|item| item.message.raw().to_owned()).collect())).collect();
        (own(report.message), own(report.code), fields)
    }

    #[test]
    fn flat_and_wrapped_errors_are_equivalent() {
        let flat = summary(r#"{"statusCode":409,"message":"Order is locked","code":"ORDER_LOCKED","error":"Conflict"}"#);
        let wrapped = summary(r#"{"error":{"message":"Order is locked","code":"ORDER_LOCKED"}}"#);
        assert_eq!(flat, (Some("Order is locked".into()), Some("ORDER_LOCKED".into()), vec![]));
        assert_eq!(flat, wrapped);
    }

    #[test]
    fn oauth_keeps_its_code_and_description() {
        let read = summary(r#"{"error":"invalid_grant","error_description":"The code has expired"}"#);
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
            assert_eq!(summary(text).2, want, "{text}");
        }
    }

    #[test]
    fn sentences_about_fields_become_field_errors() {
        let read = summary(
            r#"{"message":["email must be an email","property zzz should not exist","lines.0.qty must not be less than 1"],"error":"Bad Request"}"#,
        );
        let paths: Vec<_> = read.2.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!((read.0, paths), (None, vec!["email", "zzz", "lines.0.qty"]));
        assert_eq!(
            summary(r#"{"message":["The shop is closed","Come back tomorrow"]}"#).0.as_deref(),
            Some("The shop is closed; Come back tomorrow")
        );
    }

    #[test]
    fn graphql_errors_are_no_field_errors() {
        let read =
            summary(r#"{"errors":[{"message":"Order not found","path":["order"],"extensions":{"code":"ORDER_NOT_FOUND"}}],"data":null}"#);
        assert_eq!(read, (Some("Order not found".into()), Some("ORDER_NOT_FOUND".into()), vec![]));
    }

    #[test]
    fn names_in_other_languages_are_recognized() {
        assert_eq!(summary(r#"{"erreur":"Le stock est vide","n":1}"#).0.as_deref(), Some("Le stock est vide"));
    }

    #[test]
    fn substituted_parameters_are_bounded_and_not_expanded_again() {
        let body =
            serde_json::json!({ "message": format!("{}x y", "%1 ".repeat(2_000)), "parameters": ["%2".repeat(200), "%1".repeat(200)] });
        let message = summary(&body.to_string()).0.unwrap();
        assert!(message.len() < 12_000 && message.contains("%2"), "{}", message.len());
    }

    #[test]
    fn visits_of_nested_wrappers_are_bounded() {
        let many: String = (0..2_000).map(|n| format!("\"k{n}\":0,")).collect();
        let body = format!("{}{{{many}\"z\":1}}{}", "{\"errors\":".repeat(7), "}".repeat(7));
        assert_eq!(summary(&body), (None, None, vec![]));
    }

    #[test]
    fn a_status_phrase_is_no_message() {
        assert_eq!(summary(r#"{"status":404,"error":"Not Found","path":"/x"}"#).0, None);
    }
}
