//! JSON, headers and bodies in the TOML of a case.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::case::{Lines, Wanted};
use crate::config::section::{At, Section};

/// Most bytes of a file with a body.
const MAX_BODY: u64 = 16 << 20;

/// Converts TOML to JSON. Dates become strings, and numbers that JSON does not have become null.
pub(super) fn json_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Null, Value::from),
        DeValue::Float(number) => number.as_str().parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number),
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Datetime(date) => Value::from(date.to_string()),
        DeValue::Array(list) => list.iter().map(|item| json_of(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let members = table.iter().map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref())));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

/// Reads JSON: a TOML value, or a text that is JSON.
pub(super) fn json(s: &mut Section<'_, '_>, key: &'static str) -> Option<At<Value>> {
    let value = s.value(key)?;
    let Some(text) = value.get_ref().as_str() else { return Some(At { value: json_of(value.get_ref()), span: value.span() }) };
    match serde_json::from_str(text) {
        Ok(parsed) => Some(At { value: parsed, span: value.span() }),
        Err(error) => {
            s.problems.add(value.span(), format!("`{key}` is not JSON: {error}"), "write a TOML table, or JSON in quotes");
            None
        }
    }
}

/// Reads header lines: `Name = "value"`, or `Name = ["value", ...]` for several lines.
pub(super) fn lines(s: &mut Section<'_, '_>, key: &'static str) -> Lines {
    s.table(key, |s| each(s, texts).into_iter().flat_map(|(name, list)| list.into_iter().map(move |text| (name.clone(), text))).collect())
        .unwrap_or_default()
}

/// Reads what must hold of headers: a value, a list of values, `true` for present, `false` for absent, `{ contains = "..." }`.
pub(super) fn wanted(s: &mut Section<'_, '_>, key: &'static str) -> Vec<At<(String, Wanted)>> {
    s.table(key, |s| {
        let of = |s: &mut Section<'_, '_>, name: &str, value: &Spanned<DeValue<'_>>| {
            let wanted = match value.get_ref() {
                DeValue::Boolean(true) => Some(Wanted::Present),
                DeValue::Boolean(false) => Some(Wanted::Absent),
                DeValue::Table(table) => match table.get("contains").and_then(|text| text.get_ref().as_str()) {
                    Some(text) if table.len() == 1 => Some(Wanted::Contains(text.to_owned())),
                    Some(_) | None => {
                        s.wrong_type(name, value, "a value, true, false or { contains = \"...\" }");
                        None
                    }
                },
                _ => texts(s, name, value).map(Wanted::Exact),
            };
            wanted.map(|wanted| At { value: (name.to_owned(), wanted), span: value.span() })
        };
        each(s, of).into_iter().map(|(_, at)| at).collect()
    })
    .unwrap_or_default()
}

/// Reads every key of a table whose keys the operator chooses.
fn each<'t, T>(
    s: &mut Section<'t, '_>,
    read: impl Fn(&mut Section<'t, '_>, &str, &'t Spanned<DeValue<'t>>) -> Option<T>,
) -> Vec<(String, T)> {
    s.allow_any_key();
    let mut found = Vec::new();
    for name in s.names() {
        if let Some(value) = s.named(&name.value).and_then(|value| read(s, &name.value, value)) {
            found.push((name.value, value));
        }
    }
    found
}

fn texts(s: &mut Section<'_, '_>, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    let list: Vec<_> = match value.get_ref() {
        DeValue::Array(list) => list.iter().collect(),
        _ => vec![value],
    };
    let texts: Option<Vec<_>> = list.into_iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
    if texts.is_none() {
        s.wrong_type(name, value, "a string or a list of strings");
    }
    texts
}

/// The body of a message, and whether it is JSON.
pub(super) struct BodyKeys {
    pub(super) bytes: Vec<u8>,
    pub(super) is_json: bool,
}

/// Reads `body`, `json`, `body_file` or `body_base64`, of which a message has at most one. Files are relative to `folder`.
pub(super) fn body(s: &mut Section<'_, '_>, folder: &Path) -> BodyKeys {
    let given: Vec<&str> = ["body", "json", "body_file", "body_base64"].into_iter().filter(|key| s.named(key).is_some()).collect();
    if let [_, second, ..] = given.as_slice() {
        let place = s.named(second).map(Spanned::span);
        s.problems.add(place, format!("a message has one of `{}`", given.join("`, `")), "remove the others");
    }
    let text = s.text("body").map(|at| at.value.into_bytes());
    let json = json(s, "json").map(|at| at.value.to_string().into_bytes());
    let file = s.text("body_file").and_then(|name| match read_file(&folder.join(&name.value)) {
        Ok(bytes) => Some(bytes),
        Err(complaint) => {
            s.problems.add(name.span, format!("cannot read `{}`: {complaint}", name.value), "the name is relative to the file of cases");
            None
        }
    });
    let coded = s.text("body_base64").and_then(|text| match STANDARD.decode(text.value.split_whitespace().collect::<String>()) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            s.problems.add(text.span, format!("`body_base64` is not base64: {error}"), "");
            None
        }
    });
    BodyKeys { is_json: json.is_some(), bytes: text.or(json).or(file).or(coded).unwrap_or_default() }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > MAX_BODY {
        return Err(format!("it has more than {} MiB", MAX_BODY >> 20));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}
