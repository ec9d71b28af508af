//! JSON-RPC 2.0 section 5.1: the code is a number beside the message, whatever `data` holds.

use serde_json::{Map, Value};

use super::text;
use crate::report::Report;
use crate::text::Untrusted;

pub(super) fn read(object: &Map<String, Value>) -> Option<Report> {
    let error = object.get("error")?.as_object()?;
    let code = error.get("code")?.as_i64()?;
    // The reserved range tells where the version was left out.
    if !object.contains_key("jsonrpc") && !(-32_768..=-32_000).contains(&code) {
        return None;
    }
    // Some calls name the code beside the number.
    if let Some(named) = error.get("data").and_then(Value::as_object).and_then(|data| text(data, "code")) {
        return Some(Report {
            message: text(error, "message").map(Untrusted::new),
            code: Some(Untrusted::new(named)),
            ..Report::default()
        });
    }
    Some(Report { message: text(error, "message").map(Untrusted::new), code: Some(Untrusted::new(code.to_string())), ..Report::default() })
}
