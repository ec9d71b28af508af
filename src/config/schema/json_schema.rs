//! The table of keys as JSON Schema (draft 7, which editors and validators of TOML understand best). Knows no particular key.
//!
//! A text may have `${NAME}`, whose value no schema knows: such a text is accepted wherever text is.

use serde_json::{Map, Value, json};

use super::kind::{Format, Kind};
use super::{KeyInfo, ROOT, TableInfo, table, tables};

/// A text with an environment variable.
const VARIABLE: &str = r"\$\{[A-Za-z0-9_]+\}";

/// Returns the schema of a configuration file.
pub fn json_schema() -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
    schema.insert("title".into(), "Lockgate".into());
    if let Some(root) = table(ROOT) {
        schema.append(&mut of_table(root));
    }
    let definitions = tables().iter().filter(|table| table.name != ROOT);
    let definitions = definitions.map(|table| (table.name.clone(), Value::Object(of_table(table))));
    schema.insert("definitions".into(), definitions.collect());
    Value::Object(schema)
}

fn of_table(table: &TableInfo) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("description".into(), table.about.as_str().into());
    schema.insert("type".into(), "object".into());
    schema.insert("additionalProperties".into(), false.into());
    let required: Vec<&str> = table.all_keys().filter(|key| key.required).map(|key| key.name.as_str()).collect();
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    for (word, keys) in [("anyOf", &table.any_of), ("oneOf", &table.one_of)] {
        if !keys.is_empty() {
            schema.insert(word.into(), keys.iter().map(|key| json!({ "required": [key] })).collect());
        }
    }
    schema.insert("properties".into(), table.all_keys().map(|key| (key.name.clone(), of_key(key))).collect());
    schema
}

fn of_key(key: &KeyInfo) -> Value {
    let mut schema = of_kind(&key.kind);
    if let Value::Object(members) = &mut schema {
        let about = about(&key.kind);
        let absent = if key.absent.is_empty() { String::new() } else { format!("Default: {}.", key.absent) };
        let parts = [key.text.as_str(), about, &absent];
        let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        members.insert("description".into(), text.into());
        if let Some(default) = &key.default {
            members.insert("default".into(), default.clone());
        }
        if let Some(example) = &key.example {
            members.insert("examples".into(), json!([example]));
        }
    }
    schema
}

/// Returns what the format of a value is, of the first alternative that has one to tell.
fn about(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text(format) => format.about,
        Kind::List(item) => about(item),
        Kind::Either(kinds) => kinds.iter().map(about).find(|about| !about.is_empty()).unwrap_or_default(),
        Kind::Boolean | Kind::Fraction | Kind::Integer(..) | Kind::Word(_) | Kind::Choice(_) | Kind::Table(_) | Kind::Map(_) => "",
    }
}

fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Fraction => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Integer(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Kind::Text(Format { pattern: "", .. }) => json!({ "type": "string" }),
        Kind::Text(format) => json!({ "type": "string", "pattern": whole(format.pattern) }),
        Kind::Word(word) => json!({ "const": word }),
        Kind::Choice(values) if values.iter().all(Value::is_string) => {
            json!({ "anyOf": [{ "enum": values }, { "type": "string", "pattern": VARIABLE }] })
        }
        Kind::Choice(values) => json!({ "enum": values }),
        // Draft 7 ignores what stands beside a `$ref`.
        Kind::Table(name) => json!({ "allOf": [{ "$ref": format!("#/definitions/{name}") }] }),
        Kind::List(item) => json!({ "type": "array", "items": of_kind(item) }),
        Kind::Map(item) => json!({ "type": "object", "additionalProperties": of_kind(item) }),
        Kind::Either(kinds) => either(kinds),
    }
}

/// A pattern for the whole text, or for one with a variable.
fn whole(pattern: &str) -> String {
    format!("^(?:{pattern})$|{VARIABLE}")
}

/// Alternatives. Formats and words of text become one pattern, which validators explain better than a choice among schemas.
fn either(kinds: &[Kind]) -> Value {
    let pattern = |kind: &Kind| match kind {
        Kind::Text(format) if !format.pattern.is_empty() => Some(format.pattern.to_owned()),
        Kind::Word(word) => Some(word.clone()),
        Kind::Text(_)
        | Kind::Boolean
        | Kind::Fraction
        | Kind::Integer(..)
        | Kind::Choice(_)
        | Kind::Table(_)
        | Kind::List(_)
        | Kind::Map(_)
        | Kind::Either(_) => None,
    };
    let patterns: Vec<String> = kinds.iter().filter_map(pattern).collect();
    let mut all: Vec<Value> = Vec::new();
    if !patterns.is_empty() {
        all.push(json!({ "type": "string", "pattern": whole(&patterns.join("|")) }));
    }
    all.extend(kinds.iter().filter(|kind| pattern(kind).is_none()).map(of_kind));
    match all.as_slice() {
        [one] => one.clone(),
        _ => json!({ "anyOf": all }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_file_is_what_the_command_prints() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/schema.json");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let schema = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
        assert!(text == schema, "config/schema.json is not up to date: run `lockgate schema > config/schema.json`");
    }
}
