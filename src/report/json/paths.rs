//! Normalizes the paths of fields, which libraries write in many ways, to one syntax: `items[0].qty`. Knows paths, and no messages.

use serde_json::Value;

use super::super::names::{NormalizedObject, PATH, REQUEST_PARTS, normalize_name};

/// Returns the paths that an object names: none, one, or several that share a message.
pub(super) fn field_paths(named: &NormalizedObject<'_>) -> Vec<String> {
    let missing = ["params", "info"].iter().find_map(|name| {
        let params = NormalizedObject::new(named.get(name)?.as_object()?);
        ["missingproperty", "additionalproperty", "unevaluatedproperty"].iter().find_map(|name| params.text(name))
    });
    let path = named.first(PATH, |name, value| match value {
        // The path is empty at the root, and the missing property completes it.
        Value::String(text) if text.is_empty() && missing.is_some() => Some(vec![String::new()]),
        Value::String(text)
            if matches!(name, "location" | "source" | "in" | "path" | "target")
                && REQUEST_PARTS.contains(&normalize_name(text).as_str()) =>
        {
            None
        }
        _ if name == "params" && !value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string)) => None,
        Value::Array(list)
            if matches!(name, "params" | "fields" | "membernames" | "members" | "expression") && list.iter().all(Value::is_string) =>
        {
            Some(list.iter().filter_map(path_of).collect::<Vec<_>>()).filter(|paths| !paths.is_empty())
        }
        Value::Array(list) if name == "fields" => {
            let paths = list.iter().filter_map(Value::as_object).flat_map(|item| field_paths(&NormalizedObject::new(item)));
            Some(paths.collect::<Vec<_>>()).filter(|paths| !paths.is_empty())
        }
        // `name: "ValidationError"` names the error, not a field.
        Value::String(text) if matches!(name, "name" | "key" | "item") && (text.ends_with("Error") || text.ends_with("Exception")) => None,
        _ => path_of(value).map(|path| vec![path]),
    });
    match (path, missing) {
        (Some(paths), Some(missing)) => paths.iter().map(|path| joined(path, missing)).collect(),
        (None, Some(missing)) => vec![missing.to_owned()],
        (paths, None) => paths.unwrap_or_default(),
    }
}

/// Returns the path in a name, a list of segments, a JSON pointer or path, or an object that holds one of these.
fn path_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.starts_with('/') || text.starts_with("#/") => {
            let segment = |s: &str| Value::from(s.replace("~1", "/").replace("~0", "~"));
            let segments: Vec<Value> = text.trim_start_matches('#').split('/').skip(1).map(segment).collect();
            // JSON:API: the position of the attributes in the document is not part of a path.
            let document =
                segments.first().is_some_and(|s| s == "data") && segments.get(1).is_some_and(|s| s == "attributes" || s == "relationships");
            let place = segments.len() == 1 && segments[0].as_str().is_some_and(|name| REQUEST_PARTS.contains(&name));
            if place { None } else { join(if document { &segments[2..] } else { &segments }) }
        }
        Value::String(text) => (!text.is_empty() && text.len() <= 128 && !text.contains([' ', '(', '"'])).then(|| text.clone()),
        Value::Array(segments) => join(segments),
        Value::Object(object) => ["pointer", "parameter", "path", "name"].iter().find_map(|name| path_of(object.get(*name)?)),
        _ => None,
    }
}

/// Joins segments: `["body", "items", 0, "qty"]` becomes `items[0].qty`.
fn join(segments: &[Value]) -> Option<String> {
    let mut path = String::new();
    for (at, segment) in segments.iter().enumerate() {
        match segment {
            Value::Number(index) => path.push_str(&format!("[{index}]")),
            Value::String(name) if at == 0 && segments.len() > 1 && REQUEST_PARTS.contains(&normalize_name(name).as_str()) => {}
            Value::String(name) => path = joined(&path, name),
            Value::Object(segment) => match segment.get("key").or_else(|| segment.get("name")).or_else(|| segment.get("property")) {
                Some(Value::String(name)) => path = joined(&path, name),
                Some(Value::Number(index)) => path.push_str(&format!("[{index}]")),
                _ => return None,
            },
            _ => return None,
        }
    }
    (!path.is_empty()).then_some(path)
}

