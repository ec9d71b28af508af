//! Kubernetes `Status`: `reason` is the code, and `details.causes` name fields. Knows no other format.

use serde_json::{Map, Value};

use super::member::{get, text};
use crate::report::found::{Item, Report};
use crate::report::json::texts::code;
use crate::text::Untrusted;

pub(super) fn read(object: &Map<String, Value>) -> Option<Report> {
    if text(object, "kind") != Some("Status") || !object.contains_key("apiVersion") {
        return None;
    }
    let causes = get(object, "details").and_then(|details| details.get("causes")).and_then(Value::as_array);
    let fields = causes.into_iter().flatten().filter_map(Value::as_object).filter_map(|cause| {
        let code = cause.get("reason").and_then(|value| code("reason", value));
        Some((text(cause, "field")?.to_owned(), vec![Item { message: Untrusted::new(text(cause, "message")?), code }]))
    });
    Some(Report {
        message: text(object, "message").map(Untrusted::new),
        code: text(object, "reason").map(Untrusted::new),
        fields: fields.collect(),
        ..Report::default()
    })
}
