//! JSON:API (<https://jsonapi.org/format/1.1/#error-objects>): `detail` takes precedence over `title`, and `source` may name a field. Knows
//! no other format.

use serde_json::{Map, Value};

use super::member::{get, text};
use crate::report::found::Report;
use crate::text::Untrusted;

pub(super) fn read(object: &Map<String, Value>) -> Option<Report> {
    let errors = get(object, "errors")?.as_array()?;
    let first = errors.first()?.as_object()?;
    let about_field = |error: &Map<String, Value>| {
        error.get("source").and_then(Value::as_object).is_some_and(|s| s.contains_key("pointer") || s.contains_key("parameter"))
    };
    let is_shape =
        (first.contains_key("detail") || first.contains_key("title")) && (first.contains_key("status") || first.contains_key("source"));
    // The search by names parses errors of fields.
    if !is_shape || errors.iter().filter_map(Value::as_object).any(about_field) {
        return None;
    }
    Some(Report {
        message: text(first, "detail").or_else(|| text(first, "title")).map(Untrusted::new),
        code: text(first, "code").map(Untrusted::new),
        ..Report::default()
    })
}
