//! Detects errors in 2xx bodies, and the status that the client should receive.
//!
//! Used only on routes that opt in (`errors_in_success`). Knows the rules of a route, and nothing of how an error is rendered.

use serde_json::{Map, Value};

use super::found::Report;
use super::names::{self, NormalizedObject};
use super::reader::{self, Kind, kind_of};
use crate::language::Languages;
use crate::policy::{PointerRule, SuccessPreset, SuccessRule, Trigger};
use crate::text::Untrusted;

/// The error that a success body reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorInSuccess {
    /// The status that the client should receive.
    pub status: u16,
    /// The parts of the error.
    pub report: Report,
}

/// Returns the error that a success body reports by these rules, or `None` if it reports none.
pub fn read(text: &str, rules: &[SuccessRule], languages: Languages<'_>) -> Option<ErrorInSuccess> {
    let presets = || rules.iter().filter_map(|rule| if let SuccessRule::Preset(preset) = rule { Some(*preset) } else { None });
    let by_shape = |status| ErrorInSuccess { status, report: reader::read_in(text, languages) };
    match kind_of(text) {
        Kind::Json => {
            let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}').trim()).ok()?;
            let by_pointer = rules.iter().find_map(|rule| {
                if let SuccessRule::Pointer(rule) = rule { matched_by_pointer(&value, rule, (text, languages)) } else { None }
            });
            // The first failed response of a batch decides.
            let responses: Vec<&Value> = value.as_array().map_or_else(|| vec![&value], |list| list.iter().take(MAX_BATCH).collect());
            let first = responses.into_iter().find_map(|response| {
                let status = presets()
                    .filter(|preset| value.is_object() || is_batched(*preset))
                    .find_map(|preset| json(response.as_object()?, preset))?;
                Some(if value.is_object() {
                    by_shape(status)
                } else {
                    ErrorInSuccess { status, report: reader::read_in(&response.to_string(), languages) }
                })
            });
            by_pointer.or(first)
        }
        Kind::Xml if presets().any(|preset| preset == SuccessPreset::Soap) => soap(text).map(by_shape),
        _ => None,
    }
}

/// The maximum number of responses of one batch that are inspected.
const MAX_BATCH: usize = 100;

/// Returns true if the protocol has batches.
const fn is_batched(preset: SuccessPreset) -> bool {
    matches!(preset, SuccessPreset::Graphql | SuccessPreset::Jsonrpc)
}

