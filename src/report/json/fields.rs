//! Finds field errors in JSON: maps of messages (nested too), lists of objects, trees of validators, and sentences that start with the name
//! of a field. Knows no other part of an error.

use serde_json::{Map, Value};

use super::super::found::{Field, Item};
use super::super::names::{self, GENERAL, NormalizedObject, REQUEST_PARTS, TEXT, normalize_name};
use super::paths::{clean, field_in_sentence, field_paths, joined};
use super::rules::is_map_of_rules;
use super::texts::{code_of_field, code_of_rule};
use crate::text::Untrusted;

/// The maximum depth of maps and children that are followed.
const MAX_DEPTH: usize = 10;
/// The maximum number of field errors of one report.
const MAX_FIELDS: usize = 500;

/// Selects the strings of a map that are messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageFilter {
    /// All strings.
    Any,
    /// Strings that read as sentences, because others may be the values that were sent.
    SentencesOnly,
}

impl MessageFilter {
    fn accepts(self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::SentencesOnly => text.contains(' ') || !text.is_ascii(),
        }
    }
}

/// The field errors found so far.
struct FoundFields {
    fields: Vec<Field>,
    texts: MessageFilter,
}

/// Returns the field errors in the value of a member whose name is one for field errors.
pub(super) fn field_errors(value: &Value, texts: MessageFilter) -> Vec<Field> {
    let mut found = FoundFields { fields: Vec::new(), texts };
    found.collect(value, "", 0);
    found.fields
}

/// Returns the field errors of a body that consists of nothing else: `{"email": ["..."]}`. If the body has a message or a code
/// (`nothing_else` is false), strings do not count.
pub(super) fn field_errors_of_body(value: &Value, nothing_else: bool) -> Vec<Field> {
    match value {
        Value::Array(_) => field_errors(value, MessageFilter::Any),
        Value::Object(object)
            if !object.keys().any(|name| !name.starts_with('_') && names::RESERVED.contains(&normalize_name(name).as_str())) =>
        {
            // An inner object with a code or a message is an error, not a field error.
            let inner = object.values().filter_map(Value::as_object).flat_map(|inner| inner.keys());
            if inner
                .map(|name| normalize_name(name))
                .any(|name| names::is_code(&name) || names::CODE.contains(&name.as_str()) && name != "type" && name != "name")
            {
                return Vec::new();
            }
            let listed = |value: &Value| value.is_array() || value.is_object();
            let all_listed = object.values().all(listed) && (nothing_else || object.len() > 1);
            // All members are lists, objects or sentences, and there are at least two.
            let sentences = nothing_else
                && object.len() > 1
                && object.values().all(|value| listed(value) || value.as_str().is_some_and(|text| text.contains(' ')));
            if all_listed || sentences { field_errors(value, MessageFilter::SentencesOnly) } else { Vec::new() }
        }
        _ => Vec::new(),
    }
}

impl FoundFields {
    fn collect(&mut self, value: &Value, path: &str, depth: usize) {
        if depth > MAX_DEPTH || self.fields.len() >= MAX_FIELDS {
            return;
        }
        match value {
            Value::Object(object) if depth == 0 && object.contains_key("@type") => {}
            Value::Object(object) => self.map(object, path, depth),
            Value::Array(list) => self.list(list, path, depth),
            // Some validators put their list into the message as a string.
            Value::String(text) if depth == 0 && text.trim_start().starts_with('[') => {
                if let Some(inner) = super::tree::read(text) {
                    self.collect(&inner, path, depth + 1);
                }
            }
            Value::String(text) if depth > 0 && !path.is_empty() && self.texts.accepts(text) => self.add(path, text, None),
            _ => {}
        }
    }

    fn add(&mut self, path: &str, text: &str, code: Option<Untrusted>) {
        let (path, text) = (clean(path), text.trim());
        if text.is_empty() || path.is_empty() {
            return;
        }
        let item = Item { message: Untrusted::new(text), code };
        match self.fields.iter_mut().find(|(known, _)| *known == path) {
            Some((_, items)) => items.push(item),
            None => self.fields.push((path, vec![item])),
        }
    }

    fn add_all(&mut self, path: &str, messages: &Messages<'_>) {
        messages.texts.iter().for_each(|text| self.add(path, text, messages.code.clone()));
    }

