//! OData and Azure (OData JSON 4.01 section 21): `error.code` and `error.message`; `target` names a field, and `innererror` is debug
//! output. Knows no other format.

use serde_json::{Map, Value};

use super::member::{get, text};
use crate::report::found::{Item, Report};
use crate::report::json::texts::code;
use crate::text::Untrusted;

pub(super) fn read(object: &Map<String, Value>) -> Option<Report> {
    let error = get(object, "error").or_else(|| get(object, "odata.error"))?.as_object()?;
    let inner = error.get("innererror").or_else(|| error.get("innerError")).and_then(Value::as_object);
    let details = error.get("details").and_then(Value::as_array);
    let detailed = details.is_some_and(|list| list.iter().filter_map(Value::as_object).any(|detail| detail.contains_key("target")));
    if inner.is_none() && !detailed {
        return None;
    }
    let fields = details.into_iter().flatten().filter_map(Value::as_object).filter_map(|detail| {
        let target = text(detail, "target").filter(|target| !target.is_empty())?;
        let code = detail.get("code").and_then(|value| code("code", value));
        Some((target.replace('/', "."), vec![Item { message: Untrusted::new(text(detail, "message")?), code }]))
    });
    Some(Report {
        code: text(error, "code").filter(|code| !code.is_empty() && code.parse::<u16>().is_err()).map(Untrusted::new),
        message: text(error, "message").map(Untrusted::new),
        fields: fields.collect(),
        stack: inner.and_then(|inner| text(inner, "stacktrace")).map(Untrusted::new),
        exception: inner.and_then(|inner| text(inner, "type")).map(Untrusted::new),
        ..Report::default()
    })
}
