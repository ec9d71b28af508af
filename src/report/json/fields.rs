//! Field errors in JSON: maps of messages (nested too), lists of objects, trees of validators, and sentences that begin
//! with a field's name.

use serde_json::{Map, Value};

use super::super::names::{self, Named, PLACES, TEXT, WHOLE, squash};
use super::paths::{clean, joined, named_in, own};
use crate::text::Untrusted;

/// A field path with its messages.
pub(super) type Field = (String, Vec<Untrusted>);

/// How deep maps and children are followed.
const MAX_DEPTH: usize = 10;
/// Field errors of one report.
const MAX_FIELDS: usize = 500;

/// Which strings in a map are messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    /// All.
    Any,
    /// Those that read as sentences: the others may be the values that were sent.
    SentencesOnly,
}

impl Texts {
    fn takes(self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::SentencesOnly => text.contains(' ') || !text.is_ascii(),
        }
    }
}

/// What was found so far.
struct FoundFields {
    fields: Vec<Field>,
    texts: Texts,
}

/// The field errors that a value under a telling name holds.
pub(super) fn of(value: &Value, texts: Texts) -> Vec<Field> {
    let mut found = FoundFields { fields: Vec::new(), texts };
    found.collect(value, "", 0);
    found.fields
}

/// Field errors of a whole body that has no other names: `{"email": ["..."]}`. Strings count only when nothing else was said.
pub(super) fn bare(value: &Value, nothing_else: bool) -> Vec<Field> {
    match value {
        Value::Array(_) => of(value, Texts::Any),
        Value::Object(object) if !object.keys().any(|name| !name.starts_with('_') && names::RESERVED.contains(&squash(name).as_str())) => {
            // An object with a code or a message of its own is an error, not the error of a field.
            let inner = object.values().filter_map(Value::as_object).flat_map(|inner| inner.keys());
            if inner
                .map(|name| squash(name))
                .any(|name| names::is_code(&name) || names::CODE.contains(&name.as_str()) && name != "type" && name != "name")
            {
                return Vec::new();
            }
            let listed = |value: &Value| value.is_array() || value.is_object();
            let told = object.values().all(listed) && (nothing_else || object.len() > 1);
            // Every leaf a sentence, and more than one of them.
            let sentences = nothing_else
                && object.len() > 1
                && object.values().all(|value| listed(value) || value.as_str().is_some_and(|text| text.contains(' ')));
            if told || sentences { of(value, Texts::SentencesOnly) } else { Vec::new() }
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
            // JSON in JSON: validators put their list into the message.
            Value::String(text) if depth == 0 && text.trim_start().starts_with('[') => {
                if let Some(inner) = super::tree::read(text) {
                    self.collect(&inner, path, depth + 1);
                }
            }
            Value::String(text) if depth > 0 && !path.is_empty() && self.texts.takes(text) => self.add(path, text),
            _ => {}
        }
    }

    fn add(&mut self, path: &str, text: &str) {
        let (path, text) = (clean(path), text.trim());
        if text.is_empty() || path.is_empty() {
            return;
        }
        match self.fields.iter_mut().find(|(known, _)| *known == path) {
            Some((_, texts)) => texts.push(Untrusted::new(text)),
            None => self.fields.push((path, vec![Untrusted::new(text)])),
        }
    }

    fn add_all(&mut self, path: &str, texts: &Texted<'_>) {
        texts.0.iter().for_each(|text| self.add(path, text));
    }

    /// A map of names to messages, to objects that hold one, or to further maps.
    fn map(&mut self, object: &Map<String, Value>, path: &str, depth: usize) {
        let named = Named::new(object);
        // `{"source": "body", "keys": [...]}` says where it looked; what is wrong only beside a sentence about its one key.
        if let (Some(keys), true) = (named.get("keys").and_then(Value::as_array), named.has("source")) {
            if let ([Value::String(key)], Some(text)) = (keys.as_slice(), named.text("message")) {
                self.add(key, text);
            }
            return;
        }
        // A text with its language is no map.
        if named.has("lang") && named.has("value") {
            return;
        }
        // An object that says what it is about is one field error, not a map of them.
        if !path.is_empty()
            && let Some(texts) = (!is_tree(&named)).then(|| texts_of(&named)).flatten()
        {
            return self.add_all(path, &texts);
        }
        if depth <= 1 && path.is_empty() && named.has("field") && self.object(object, path, depth) {
            return;
        }
        if !path.is_empty() && of_rules(object) {
            return object.values().filter_map(Value::as_str).for_each(|text| self.add(path, text));
        }
        let tree = is_tree(&named);
        // A container by its name: what stands in it is about the fields, the rest about the failure.
        if path.is_empty()
            && let Some(inner) =
                named.first(CONTAINERS, |_, value| (value.is_object() || is_list_of_objects(value)).then_some(value)).filter(|_| !tree)
        {
            return self.collect(inner, path, depth + 1);
        }
        for (name, value) in object {
            match squash(name).as_str() {
                // A validator's tree: its own errors, and those of its parts.
                "errors" if !path.is_empty() || tree || name.starts_with('_') => self.strings(value, path),
                "properties" | "items" if tree => self.parts(value, path, depth),
                "children" if value.is_object() => self.parts(value, path, depth),
                "base" if path.is_empty() && object.len() > 1 => self.under(value, "base", name, depth),
                whole if path.is_empty() && WHOLE.contains(&whole) => {}
                says if path.is_empty()
                    && (names::SAYS.contains(&says) || names::is_code(says))
                    && (value.is_string() || value.is_number() || is_list_of_objects(value)) => {}
                place if path.is_empty() && PLACES.contains(&place) && (value.is_object() || is_list_of_objects(value)) => {
                    self.collect(value, "", depth + 1)
                }
                _ => self.under(value, &joined(path, name), name, depth),
            }
        }
    }

    /// What stands under a name of a map. A list below a number repeats the number's element, not one of its own.
    fn under(&mut self, value: &Value, path: &str, name: &str, depth: usize) {
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
                Value::String(text) => self.add(path, text),
                Value::Object(object) => {
                    if let Some(texts) = texts_of(&Named::new(object)) {
                        self.add_all(path, &texts);
                    }
                }
                _ => {}
            }
        }
    }

    /// Parts of a validator's tree, by name or by number.
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
        // Numbers as names: the list only wraps a map of elements.
        let wraps = |object: &Map<String, Value>| !object.is_empty() && object.keys().all(|name| name.bytes().all(|b| b.is_ascii_digit()));
        for (index, item) in list.iter().enumerate() {
            match item {
                Value::String(text) if !path.is_empty() => self.add(path, text),
                Value::String(text) if all_strings => {
                    // One sentence that names no field makes the whole list a list of sentences.
                    let Some((field, told)) = named_in(text) else { return self.fields.clear() };
                    self.add(field, told);
                }
                Value::Object(object) if is_graphql(object) => {}
                Value::Object(object) if !path.is_empty() && wraps(object) => self.map(object, path, depth + 1),
                Value::Object(object) => {
                    let told = self.object(object, path, depth);
                    // Errors of the items of a list, each a map of its own.
                    if !told && !path.is_empty() {
                        let texts = std::mem::replace(&mut self.texts, Texts::SentencesOnly);
                        self.map(object, &format!("{path}[{index}]"), depth + 1);
                        self.texts = texts;
                    }
                }
                _ => {}
            }
        }
    }

    /// One object of a list; false when it is no field error.
    fn object(&mut self, object: &Map<String, Value>, path: &str, depth: usize) -> bool {
        let named = Named::new(object);
        if let Some(violations) = named.get("fieldviolations") {
            self.collect(violations, path, depth + 1);
            return true;
        }
        // What a list of errors says is about its own lists, where these name fields.
        for inner in ["data", "errors", "details"].iter().filter_map(|name| named.get(name)).filter(|inner| is_list_of_objects(inner)) {
            let before = self.fields.len();
            self.collect(inner, path, depth + 1);
            if self.fields.len() > before {
                return true;
            }
        }
        let own = own(&named);
        let constraints = named.get("constraints").and_then(Value::as_object);
        if let (Some(own), true) = (own.first(), constraints.is_some() || named.has("children")) {
            let here = joined(path, own);
            constraints.into_iter().flat_map(Map::values).filter_map(Value::as_str).for_each(|text| self.add(&here, text));
            if let Some(children) = named.get("children") {
                self.collect(children, &here, depth + 1);
            }
            return true;
        }
        match (own.is_empty(), texts_of(&named)) {
            (false, Some(texts)) => own.iter().for_each(|own| self.add_all(&joined(path, own), &texts)),
            (true, Some(texts)) if !path.is_empty() => self.add_all(path, &texts),
            // A message that is null leaves the rule that was broken.
            (true, None) if !path.is_empty() && named.get("message").is_some_and(Value::is_null) => match named.text("code") {
                Some(code) => self.add(path, code),
                None => return false,
            },
            // A code says at least which rule was broken.
            (false, None) => match named.text("code").or_else(|| named.text("rule")).or_else(|| named.text("type")) {
                Some(code) => own.iter().for_each(|own| self.add(&joined(path, own), code)),
                None => return false,
            },
            _ => return false,
        }
        true
    }
}

