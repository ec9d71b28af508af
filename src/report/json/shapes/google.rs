//! Google's API error model (<https://google.aip.dev/193>): `error.status` is the code, `details` are typed.

use serde_json::{Map, Value};

use super::text;
use crate::report::Report;
use crate::text::Untrusted;

pub(super) fn read(object: &Map<String, Value>) -> Option<Report> {
    let error = object.get("error")?.as_object()?;
    let details: Vec<&Map<String, Value>> =
        error.get("details").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object).collect();
    let typed = details.iter().any(|detail| detail.contains_key("@type"));
    let status = text(error, "status").filter(|status| status.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
    if !typed && status.is_none() {
        return None;
    }
    let localized = details
        .iter()
        .find(|detail| text(detail, "@type").is_some_and(|name| name.ends_with("LocalizedMessage")))
        .and_then(|detail| text(detail, "message"));
    Some(Report {
        message: localized.or_else(|| text(error, "message")).map(Untrusted::new),
        code: status.map(Untrusted::new),
        ..Report::default()
    })
}
