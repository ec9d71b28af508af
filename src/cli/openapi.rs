//! `lockgate openapi`: prints the errors as OpenAPI 3.1 components, for reference from the documents of the services behind the gateway,
//! or the document of the admin listener.
//!
//! The components are generated from the catalog and the renderer that the gateway uses.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::output;
use crate::context::RequestId;
use crate::envelope::{Envelope, Item};
use crate::failure::Kind;
use crate::failure::catalog::{CLIENT_STATUSES, Row, VALIDATION_ERROR, code_of_status};
use crate::message::Messages;
use crate::policy::{Details, Format};
use crate::render::negotiate::Shape;
use crate::render::{Looks, render};
use crate::text::Text;

pub(super) fn print(admin: bool) -> ExitCode {
    if admin {
        output::print(crate::admin::openapi::DOCUMENT.trim_end());
        return ExitCode::SUCCESS;
    }
    match serde_json::to_string_pretty(&document()) {
        Ok(text) => {
            output::print(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::print_error(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Errors of Lockgate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Components for the error responses of any operation behind the gateway. Reference them like this: \"502\": { \"$ref\": \"#/components/responses/UpstreamError\" }.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": {},
        "components": { "schemas": schemas(), "headers": headers(), "responses": responses() },
    })
}

fn codes() -> Vec<&'static str> {
    let mut codes: Vec<&str> =
        Kind::ALL.iter().filter(|kind| **kind != Kind::ClientClosed).map(|kind| kind.row().code).filter(|code| !code.is_empty()).collect();
    codes.extend(CLIENT_STATUSES.iter().map(|status| code_of_status(*status)));
    codes.push(VALIDATION_ERROR);
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn schemas() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let status = json!({ "type": "integer", "minimum": 400, "maximum": 599 });
    let id = text("The id of the request, as in X-Request-Id. Include it in a problem report to the operator.");
    let fields = json!({
        "type": "object",
        "description": "The error messages of each field, by the path of the field (address.zip, items[0].qty).",
        "additionalProperties": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
    });
    let policy = json!({
        "type": "object",
        "required": ["name", "limit", "windowSeconds"],
        "properties": { "name": { "type": "string" }, "limit": { "type": "integer" }, "windowSeconds": { "type": "integer" } },
    });
    let wait = json!({ "type": "integer", "minimum": 1, "description": "The number of seconds, as in Retry-After." });
    json!({
        "ErrorCode": {
            "description": "A stable code that is never translated: one of these, or a code of the backend.",
            "anyOf": [{ "type": "string", "enum": codes() }, { "type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,64}$" }],
        },
        "ErrorDetails": {
            "type": "object",
            "properties": {
                "fields": fields,
                "errors": errors(),
                "retryAfterSeconds": wait,
                "violatedPolicies": { "type": "array", "items": policy.clone() },
                "upstream": upstream(),
            },
        },
        "Envelope": {
            "type": "object",
            "required": ["error", "statusCode", "timestamp", "requestId", "method", "path"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": {
                        "code": { "$ref": "#/components/schemas/ErrorCode" },
                        "message": { "type": "string", "minLength": 1, "description": "A message for people, in the language of Content-Language if that header is present." },
                        "details": { "$ref": "#/components/schemas/ErrorDetails" },
                    },
                },
                "statusCode": status.clone(),
                "timestamp": { "type": "string", "format": "date-time" },
                "requestId": id.clone(),
                "method": { "type": "string" },
                "path": text("The path of the request, without the query."),
            },
        },
        "Problem": problem(status, id, policy),
    })
}

/// Returns the schema of `details.errors`.
fn errors() -> Value {
    json!({
        "type": "array",
        "description": "The errors that belong to no field and say more than the message. With `errors.details = \"list\"`: all errors, and `fields` is absent.",
        "items": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "field": { "type": "string", "description": "The path of the field (address.zip, items[0].qty)." },
                "message": { "type": "string", "minLength": 1 },
                "code": { "type": "string", "description": "The backend's machine code of this error." },
            },
        },
    })
}

/// Returns the schema of the members that `keep_fields` keeps.
fn upstream() -> Value {
    json!({ "type": "object", "description": "Further members of the backend's own error, where the route keeps them (`keep_fields`). Only in 4xx." })
}