/// Messages of one object.
struct Texted<'v>(Vec<&'v str>);

fn texts_of<'v>(named: &Named<'v>) -> Option<Texted<'v>> {
    named.first(TEXT, |_, value| match value {
        Value::String(text) if !text.trim().is_empty() => Some(Texted(vec![text])),
        Value::Array(list) if !list.is_empty() && list.iter().all(Value::is_string) => {
            Some(Texted(list.iter().filter_map(Value::as_str).collect()))
        }
        _ => None,
    })
}

/// A map of fields to their errors under a name that rarely holds one: every value an object that says what is wrong, or
/// every one a sentence.
pub(super) fn is_map_of_errors(value: &Value) -> bool {
    let Some(object) = value.as_object().filter(|object| !object.is_empty()) else { return false };
    let named = Named::new(object);
    let list = |value: &Value| value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string));
    let told = |value: &Value| list(value) || value.as_object().is_some_and(|inner| texts_of(&Named::new(inner)).is_some());
    let sentences = object.len() > 1 && object.values().all(|value| value.as_str().is_some_and(|text| text.contains(' ')));
    let own = named.iter().any(|(name, _)| names::RESERVED.contains(&name) || names::MESSAGE.contains(&name) || names::is_code(name));
    !own && (object.values().all(told) || sentences)
}

