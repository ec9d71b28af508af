//! Field errors in JSON: maps of messages (nested too), lists of objects, and sentences that begin with a field's name.

use serde_json::{Map, Value};

use crate::text::Untrusted;

/// A field path with its messages.
pub(super) type Field = (String, Vec<Untrusted>);

/// Names of a field error's path, best first.
const PATH: &[&str] = &[
    "field",
    "loc",
    "path",
    "property",
    "propertyPath",
    "pointer",
    "instancePath",
    "param",
    "parameter",
    "fieldName",
    "attribute",
    "location",
    "source",
    "name",
    "key",
];
/// Names of a field error's text, best first.
const TEXT: &[&str] = &["message", "msg", "detail", "defaultMessage", "description", "reason", "title", "error"];
/// How deep maps and children are followed.
const MAX_DEPTH: usize = 8;
/// Field errors of one report.
const MAX_FIELDS: usize = 500;

/// Which strings in a map are messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    /// All.
    Any,
    /// Those that read as sentences: the others may be the values that were sent.
    SentencesOnly,
    /// None: only lists and objects tell.
    None,
}

impl Texts {
    fn takes(self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::SentencesOnly => text.contains(' '),
            Self::None => false,
        }
    }
}

/// The field errors that a value under a telling name holds.
pub(super) fn of(value: &Value, texts: Texts) -> Vec<Field> {
    let mut found = Vec::new();
    collect(value, "", 0, texts, &mut found);
    found
}

/// Field errors of a whole body that has no other names: `{"email": ["..."]}`. Strings count only when nothing else was said.
pub(super) fn bare(value: &Value, nothing_else: bool) -> Vec<Field> {
    match value {
        Value::Array(_) => of(value, Texts::Any),
        Value::Object(object) if nothing_else => {
            let mut found = Vec::new();
            collect(value, "", 0, Texts::None, &mut found);
            let whole = object.values().all(|value| value.is_array() || value.is_object());
            if whole { found } else { Vec::new() }
        }
        _ => Vec::new(),
    }
}

fn collect(value: &Value, path: &str, depth: usize, texts: Texts, found: &mut Vec<Field>) {
    if depth > MAX_DEPTH || found.len() >= MAX_FIELDS {
        return;
    }
    match value {
        Value::Object(object) if depth == 0 && object.contains_key("@type") => {}
        Value::Object(object) => map(object, path, depth, texts, found),
        Value::Array(list) => list_of(list, path, depth, found),
        // JSON in JSON: validators put their list into the message.
        Value::String(text) if depth == 0 && text.trim_start().starts_with('[') => {
            if let Ok(inner) = serde_json::from_str::<Value>(text) {
                collect(&inner, path, depth + 1, texts, found);
            }
        }
        Value::String(text) if depth > 0 && !path.is_empty() && texts.takes(text) => add(found, path.to_owned(), text),
        _ => {}
    }
}

fn add(found: &mut Vec<Field>, path: String, text: &str) {
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    match found.iter_mut().find(|(known, _)| *known == path) {
        Some((_, texts)) => texts.push(Untrusted::new(text)),
        None => found.push((path, vec![Untrusted::new(text)])),
    }
}

/// A map of names to messages, to objects that hold one, or to further maps.
fn map(object: &Map<String, Value>, path: &str, depth: usize, texts: Texts, found: &mut Vec<Field>) {
    // An object that says what it is about is one field error, not a map of them.
    if !path.is_empty()
        && let Some(text) = TEXT.iter().find_map(|name| object.get(*name)?.as_str())
    {
        return add(found, path.to_owned(), text);
    }
    for (name, value) in object {
        if matches!(name.as_str(), "non_field_errors" | "__all__" | "formErrors") {
            continue;
        }
        collect(value, &joined(path, name), depth + 1, texts, found);
    }
}

fn list_of(list: &[Value], path: &str, depth: usize, found: &mut Vec<Field>) {
    let all_strings = !list.is_empty() && list.iter().all(Value::is_string);
    for (index, item) in list.iter().enumerate() {
        match item {
            Value::String(text) if !path.is_empty() => add(found, path.to_owned(), text),
            Value::String(text) if all_strings => {
                // One sentence that names no field makes the whole list a list of sentences.
                let Some(field) = named_in(text) else { return found.clear() };
                add(found, field.to_owned(), text);
            }
            Value::Object(object) if is_graphql(object) => {}
            Value::Object(object) => object_of(object, path, index, depth, found),
            _ => {}
        }
    }
}

