//! Elasticsearch and OpenSearch: the `type` of the error or of its root cause is the code, and its `reason` is the message. Knows no other
//! format.

use serde_json::{Map, Value};

use super::member::{get, text};
use crate::report::found::Report;
use crate::text::Untrusted;

pub(super) fn read(object: &Map<String, Value>) -> Option<Report> {
    let error = get(object, "error")?.as_object()?;
    let cause = error.get("root_cause")?.as_array()?.first().and_then(Value::as_object);
    let of = |name: &str| text(error, name).or_else(|| cause.and_then(|cause| text(cause, name))).map(Untrusted::new);
    Some(Report { message: of("reason"), code: of("type"), stack: of("stack_trace"), ..Report::default() })
}
