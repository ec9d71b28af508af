//! JSON-RPC 2.0 section 5.1: the code is a number beside the message, for any `data`. Knows no other format.

use serde_json::{Map, Value};

use super::member::{get, text};
use crate::report::found::Report;
use crate::text::Untrusted;

/// The maximum length of an id that is returned, in bytes.
const MAX_ID: usize = 128;

pub(super) fn read(object: &Map<String, Value>) -> Option<Report> {
    let error = get(object, "error")?.as_object()?;
    let number = error.get("code")?.as_i64()?;
    // Without a version, the reserved range of codes identifies the format.
    if !object.contains_key("jsonrpc") && !(-32_768..=-32_000).contains(&number) {
        return None;
    }
    // Some services name the code in `data`.
    let named = error.get("data").and_then(Value::as_object).and_then(|data| text(data, "code")).map(str::to_owned);
    Some(Report {
        message: text(error, "message").map(Untrusted::new),
        code: Some(Untrusted::new(named.unwrap_or_else(|| number.to_string()))),
        rpc_id: get(object, "id").filter(|id| id.is_number() || id.as_str().is_some_and(|text| text.len() <= MAX_ID)).map(Value::to_string),
        ..Report::default()
    })
}
