//! Finds the items of an error that belong to no field: sentences in a list beside a summary, objects with a message and no path, and the
//! general messages of a map of field errors.

use serde_json::{Map, Value};

use super::super::found::{Field, Item};
use super::super::names::{GENERAL, NormalizedObject, TEXT, normalize_name};
use super::fields::is_field_error;
use super::texts::{code_of, sentence};
use crate::text::Untrusted;

/// The maximum number of items of one report.
const MAX_ITEMS: usize = 100;
/// The maximum depth of wrappers and nested lists.
const MAX_DEPTH: usize = 4;

/// Names of lists of errors.
const LISTS: &[&str] = &[
    "errors",
    "details",
    "warnings",
    "errormessages",
    "messages",
    "issues",
    "reasons",
    "failures",
    "problems",
    "rootcause",
    "suberrors",
    "errorlist",
    "causes",
    "error",
    "detail",
    "violations",
];
/// Names of maps of field errors, and of objects around a list.
const OBJECTS: &[&str] = &["error", "errors", "modelstate", "fielderrors", "validationerrors", "response", "fault", "apierror", "data"];

/// Returns the items of a body that belong to no field, in the order of the body.
pub(super) fn items(value: &Value) -> Vec<Item> {
    let mut found = Vec::new();
    match value {
        Value::Array(list) => from_list(list, &mut found, 0),
        Value::Object(object) => from_object(object, &mut found, 0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found
}

fn from_object(object: &Map<String, Value>, found: &mut Vec<Item>, depth: usize) {
    // Most errors are flat, and spare the normalized names.
    let has_lists = object.values().any(|value| value.is_array() || value.is_object()) || object.contains_key("");
    if depth > MAX_DEPTH || !has_lists {
        return;
    }
    let named = NormalizedObject::new(object);
    for list in LISTS.iter().filter_map(|name| named.get(name)?.as_array()) {
        from_list(list, found, depth);
    }
    for (name, value) in object {
        let name = normalize_name(name);
        // The messages of a map of field errors that name no field.
        if name.is_empty() || (GENERAL.contains(&name.as_str()) && value.is_array()) {
            value.as_array().into_iter().for_each(|list| from_list(list, found, depth));
            add_text(value, found);
        }
        if let (true, Some(inner)) = (OBJECTS.contains(&name.as_str()), value.as_object()) {
            from_object(inner, found, depth + 1);
        }
    }
}

fn from_list(list: &[Value], found: &mut Vec<Item>, depth: usize) {
    for item in list.iter().take(MAX_ITEMS) {
        match item {
            Value::Object(object) => from_item(object, found, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => add_text(item, found),
        }
    }
}

fn from_item(object: &Map<String, Value>, found: &mut Vec<Item>, depth: usize) {
    if is_field_error(object) || depth > MAX_DEPTH {
        return;
    }
    let named = NormalizedObject::new(object);
    let code = code_of(&named);
    match named.first(TEXT, |_, value| value.as_str().and_then(sentence)) {
        Some(message) => add(Item { message, code }, found),
        None => from_object(object, found, depth + 1),
    }
}

/// Adds the item of a string that is a sentence.
fn add_text(value: &Value, found: &mut Vec<Item>) {
    let message = value.as_str().and_then(sentence);
    if let Some(message) = message {
        add(Item { message, code: None }, found);
    }
}

fn add(item: Item, found: &mut Vec<Item>) {
    if found.len() < MAX_ITEMS && !found.iter().any(|known| known.message == item.message) {
        found.push(item);
    }
}

/// Removes the items that repeat the message or a field error of the report.
pub(super) fn without_repetitions(items: Vec<Item>, message: Option<&Untrusted>, fields: &[Field]) -> Vec<Item> {
    // A sentence may name its field in front: `qty: must be positive`.
    let repeats = |item: &Item, path: &str, error: &str| {
        let text = item.message.raw();
        text == error || text.strip_prefix(path).is_some_and(|rest| rest.trim_start_matches([':', ' ']) == error)
    };
    let in_fields =
        |item: &Item| fields.iter().any(|(path, errors)| errors.iter().any(|error| repeats(item, path, error.message.raw().trim())));
    // Several sentences without a summary are the message together.
    let in_message = |item: &Item| message.is_some_and(|message| message.raw().split("; ").any(|part| part.trim() == item.message.raw()));
    items.into_iter().filter(|item| !in_fields(item) && !in_message(item)).collect()
}
