//! Errors that hide in a 2xx body: does this body report one, and with which status should it be told?
//!
//! Asked only on routes that opt in (`errors_in_success`).

use serde_json::{Map, Value};

use super::{Kind, kind_of};
use crate::policy::SuccessPreset;

/// The status of the error that a success body reports, by the presets in force; `None` when it reports none.
pub fn status(text: &str, presets: &[SuccessPreset]) -> Option<u16> {
    match kind_of(text) {
        Kind::Json => {
            let value: Value = serde_json::from_str(text.trim()).ok()?;
            let object = value.as_object()?;
            presets.iter().find_map(|preset| json(object, *preset))
        }
        Kind::Xml if presets.contains(&SuccessPreset::Soap) => soap(text),
        _ => None,
    }
}

fn json(object: &Map<String, Value>, preset: SuccessPreset) -> Option<u16> {
    match preset {
        SuccessPreset::Graphql => graphql(object),
        SuccessPreset::Jsonrpc => jsonrpc(object),
        SuccessPreset::SuccessFlag => success_flag(object),
        SuccessPreset::Soap => None,
    }
}

/// A response with `errors` (<https://spec.graphql.org/October2021/#sec-Errors>), also a partial one: the route asked for it.
fn graphql(object: &Map<String, Value>) -> Option<u16> {
    let first = object.get("errors")?.as_array()?.first()?.as_object()?;
    let code = first.get("extensions").and_then(|e| e.get("code")).and_then(Value::as_str);
    Some(code.map_or(if first.contains_key("path") { 502 } else { 400 }, of_word))
}

/// JSON-RPC 2.0 section 5.1: the reserved codes of a caller's fault are -32700, -32600, -32601, -32602.
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

/// `success: false`, `ok: false`, `status: "error" | "fail"`, `error: true`.
fn success_flag(object: &Map<String, Value>) -> Option<u16> {
    let is = |name: &str, wanted: &Value| object.get(name).is_some_and(|value| value == wanted);
    let word = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_ascii_lowercase);
    // A resource that has a state of its own is no failed call.
    let resource = object.contains_key("id") && !object.contains_key("error") && !object.contains_key("code");
    let failed = ["success", "ok", "succeeded", "isSuccess", "Success"].iter().any(|name| is(name, &Value::Bool(false)))
        || ["error", "isError", "hasError"].iter().any(|name| is(name, &Value::Bool(true)))
        || !resource && word("status").is_some_and(|w| matches!(w.as_str(), "error" | "fail" | "failed" | "failure"))
        || !resource && word("result").is_some_and(|w| matches!(w.as_str(), "error" | "fail" | "failed" | "failure"))
        || has_result_code(object);
    let told = |name: &str| object.get(name).and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok()).filter(|n| (400..600).contains(n));
    let code = ["code", "errorCode", "error_code"].iter().find_map(|name| object.get(*name).and_then(Value::as_str));
    failed.then(|| ["status", "statusCode", "code"].iter().find_map(|name| told(name)).or(code.map(of_word)).unwrap_or(502))
}

/// `{"code": 10023, "msg": "...", "data": null}`: a result code that is none of success, beside a sentence and without data.
fn has_result_code(object: &Map<String, Value>) -> bool {
    let code =
        ["resultCode", "result_code", "errcode", "errCode", "errno", "retcode", "ret", "code"].iter().find_map(|name| object.get(*name));
    let failed = match code {
        Some(Value::Number(number)) => !matches!(number.as_i64(), Some(0 | 1 | 200..=299)),
        Some(Value::String(text)) => {
            !matches!(text.to_ascii_uppercase().as_str(), "" | "0" | "00" | "000" | "0000" | "1" | "200" | "OK" | "SUCCESS" | "SUCCEEDED")
        }
        _ => false,
    };
    let told = ["msg", "message", "resultMsg", "result_msg", "errmsg", "errMsg", "retMsg"]
        .iter()
        .any(|name| object.get(*name).is_some_and(|text| text.as_str().is_some_and(|text| !text.is_empty())));
    let empty = ["data", "result", "payload"].iter().find_map(|name| object.get(*name)).is_none_or(|data| match data {
        Value::Null => true,
        Value::Object(inner) => inner.is_empty(),
        Value::Array(inner) => inner.is_empty(),
        _ => false,
    });
    failed && told && empty
}

/// SOAP 1.1 4.4.1 and 1.2 5.4.6: a Client or Sender fault is the caller's.
fn soap(text: &str) -> Option<u16> {
    let fault = text.find(":Fault>").or_else(|| text.find("<Fault>")).or_else(|| text.find(":Fault "))?;
    let rest: String = text[fault..].chars().take(600).collect();
    let senders = ["Client<", "Client.", "Sender<", "Sender."];
    Some(if senders.iter().any(|word| rest.contains(word)) { 400 } else { 502 })
}

/// The status that a code's words speak of; 502 when they speak of none.
fn of_word(code: &str) -> u16 {
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

    const ALL: &[SuccessPreset] = &[SuccessPreset::Graphql, SuccessPreset::Soap, SuccessPreset::Jsonrpc, SuccessPreset::SuccessFlag];

    #[test]
    fn hidden_errors_are_found() {
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