    /// Adds messages by the rules that were violated.
    fn add_rules(&mut self, path: &str, rules: &Map<String, Value>) {
        for (rule, text) in rules.iter().filter_map(|(rule, value)| Some((rule, value.as_str()?))) {
            self.add(path, text, code_of_rule(rule));
        }
    }

    /// Adds the errors of a map of names to messages, to objects with a message, or to further maps.
    fn map(&mut self, object: &Map<String, Value>, path: &str, depth: usize) {
        let named = NormalizedObject::new(object);
        // `{"source": "body", "keys": [...]}` lists the checked keys. It is a field error only if it has a message and a single key.
        if let (Some(keys), true) = (named.get("keys").and_then(Value::as_array), named.has("source")) {
            if let ([Value::String(key)], Some(text)) = (keys.as_slice(), named.text("message")) {
                self.add(key, text, code_of_field(&named));
            }
            return;
        }
        // A text with its language is not a map.
        if named.has("lang") && named.has("value") {
            return;
        }
        // An object with a message is one field error, not a map of them.
        if !path.is_empty()
            && let Some(texts) = (!is_tree(&named)).then(|| messages_of(&named)).flatten()
        {
            return self.add_all(path, &texts);
        }
        if depth <= 1 && path.is_empty() && named.has("field") && self.object(object, path, depth) {
            return;
        }
        if !path.is_empty() && is_map_of_rules(object) {
            return self.add_rules(path, object);
        }
        let tree = is_tree(&named);
        // A container by its name has the field errors; the other members are about the whole error.
        if path.is_empty()
            && let Some(inner) =
                named.first(CONTAINERS, |_, value| (value.is_object() || is_list_of_objects(value)).then_some(value)).filter(|_| !tree)
        {
            return self.collect(inner, path, depth + 1);
        }
        for (name, value) in object {
            match normalize_name(name).as_str() {
                // A tree of a validator: its own errors, and those of its parts.
                "errors" if !path.is_empty() || tree || name.starts_with('_') => self.strings(value, path),
                "properties" | "items" if tree => self.parts(value, path, depth),
                "children" if value.is_object() => self.parts(value, path, depth),
                general if path.is_empty() && (general.is_empty() || GENERAL.contains(&general)) => {}
                metadata
                    if path.is_empty()
                        && (names::NEVER_A_FIELD.contains(&metadata) || names::is_code(metadata))
                        && (value.is_string() || value.is_number() || is_list_of_objects(value))
                        && !is_sentence_about_a_field(metadata, value) => {}
                // A list of errors that name their fields stands under a name of the vendor's own.
                _ if path.is_empty() && depth == 0 && is_list_of_field_errors(value) => self.collect(value, "", depth + 1),
                request_part
                    if path.is_empty() && REQUEST_PARTS.contains(&request_part) && (value.is_object() || is_list_of_objects(value)) =>
                {
                    self.collect(value, "", depth + 1)
                }
                _ => self.member(value, &joined(path, name), name, depth),
            }
        }
    }

    /// Adds the errors in a member of a map. A list in a member with a number as name belongs to the element of that number and has no
    /// indices of its own.
    fn member(&mut self, value: &Value, path: &str, name: &str, depth: usize) {
        let number = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
        match value {
            Value::Array(list) if number && list.iter().all(Value::is_object) => {
                list.iter().for_each(|item| self.collect(item, path, depth + 1))
            }
            _ => self.collect(value, path, depth + 1),
        }
    }

    fn strings(&mut self, value: &Value, path: &str) {
        for item in value.as_array().into_iter().flatten() {
            match item {
                Value::String(text) => self.add(path, text, None),
                Value::Object(object) => {
                    if let Some(texts) = messages_of(&NormalizedObject::new(object)) {
                        self.add_all(path, &texts);
                    }
                }
                _ => {}
            }
        }
    }

    /// Adds the errors of the parts of a validator's tree, by name or by index.
    fn parts(&mut self, value: &Value, path: &str, depth: usize) {
        match value {
            Value::Object(parts) => parts.iter().for_each(|(name, part)| self.collect(part, &joined(path, name), depth + 1)),
            Value::Array(parts) => {
                parts.iter().enumerate().for_each(|(index, part)| self.collect(part, &format!("{path}[{index}]"), depth + 1));
            }
            _ => {}
        }
    }

