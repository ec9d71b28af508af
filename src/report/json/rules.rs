//! Maps of violated rules to messages. Knows the names of rules that validators use.

use serde_json::{Map, Value};

use super::super::names::normalize_name;

/// Returns true for messages by violated rule: `{"isEmpty": "Value is required"}`.
pub(super) fn is_map_of_rules(object: &Map<String, Value>) -> bool {
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
            value.as_str().is_some_and(|text| text.contains(' '))
                && (name.starts_with('_') || RULES.contains(&normalize_name(name).as_str()))
        })
}
