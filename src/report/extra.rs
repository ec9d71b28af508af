//! Finds the members of a JSON error that say more than its message, code and field errors, such as a balance or the items that are sold
//! out. Judges nothing: `redact` does.

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::found::Report;
use super::names::{CAUSE, EXCEPTION, FIELDS, STACK, WRAPPER, normalize_name};
use crate::policy::KeepFields;

/// Names of members that an error response has anyway, or that describe the service and not the error.
#[rustfmt::skip]
const TOLD: &[&str] = &[
    "message", "msg", "error", "errors", "code", "errorcode", "status", "statuscode", "detail", "title", "type", "instance",
    "timestamp", "path", "method", "requestid", "traceid", "spanid", "correlationid", "success", "ok", "debug", "errorname",
    "errormessage", "errordescription", "server", "hostname", "host", "pid", "version", "environment", "env", "config",
];

/// The maximum number of members that are returned.
const MAX_MEMBERS: usize = 64;
/// The maximum length of one of them, in bytes.
const MAX_MEMBER: usize = 8 * 1024;

type Members<'t> = IndexMap<String, &'t RawValue>;

/// Returns the members that the route keeps, each as its name and its JSON: of the body, and of the object in it that describes the error.
/// The body counts first where both have a member. A body that is no whole JSON object has none.
pub fn members(text: &str, keep: &KeepFields, report: &Report) -> Vec<(String, String)> {
    if *keep == KeepFields::Nothing {
        return Vec::new();
    }
    let Some(body) = object(text.trim_start_matches('\u{feff}')) else { return Vec::new() };
    let inner = body.iter().find(|(name, value)| WRAPPER.contains(&&*normalize_name(name)) && value.get().starts_with('{'));
    let inner = inner.and_then(|(_, value)| object(value.get())).unwrap_or_default();
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, value) in body.iter().chain(&inner) {
        let wanted = match keep {
            KeepFields::Nothing => false,
            KeepFields::All => is_extra(name, value.get(), report),
            KeepFields::Named(names) => names.contains(name),
        };
        let fits = found.len() < MAX_MEMBERS && value.get().len() <= MAX_MEMBER;
        if wanted && fits && !found.iter().any(|(known, _)| known == name) {
            found.push((name.clone(), value.get().to_owned()));
        }
    }
    found
}

fn object(text: &str) -> Option<Members<'_>> {
    serde_json::from_str(text).ok()
}

/// Returns true if the report does not hold this member in another form.
fn is_extra(name: &str, value: &str, report: &Report) -> bool {
    let plain = normalize_name(name);
    let is = |names: &[&str]| names.contains(&&*plain);
    let has_items = !report.fields.is_empty() || !report.items.is_empty();
    if is(TOLD) || is(STACK) || is(EXCEPTION) || is(CAUSE) || (has_items && is(FIELDS)) {
        return false;
    }
    let said = [&report.message, &report.code, &report.phrase, &report.exception];
    let Ok(text) = serde_json::from_str::<String>(value) else { return true };
    !text.is_empty() && !said.into_iter().flatten().any(|part| part.raw() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(body: &str, keep: &KeepFields) -> Vec<(String, String)> {
        members(body, keep, &super::super::read(body))
    }

    #[test]
    fn all_is_what_the_report_does_not_hold() {
        let body = r#"{"message":"No funds.","reason":"No funds.","errorCode":"E1","balance":30.10,"error":{"code":"E1","items":[1],"balance":1},"stack":"x","timestamp":1,"n":null,"s":""}"#;
        let names: Vec<_> = kept(body, &KeepFields::All).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["balance", "n", "items"]);
        assert_eq!(kept(body, &KeepFields::All)[0].1, "30.10", "as it was written");
    }

    #[test]
    fn a_named_member_is_kept_whatever_its_name() {
        let keep = KeepFields::Named(vec!["timestamp".into(), "items".into(), "missing".into()]);
        assert_eq!(
            kept(r#"{"error":{"items":[1]},"timestamp":7}"#, &keep),
            [("timestamp".into(), "7".into()), ("items".into(), "[1]".into())]
        );
        for body in ["", "[1]", "{\"timestamp\":7", "\"x\"", "{\"timestamp\":7}x"] {
            assert_eq!(kept(body, &keep), [], "{body}");
        }
        assert_eq!(kept(r#"{"items":[1]}"#, &KeepFields::Nothing), []);
    }

    #[test]
    fn members_are_bounded() {
        let large = format!("{{\"a\":\"{}\",\"b\":1}}", "x".repeat(MAX_MEMBER));
        assert_eq!(kept(&large, &KeepFields::All), [("b".into(), "1".into())]);
        let many: Vec<String> = (0..500).map(|at| format!("\"k{at}\":1")).collect();
        assert_eq!(kept(&format!("{{{}}}", many.join(",")), &KeepFields::All).len(), MAX_MEMBERS);
    }
}