    fn list(&mut self, list: &[Value], path: &str, depth: usize) {
        let all_strings = !list.is_empty() && list.iter().all(Value::is_string);
        // An object whose names are all numbers maps elements to errors; the list only wraps it.
        let wraps = |object: &Map<String, Value>| !object.is_empty() && object.keys().all(|name| name.bytes().all(|b| b.is_ascii_digit()));
        for (index, item) in list.iter().enumerate() {
            match item {
                Value::String(text) if !path.is_empty() => self.add(path, text, None),
                Value::String(text) if all_strings => {
                    // If one sentence does not name a field, the list is a list of general messages.
                    let Some((field, message)) = field_in_sentence(text) else { return self.fields.clear() };
                    self.add(field, message, None);
                }
                Value::Object(object) if is_graphql(object) => {}
                Value::Object(object) if !path.is_empty() && wraps(object) => self.map(object, path, depth + 1),
                Value::Object(object) => {
                    let is_field_error = self.object(object, path, depth);
                    // The errors of the items of a list are one map per item.
                    if !is_field_error && !path.is_empty() {
                        let texts = std::mem::replace(&mut self.texts, MessageFilter::SentencesOnly);
                        self.map(object, &format!("{path}[{index}]"), depth + 1);
                        self.texts = texts;
                    }
                }
                _ => {}
            }
        }
    }

    /// Adds the errors of one object of a list. Returns false if it is not a field error.
    fn object(&mut self, object: &Map<String, Value>, path: &str, depth: usize) -> bool {
        let named = NormalizedObject::new(object);
        // Connect shows the decoded form of a binary detail under `debug`.
        let decoded = || NormalizedObject::new(named.get("debug")?.as_object()?).get("fieldviolations");
        if let Some(violations) = named.get("fieldviolations").or_else(decoded) {
            self.collect(violations, path, depth + 1);
            return true;
        }
        // The lists in an error take precedence over the error itself if they name fields.
        for inner in ["data", "errors", "details"].iter().filter_map(|name| named.get(name)).filter(|inner| is_list_of_objects(inner)) {
            let before = self.fields.len();
            self.collect(inner, path, depth + 1);
            if self.fields.len() > before {
                return true;
            }
        }
        let mut paths = field_paths(&named);
        let before = paths.len();
        paths.retain(|path| names_a_field(path));
        if before > 0 && paths.is_empty() {
            return false;
        }
        let constraints = named.get("constraints").and_then(Value::as_object);
        if let (Some(first), true) = (paths.first(), constraints.is_some() || named.has("children")) {
            let here = joined(path, first);
            constraints.into_iter().for_each(|rules| self.add_rules(&here, rules));
            if let Some(children) = named.get("children") {
                self.collect(children, &here, depth + 1);
            }
            return true;
        }
        match (paths.is_empty(), messages_of(&named)) {
            (false, Some(texts)) => paths.iter().for_each(|own| self.add_all(&joined(path, own), &texts)),
            (true, Some(texts)) if !path.is_empty() => self.add_all(path, &texts),
            // If the message is null, the code names the violated rule.
            (true, None) if !path.is_empty() && named.get("message").is_some_and(Value::is_null) => match named.text("code") {
                Some(code) => self.add(path, code, code_of_field(&named)),
                None => return false,
            },
            // Without a message, the code names the violated rule.
            (false, None) => {
                match named.text("code").or_else(|| named.text("rule")).or_else(|| named.text("type").filter(|_| has_path(&named))) {
                    Some(code) => paths.iter().for_each(|own| self.add(&joined(path, own), code, code_of_field(&named))),
                    None => return false,
                }
            }
            _ => return false,
        }
        true
    }
}

/// The messages of one object, and its machine code.
struct Messages<'v> {
    texts: Vec<&'v str>,
    code: Option<Untrusted>,
}