/// Applies an operator's rule.
fn matched_by_pointer(value: &Value, rule: &PointerRule, (text, languages): (&str, Languages<'_>)) -> Option<ErrorInSuccess> {
    let is_error = |word: &String| match &rule.trigger {
        Trigger::Is(words) => words.contains(word),
        Trigger::Not(words) => !words.contains(word),
        Trigger::Exists => !matches!(word.as_str(), "" | "null" | "false" | "0" | "[]" | "{}"),
    };
    let mut choices = Vec::new();
    let segments: Vec<&str> = rule.pointer.split('/').skip(1).collect();
    let mut left = MAX_VALUES;
    let word = find_at(value, &segments, &mut choices, &mut left, &|value| Some(as_text(value)).filter(is_error))?;
    let at = |pointer: &Option<String>| {
        let pointer = pointer.as_deref().map(|pointer| with_choices(pointer, &choices));
        let found = pointer.and_then(|pointer| value.pointer(&pointer)).map(as_text);
        found.filter(|text| !text.is_empty() && text != "null")
    };
    let code = at(&rule.code);
    let status_of = |word: &str| rule.status.iter().find(|(known, _)| known == word).map(|(_, status)| *status);
    let status = code.as_deref().and_then(status_of).or_else(|| status_of(&word)).or_else(|| status_of("*")).unwrap_or(502);
    let mut report = reader::read_in(text, languages);
    if rule.code.is_some() {
        report.code = code.map(Untrusted::new);
    }
    if rule.message.is_some() {
        report.message = at(&rule.message).map(Untrusted::new);
    }
    Some(ErrorInSuccess { status, report })
}

/// The maximum number of values that a pointer with wildcards visits.
const MAX_VALUES: usize = 1_000;

/// Finds the first value at a pointer that `accept` accepts. A `*` matches any member or item; `choices` receives the matched names,
/// escaped as in a pointer (RFC 6901 3).
fn find_at<T>(
    value: &Value,
    segments: &[&str],
    choices: &mut Vec<String>,
    left: &mut usize,
    accept: &impl Fn(&Value) -> Option<T>,
) -> Option<T> {
    *left = left.checked_sub(1)?;
    let Some((segment, rest)) = segments.split_first() else { return accept(value) };
    if *segment != "*" {
        return find_at(value.pointer(&format!("/{segment}"))?, rest, choices, left, accept);
    }
    let (items, members) = (value.as_array(), value.as_object());
    let items = items.into_iter().flatten().enumerate().map(|(at, item)| (at.to_string(), item));
    let members = members.into_iter().flatten().map(|(name, member)| (name.replace('~', "~0").replace('/', "~1"), member));
    for (choice, inner) in items.chain(members) {
        choices.push(choice);
        if let Some(found) = find_at(inner, rest, choices, left, accept) {
            return Some(found);
        }
        choices.pop();
    }
    None
}

/// Replaces the wildcards of a pointer with the matched names, because the code and the message are beside the value that matched.
fn with_choices(pointer: &str, choices: &[String]) -> String {
    let mut choices = choices.iter();
    let segments = pointer.split('/').map(|segment| if segment == "*" { choices.next().map_or("*", String::as_str) } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// Returns a value as an operator would write it.
fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn json(object: &Map<String, Value>, preset: SuccessPreset) -> Option<u16> {
    match preset {
        SuccessPreset::Graphql => graphql(object),
        SuccessPreset::Jsonrpc => jsonrpc(object),
        SuccessPreset::SuccessFlag => success_flag(object),
        SuccessPreset::Soap => None,
    }
}

/// Returns the status for a response with `errors` (<https://spec.graphql.org/October2021/#sec-Errors>). A partial response counts too,
/// because the route opted in.
fn graphql(object: &Map<String, Value>) -> Option<u16> {
    let first = object.get("errors")?.as_array()?.first()?.as_object()?;
    let code = first.get("extensions").and_then(|e| e.get("code")).and_then(Value::as_str);
    Some(code.map_or(if first.contains_key("path") { 502 } else { 400 }, status_for_code))
}

/// Returns the status for a JSON-RPC error. The reserved codes for errors of the caller are -32700, -32600, -32601 and -32602 (JSON-RPC 2.0
/// section 5.1).
fn jsonrpc(object: &Map<String, Value>) -> Option<u16> {
    let code = object.get("error")?.as_object()?.get("code")?.as_i64()?;
    if !object.contains_key("jsonrpc") && !(-32_768..=-32_000).contains(&code) {
        return None;
    }
    Some(match code {
        -32700 | -32600 | -32602 => 400,
        -32601 => 404,
        _ => 502,
    })
}

/// Returns the status for a failed call: `success: false`, `ok: false`, `status: "error" | "fail"`, `error: true`.
fn success_flag(object: &Map<String, Value>) -> Option<u16> {
    let is = |name: &str, wanted: &Value| object.get(name).is_some_and(|value| value == wanted);
    let word = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_ascii_lowercase);
    // A resource with a `status` of its own is not a failed call.
    let resource = object.contains_key("id") && !object.contains_key("error") && !object.contains_key("code");
    let no = |name: &str| is(name, &Value::Bool(false)) || word(name).is_some_and(|w| w == "false");
    let failed =
        ["success", "ok", "succeeded", "isSuccess", "Success", "exito", "éxito", "sucesso", "succes", "erfolg"].iter().any(|name| no(name))
            || ["error", "isError", "hasError"].iter().any(|name| is(name, &Value::Bool(true)))
            || !resource && word("status").is_some_and(|w| matches!(w.as_str(), "error" | "fail" | "failed" | "failure"))
            || !resource && word("result").is_some_and(|w| matches!(w.as_str(), "error" | "fail" | "failed" | "failure"))
            || has_result_code(object);
    let http_status =
        |name: &str| object.get(name).and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok()).filter(|n| (400..600).contains(n));
    let code = ["code", "errorCode", "error_code"].iter().find_map(|name| object.get(*name).and_then(Value::as_str));
    failed.then(|| ["status", "statusCode", "code"].iter().find_map(|name| http_status(name)).or(code.map(status_for_code)).unwrap_or(502))
}

/// Returns true for a result code that is not one of success, beside a message and without data: `{"code": 10023, "msg": "...", "data":
/// null}`.
fn has_result_code(object: &Map<String, Value>) -> bool {
    let named = NormalizedObject::new(object);
    let code = named
        .iter()
        .find(|(name, _)| names::is_code(name) || matches!(*name, "errno" | "ret" | "rtcd" | "rspcd" | "msgcd"))
        .map(|(_, code)| code);
    let failed = match code {
        Some(Value::Number(number)) => !matches!(number.as_i64(), Some(0 | 1 | 200..=299)),
        Some(Value::String(text)) => {
            let word = text.to_ascii_uppercase();
            !word.bytes().all(|b| b == b'0')
                && !matches!(word.as_str(), "" | "200" | "OK" | "SUCCESS" | "SUCCEEDED" | "SUCCESSFUL")
                && (named.has("rtcd") || word != "1")
        }
        _ => false,
    };
    let has_message = named.iter().any(|(name, text)| {
        (names::is_message(name) || matches!(name, "msg1" | "reason")) && text.as_str().is_some_and(|text| !text.is_empty())
    });
    let empty = ["data", "result", "payload"].iter().find_map(|name| object.get(*name)).is_none_or(|data| match data {
        Value::Null => true,
        Value::Object(inner) => inner.is_empty(),
        Value::Array(inner) => inner.is_empty(),
        _ => false,
    });
    failed && has_message && empty
}

/// Returns the status for a SOAP fault: a Client or Sender fault is an error of the caller (SOAP 1.1 4.4.1 and 1.2 5.4.6).
fn soap(text: &str) -> Option<u16> {
    let fault = text.find(":Fault>").or_else(|| text.find("<Fault>")).or_else(|| text.find(":Fault "))?;
    let rest: String = text[fault..].chars().take(600).collect();
    let senders = ["Client<", "Client.", "Sender<", "Sender."];
    Some(if senders.iter().any(|word| rest.contains(word)) { 400 } else { 502 })
}

/// Returns the status that the words of a code suggest, or 502.
fn status_for_code(code: &str) -> u16 {
    let code = code.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| code.contains(word));
    if has(&["UNAUTHENTICATED", "UNAUTHORIZED", "NOT_LOGGED"]) {
        401
    } else if has(&["FORBIDDEN", "PERMISSION", "ACCESS_DENIED"]) {
        403
    } else if has(&["NOT_FOUND", "NOTFOUND"]) {
        404
    } else if has(&["CONFLICT", "DUPLICATE", "ALREADY"]) {
        409
    } else if has(&["BAD_", "INVALID", "VALIDATION", "PARSE_FAILED", "USER_INPUT"]) {
        400
    } else {
        502
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str, rules: &[SuccessRule]) -> Option<u16> {
        read(text, rules, Languages::default()).map(|found| found.status)
    }

    const ALL: &[SuccessRule] = &[
        SuccessRule::Preset(SuccessPreset::Graphql),
        SuccessRule::Preset(SuccessPreset::Soap),
        SuccessRule::Preset(SuccessPreset::Jsonrpc),
        SuccessRule::Preset(SuccessPreset::SuccessFlag),
    ];

    #[test]
    fn pointers_select_status_code_and_message() {
        let rule = SuccessRule::Pointer(PointerRule {
            pointer: "/header/resultCode".into(),
            trigger: Trigger::Not(vec!["OK".into(), "0".into()]),
            code: Some("/header/resultCode".into()),
            message: Some("/header/resultMsg".into()),
            status: vec![("E404".into(), 404), ("*".into(), 409)],
        });
        let found = read(
            r#"{"header":{"resultCode":"E404","resultMsg":"There is no such order."}}"#,
            std::slice::from_ref(&rule),
            Languages::default(),
        )
        .unwrap();
        assert_eq!(
            (found.status, found.report.code, found.report.message),
            (404, Some(Untrusted::new("E404")), Some(Untrusted::new("There is no such order.")))
        );
        assert_eq!(status(r#"{"header":{"resultCode":7}}"#, std::slice::from_ref(&rule)), Some(409));
        for text in [r#"{"header":{"resultCode":"OK"}}"#, r#"{"header":{"resultCode":0}}"#, "{}", "[]"] {
            assert_eq!(status(text, std::slice::from_ref(&rule)), None, "{text}");
        }
    }

    #[test]
    fn wildcards_find_the_item_that_failed() {
        let rule = SuccessRule::Pointer(PointerRule {
            pointer: "/responses/*/error".into(),
            trigger: Trigger::Exists,
            code: Some("/responses/*/error/code".into()),
            message: Some("/responses/*/error/text".into()),
            status: vec![("E7".into(), 409)],
        });
        let text =
            r#"{"responses":[{"ok":1},{"error":null},{"error":{"code":"E7","text":"The order is closed."}},{"error":{"code":"E8"}}]}"#;
        let found = read(text, std::slice::from_ref(&rule), Languages::default()).unwrap();
        assert_eq!(
            (found.status, found.report.code, found.report.message),
            (409, Some(Untrusted::new("E7")), Some(Untrusted::new("The order is closed.")))
        );
        let named = r#"{"responses":{"a/b~c":{"error":{"code":"E7","text":"By name."}}}}"#;
        assert_eq!(
            read(named, std::slice::from_ref(&rule), Languages::default()).unwrap().report.message,
            Some(Untrusted::new("By name."))
        );
        for text in [r#"{"responses":[{"ok":1}]}"#, r#"{"responses":7}"#, "{}"] {
            assert_eq!(status(text, std::slice::from_ref(&rule)), None, "{text}");
        }
    }

    #[test]
    fn errors_in_success_are_found() {
        assert_eq!(status(r#"{"errors":[{"message":"m","extensions":{"code":"UNAUTHENTICATED"}}],"data":null}"#, ALL), Some(401));
        assert_eq!(status(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"m"}}"#, ALL), Some(404));
        assert_eq!(status(r#"{"success":false,"message":"m"}"#, ALL), Some(502));
        assert_eq!(status(r#"{"code":10023,"msg":"Coupon already used","data":null}"#, ALL), Some(502));
        assert_eq!(status(r#"{"code":0,"msg":"ok","data":null}"#, ALL), None);
        assert_eq!(status(r#"{"code":7,"msg":"a product","data":{"n":1}}"#, ALL), None);
        assert_eq!(status("<s:Envelope><s:Body><s:Fault><faultcode>s:Client</faultcode></s:Fault></s:Body></s:Envelope>", ALL), Some(400));
    }

    #[test]
    fn successes_stay_successes() {
        for text in [r#"{"success":true}"#, r#"{"jsonrpc":"2.0","id":1,"result":1}"#, "<a/>", "ok", "[]"] {
            assert_eq!(status(text, ALL), None, "{text}");
        }
    }
}
