//! TOML values as JSON values, and back as text. Knows no keys.

use serde_json::{Map, Value};
use toml::de::DeValue;

/// Returns a TOML value as JSON. Members keep the order of the text, and a time becomes a string.
pub fn of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Null, Value::from),
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(is) => Value::from(*is),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(list) => list.iter().map(|item| of(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let mut members: Vec<_> = table.iter().collect();
            members.sort_by_key(|(key, _)| key.span().start);
            let members = members.into_iter().map(|(key, value)| (key.get_ref().to_string(), of(value.get_ref())));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

/// Returns a value as TOML, on one line. TOML has no null, which becomes an empty string.
pub fn toml(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(list) => format!("[{}]", list.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| format!("{} = {}", key_of(key), toml(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Returns a key as TOML: bare if it can be.
pub fn key_of(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if is_bare { key.to_owned() } else { quoted(key) }
}

/// A basic string of TOML. Its escapes are those of JSON, and DEL has to be escaped too.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(text in "\\PC{0,12}|[\\x00-\\x7f]{0,12}", key in "\\PC{0,6}", number in proptest::num::i64::ANY) {
            let value = serde_json::json!({ key: [text, number, true, {"a": {}}] });
            let written = format!("v = {}", toml(&value));
            let (root, errors) = toml::de::DeTable::parse_recoverable(&written);
            proptest::prop_assert!(errors.is_empty(), "{written}");
            proptest::prop_assert_eq!(of(root.get_ref().get("v").unwrap().get_ref()), value);
        }
    }
}