/// Returns the schema of RFC 9457 problem details with the extension members of Lockgate.
fn problem(status: Value, id: Value, policy: Value) -> Value {
    json!({
        "type": "object",
        "description": "Problem details (RFC 9457) with extension members.",
        "required": ["type", "title", "status", "detail", "code", "requestId"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference" },
            "title": { "type": "string" },
            "status": status,
            "detail": { "type": "string", "minLength": 1 },
            "instance": { "type": "string", "format": "uri-reference" },
            "code": { "$ref": "#/components/schemas/ErrorCode" },
            "requestId": id,
            "errors": {
                "type": "array",
                "items": { "type": "object", "required": ["detail"], "properties": { "detail": { "type": "string" }, "pointer": { "type": "string" }, "code": { "type": "string" } } },
            },
            "retryAfterSeconds": { "type": "integer", "minimum": 1 },
            "violatedPolicies": { "type": "array", "items": policy },
            "upstream": upstream(),
        },
    })
}

fn headers() -> Value {
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "X-Request-Id": { "description": "The id of the request, as in the body.", "required": true, "schema": { "type": "string" } },
        "Retry-After": { "description": "The number of seconds to wait before a retry. Always present on 429 and 503.", "schema": { "type": "integer", "minimum": 1 } },
        "Proxy-Status": text("The cause of the error (RFC 9209)."),
        "Content-Language": text("The language of the message, if the gateway wrote it."),
    })
}

/// Returns one response for each code and status of the catalog, such as `UpstreamError` for UPSTREAM_ERROR.
fn responses() -> Value {
    let mut rows: BTreeMap<(u16, &str), Vec<Row>> = BTreeMap::new();
    for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::ClientClosed) {
        let row = kind.row();
        if row.status != 0 {
            rows.entry((row.status, row.code)).or_default().push(row);
        }
    }
    for status in CLIENT_STATUSES.iter().filter(|status| **status != 499) {
        rows.entry((*status, code_of_status(*status))).or_default();
    }
    rows.entry((422, VALIDATION_ERROR)).or_default();
    let mut found = Map::new();
    for ((status, code), rows) in rows {
        let mut name = pascal(code);
        if found.contains_key(&name) {
            name = format!("{name}{status}");
        }
        found.insert(name, response(status, code, &rows));
    }
    Value::Object(found)
}

fn response(status: u16, code: &str, rows: &[Row]) -> Value {
    let causes: Vec<&str> = rows.iter().map(|row| row.cause).collect();
    let retry = rows.first().map(|row| format!(" Retry: {}.", row.retry.as_str())).unwrap_or_default();
    let description = match causes.as_slice() {
        [] => format!("{status} {code}: an error of the backend. If it has a code of its own, that code replaces {code}."),
        causes => format!("{status} {code}: {}.{retry}", causes.join("; ")),
    };
    let example = example(status, code);
    let shown = |format| {
        let rendered = render(&example, Shape::Json(format), &Looks::default());
        serde_json::from_slice::<Value>(&rendered.body).unwrap_or_default()
    };
    let reference = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    let mut headers = json!({ "X-Request-Id": reference("X-Request-Id"), "Proxy-Status": reference("Proxy-Status"), "Content-Language": reference("Content-Language") });
    if matches!(status, 429 | 503) {
        headers["Retry-After"] = reference("Retry-After");
    }
    json!({
        "description": description,
        "headers": headers,
        "content": {
            "application/json": { "schema": { "$ref": "#/components/schemas/Envelope" }, "example": shown(Format::Envelope) },
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" }, "example": shown(Format::Problem) },
        },
    })
}

/// Returns the example of a response, for the renderer. The time and the id are constants.
fn example(status: u16, code: &str) -> Envelope {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_339_800_123);
    let field = || Item { field: Some("email".into()), message: Text::own("must be an email"), code: Some("email".into()) };
    Envelope {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
        code: code.to_owned().into(),
        message: Messages::default().of_code(code, "en"),
        negotiated_language: "en".into(),
        is_translated: true,
        errors: (code == VALIDATION_ERROR).then(field).into_iter().collect(),
        details: Details::Map,
        retry_after: matches!(status, 429 | 503).then_some(5),
        violated: Vec::new(),
        problem_type: None,
        upstream: None,
        timestamp: now,
        request_id: RequestId::accept(b"01938c6e-6f7a-7c3e-9d0a-2b7f3a1c4d5e").unwrap_or_else(|| RequestId::generate(now)),
        method: Method::GET,
        path: "/orders/7".into(),
        grpc: 2,
        rpc_id: None,
        debug: None,
    }
}

/// Converts a code to Pascal case: `UPSTREAM_ERROR` to `UpstreamError`.
fn pascal(code: &str) -> String {
    let word = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_string() + &chars.as_str().to_ascii_lowercase()).unwrap_or_default()
    };
    code.split('_').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_response_and_every_reference_resolves() {
        let document = document();
        let responses = document["components"]["responses"].as_object().unwrap();
        for code in codes().into_iter().filter(|code| *code != "REQUEST_REFUSED") {
            assert!(responses.contains_key(&pascal(code)), "{code}");
        }
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