/// `locations` or `extensions` beside a message: the error of a query, whose `path` is no field
/// (<https://spec.graphql.org/October2021/#sec-Errors.Error-result-format>).
fn is_graphql(object: &Map<String, Value>) -> bool {
    object.contains_key("message") && (object.contains_key("extensions") || object.contains_key("locations"))
}

fn object_of(object: &Map<String, Value>, path: &str, index: usize, depth: usize, found: &mut Vec<Field>) {
    if let Some(violations) = ["fieldViolations", "field_violations"].iter().find_map(|name| object.get(*name)) {
        return collect(violations, path, depth + 1, Texts::Any, found);
    }
    let own = PATH.iter().find_map(|name| path_of(object.get(*name)?));
    let constraints = object.get("constraints").and_then(Value::as_object);
    if let (Some(own), true) = (&own, constraints.is_some() || object.contains_key("children")) {
        let here = joined(path, own);
        constraints.into_iter().flat_map(Map::values).filter_map(Value::as_str).for_each(|text| add(found, here.clone(), text));
        if let Some(children) = object.get("children") {
            collect(children, &here, depth + 1, Texts::Any, found);
        }
        return;
    }
    let text = TEXT.iter().find_map(|name| object.get(*name)?.as_str());
    match (own, text) {
        (Some(own), Some(text)) => add(found, joined(path, &own), text),
        // Errors of the items of a list, each a map of its own.
        (None, None) if !path.is_empty() => map(object, &format!("{path}[{index}]"), depth + 1, Texts::None, found),
        _ => {}
    }
}

/// A path from a name, a list of segments, a JSON pointer, or an object that holds one of these.
fn path_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.starts_with('/') || text.starts_with("#/") => {
            let segment = |s: &str| Value::from(s.replace("~1", "/").replace("~0", "~"));
            let segments: Vec<Value> = text.trim_start_matches('#').split('/').skip(1).map(segment).collect();
            // JSON:API: where attributes stand in the document is not part of their names.
            let document =
                segments.first().is_some_and(|s| s == "data") && segments.get(1).is_some_and(|s| s == "attributes" || s == "relationships");
            join(if document { &segments[2..] } else { &segments })
        }
        Value::String(text) => (!text.is_empty() && text.len() <= 128 && !text.contains(' ')).then(|| text.clone()),
        Value::Array(segments) => join(segments),
        Value::Object(object) => ["pointer", "parameter", "path"].iter().find_map(|name| path_of(object.get(*name)?)),
        _ => None,
    }
}

/// `["body", "items", 0, "qty"]` -> `items[0].qty`: where the value was sent (body, query) is not part of its name.
fn join(segments: &[Value]) -> Option<String> {
    let mut path = String::new();
    for (at, segment) in segments.iter().enumerate() {
        match segment {
            Value::Number(index) => path.push_str(&format!("[{index}]")),
            Value::String(name)
                if at == 0 && segments.len() > 1 && matches!(name.as_str(), "body" | "query" | "path" | "header" | "cookie" | "data") => {}
            Value::String(name) => path = joined(&path, name),
            _ => return None,
        }
    }
    (!path.is_empty()).then_some(path)
}

/// A name below a path; a number is an index.
fn joined(path: &str, name: &str) -> String {
    let index = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    match (path.is_empty(), index) {
        (true, _) => name.to_owned(),
        (false, true) => format!("{path}[{name}]"),
        (false, false) => format!("{path}.{name}"),
    }
}

/// The field that a sentence begins with: `email must be an email`, `property zzz should not exist`.
fn named_in(text: &str) -> Option<&str> {
    const VERBS: &[&str] =
        &["must", "should", "is", "are", "has", "have", "cannot", "can", "may", "needs", "contains", "does", "each", "length"];
    let mut words = text.split_whitespace();
    let first = words.next()?.trim_matches(['"', '\'', '`']);
    if matches!(first, "property" | "field" | "Field" | "attribute") {
        return words.next().map(|name| name.trim_matches(['"', '\'', '`', ':']));
    }
    let verb = words.next()?;
    let name = first.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']' | '$'));
    // A sentence of prose begins with a capital; a field is written as in the request.
    let prose = !first.starts_with(|c: char| c.is_lowercase() || matches!(c, '_' | '$')) && !first.contains(['.', '_']);
    (name && !prose && VERBS.contains(&verb)).then_some(first)
}
