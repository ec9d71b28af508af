//! FHIR OperationOutcome (<https://hl7.org/fhir/R4/operationoutcome.html>): issues with a code and a text. Knows no other format.

use serde_json::{Map, Value};

use super::member::{get, text};
use crate::report::found::{Item, Report};
use crate::report::json::texts::code;
use crate::text::Untrusted;

pub(super) fn read(object: &Map<String, Value>) -> Option<Report> {
    if text(object, "resourceType") != Some("OperationOutcome") {
        return None;
    }
    let issues: Vec<&Map<String, Value>> = get(object, "issue")?.as_array()?.iter().filter_map(Value::as_object).collect();
    let worst = issues.iter().find(|issue| matches!(text(issue, "severity"), Some("fatal" | "error"))).or_else(|| issues.first())?;
    let message = |issue: &Map<String, Value>| {
        let details = issue.get("details").and_then(Value::as_object).and_then(|details| text(details, "text"));
        details.or_else(|| text(issue, "diagnostics")).map(Untrusted::new)
    };
    let path = |issue: &Map<String, Value>| {
        let list = issue.get("expression").or_else(|| issue.get("location"))?.as_array()?;
        // The name of the resource is not part of the path: `Patient.name[0].family`.
        Some(list.first()?.as_str()?.split_once('.')?.1.to_owned())
    };
    let item =
        |issue: &Map<String, Value>| Some(Item { message: message(issue)?, code: issue.get("code").and_then(|value| code("code", value)) });
    let fields: Vec<_> = issues.iter().filter_map(|issue| Some((path(issue)?, vec![item(issue)?]))).collect();
    Some(Report { message: message(worst), code: text(worst, "code").map(Untrusted::new), fields, ..Report::default() })
}