/// Appends a name to a path. A number is an index.
pub(super) fn joined(path: &str, name: &str) -> String {
    let index = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    match (path.is_empty(), index, name.starts_with('[')) {
        (true, ..) => name.to_owned(),
        (false, true, _) => format!("{path}[{name}]"),
        (false, false, true) => format!("{path}{name}"),
        (false, false, false) => format!("{path}.{name}"),
    }
}

/// Removes the root of the document (`$.`, `obj.`) or the part of the request (`body.`) from the start of a path.
pub(super) fn clean(path: &str) -> String {
    let mut bare = path.trim();
    for root in ["$.", "obj.", "#.", "request.body.", "req.body.", "$body.", "requestBody."] {
        bare = bare.strip_prefix(root).unwrap_or(bare);
    }
    if let Some((place, rest)) = bare.split_once('.')
        && matches!(place, "body" | "query" | "querystring" | "params" | "headers" | "json" | "payload")
        && !rest.is_empty()
    {
        bare = rest;
    }
    // `lines.$0.qty`
    let plain = bare.trim_matches(['\'', '"']);
    match plain.contains(".$") {
        true => plain.split('.').fold(String::new(), |path, part| joined(&path, part.strip_prefix('$').unwrap_or(part))),
        false => plain.to_owned(),
    }
}

/// Returns the field with which a sentence starts, and the message about it: `email must be an email`, `property zzz should not exist`,
/// `qty: must be positive`.
pub(super) fn field_in_sentence(text: &str) -> Option<(&str, &str)> {
    const VERBS: &[&str] =
        &["must", "should", "is", "are", "has", "have", "cannot", "can", "may", "needs", "contains", "does", "each", "length"];
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']' | '$'));
    // Prose starts with a capital letter; a field is written as in the request.
    let is_prose = |name: &str| !name.starts_with(|c: char| c.is_lowercase() || matches!(c, '_' | '$')) && !name.contains(['.', '_']);
    if let Some((name, message)) = text.split_once(": ").filter(|(name, _)| is_name(name) && !is_prose(name)) {
        return Some((name, message));
    }
    let mut words = text.split_whitespace();
    let first = words.next()?.trim_matches(['"', '\'', '`']);
    if matches!(first, "property" | "field" | "Field" | "attribute") {
        return words.next().map(|name| (name.trim_matches(['"', '\'', '`', ':']), text));
    }
    let verb = words.next()?;
    (is_name(first) && !is_prose(first) && VERBS.contains(&verb)).then_some((first, text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_notations_are_normalized() {
        for value in [
            json!("/items/0/qty"),
            json!("#/items/0/qty"),
            json!(["items", 0, "qty"]),
            json!(["body", "items", 0, "qty"]),
            json!([{"key": "items"}, {"key": 0}, {"key": "qty"}]),
            json!({"pointer": "/data/attributes/items/0/qty"}),
        ] {
            assert_eq!(path_of(&value).as_deref(), Some("items[0].qty"), "{value}");
        }
        assert_eq!(clean("$.items[0].qty"), "items[0].qty");
        assert_eq!(clean("body.items[0].qty"), "items[0].qty");
        assert_eq!(path_of(&json!("/body")), None);
    }

    #[test]
    fn sentences_that_start_with_a_field_name_it() {
        assert_eq!(field_in_sentence("email must be an email"), Some(("email", "email must be an email")));
        assert_eq!(field_in_sentence("qty: must be positive"), Some(("qty", "must be positive")));
        assert_eq!(field_in_sentence("Note: come back tomorrow"), None);
        assert_eq!(field_in_sentence("Order must be paid"), None);
    }
}