/// Names of what holds field errors, one level down.
const CONTAINERS: &[&str] = &["errors", "fields", "messages", "fielderrors", "violations"];

fn is_list_of_objects(value: &Value) -> bool {
    value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_object))
}

/// `locations` or `extensions` beside a message: the error of a query, whose `path` is no field
/// (<https://spec.graphql.org/October2021/#sec-Errors.Error-result-format>).
fn is_graphql(object: &Map<String, Value>) -> bool {
    object.contains_key("message") && (object.contains_key("extensions") || object.contains_key("locations"))
}

/// A validator's tree: errors of a value beside those of its parts.
fn is_tree(named: &Named<'_>) -> bool {
    named.get("errors").is_some_and(Value::is_array)
        && (named.get("properties").is_some_and(Value::is_object) || named.get("items").is_some_and(Value::is_array))
}

/// Messages by the rule that was broken: `{"isEmpty": "Value is required"}`.
fn of_rules(object: &Map<String, Value>) -> bool {
    const RULES: &[&str] = &[
        "required",
        "unique",
        "email",
        "min",
        "max",
        "minlength",
        "maxlength",
        "isempty",
        "notempty",
        "format",
        "pattern",
        "type",
        "valid",
        "custom",
        "range",
        "between",
        "inlist",
        "numeric",
        "integer",
        "url",
        "regex",
        "length",
        "notblank",
        "notnull",
        "empty",
        "stringlengthtooshort",
        "stringlengthtoolong",
        "alpha",
        "date",
        "exists",
        "in",
        "emailaddressinvalidformat",
        "notgreaterthan",
        "notlessthan",
        "invalid",
        "greaterthan",
        "lessthan",
        "digits",
        "size",
        "presence",
        "blank",
        "inclusion",
    ];
    !object.is_empty()
        && object.iter().all(|(name, value)| {
            value.as_str().is_some_and(|text| text.contains(' ')) && (name.starts_with('_') || RULES.contains(&squash(name).as_str()))
        })
}