fn messages_of<'v>(named: &NormalizedObject<'v>) -> Option<Messages<'v>> {
    let texts = named.first(TEXT, |_, value| match value {
        Value::String(text) if !text.trim().is_empty() => Some(vec![text.as_str()]),
        Value::Array(list) if !list.is_empty() && list.iter().all(Value::is_string) => {
            Some(list.iter().filter_map(Value::as_str).collect())
        }
        _ => None,
    })?;
    Some(Messages { texts, code: code_of_field(named) })
}

/// Returns true for a map of fields to their errors, in a member whose name is rarely one for field errors: either all values are lists of
/// strings or objects with a message, or all are sentences.
pub(super) fn is_map_of_errors(value: &Value) -> bool {
    let Some(object) = value.as_object().filter(|object| !object.is_empty()) else { return false };
    let named = NormalizedObject::new(object);
    let list = |value: &Value| value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string));
    let is_field_error =
        |value: &Value| list(value) || value.as_object().is_some_and(|inner| messages_of(&NormalizedObject::new(inner)).is_some());
    let sentences = object.len() > 1 && object.values().all(|value| value.as_str().is_some_and(|text| text.contains(' ')));
    let has_reserved =
        named.iter().any(|(name, _)| names::RESERVED.contains(&name) || names::MESSAGE.contains(&name) || names::is_code(name));
    !has_reserved && (object.values().all(is_field_error) || sentences)
}

/// Returns true if a member that has the name of an envelope's own (`status`, `code`) is a field of this name: its value is a sentence.
fn is_sentence_about_a_field(name: &str, value: &Value) -> bool {
    !matches!(name, "message" | "msg" | "detail" | "error") && value.as_str().is_some_and(|text| text.contains(' '))
}

/// Returns true for a list of objects each of which names a field and has a message.
fn is_list_of_field_errors(value: &Value) -> bool {
    let is_field_error = |item: &Value| {
        item.as_object().is_some_and(|object| {
            let named = NormalizedObject::new(object);
            messages_of(&named).is_some() && field_paths(&named).iter().any(|path| names_a_field(path))
        })
    };
    value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(is_field_error))
}

/// Returns true for an object that is an error of a field.
pub(super) fn is_field_error(object: &Map<String, Value>) -> bool {
    field_paths(&NormalizedObject::new(object)).iter().any(|path| names_a_field(path))
}

/// Returns true if a member names a path and nothing else: a `name` beside a `type` describes a thing, not a violation.
fn has_path(named: &NormalizedObject<'_>) -> bool {
    const PATHS: &[&str] =
        &["field", "fieldname", "loc", "path", "property", "propertypath", "pointer", "instancepath", "param", "parameter"];
    PATHS.iter().any(|name| named.has(name))
}

/// Returns false for a path that stands for the whole request.
fn names_a_field(path: &str) -> bool {
    !matches!(path, "" | "$" | "." | "#" | "/") && !GENERAL.contains(&normalize_name(path).as_str())
}

/// Returns true for an object with a machine code beside a message: an error of its own, not a map of field errors.
pub(super) fn is_error(value: &Value) -> bool {
    let Some(object) = value.as_object() else { return false };
    let named = NormalizedObject::new(object);
    let text = |name: &str| named.text(name).is_some_and(|text| !text.is_empty());
    let has_code = ["code", "errorcode", "errcode"].iter().any(|name| named.text(name).is_some_and(|code| !code.contains(' ')));
    has_code && ["message", "msg", "reason", "detail", "description", "errordescription"].iter().any(|name| text(name))
}

/// Names of containers of field errors, one level down.
const CONTAINERS: &[&str] = &["errors", "fields", "messages", "fielderrors", "violations"];

fn is_list_of_objects(value: &Value) -> bool {
    value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_object))
}

/// Returns true for a GraphQL error, which has `locations` or `extensions` beside its message. Its `path` is not a field
/// (<https://spec.graphql.org/October2021/#sec-Errors.Error-result-format>).
fn is_graphql(object: &Map<String, Value>) -> bool {
    object.contains_key("message") && (object.contains_key("extensions") || object.contains_key("locations"))
}

/// Returns true for a tree of a validator: the errors of a value beside those of its parts.
fn is_tree(named: &NormalizedObject<'_>) -> bool {
    named.get("errors").is_some_and(Value::is_array)
        && (named.get("properties").is_some_and(Value::is_object) || named.get("items").is_some_and(Value::is_array))
}
