//! Decides which texts of a configuration may be shown. Knows no keys.
//!
//! An environment variable or a file may hold a secret, so such a text is shown as it is written, unless a text of its format can hold
//! none. A credential that stands in the file itself is masked.

use serde_json::Value;

use super::effective::Content;
use crate::config::expand::{self, Surroundings};
use crate::config::schema::KeyInfo;
use crate::redact;
use crate::text::Secret;

/// What stands for a credential.
const MASK: &str = "***";

/// Returns the value of a key as it may be shown.
pub(super) fn content(key: &KeyInfo, written: Value, around: &Surroundings<'_>) -> Content {
    let shown = each_text(&written, &key.name, &|name, text| match key.kind.is_plain() {
        true => expand::environment(text, around.variable).unwrap_or_else(|_| text.to_owned()),
        false if key.secret => reference(name, text),
        false if text.contains("${") => text.to_owned(),
        false => masked(name, text),
    });
    let whole = each_text(&written, &key.name, &|_, text| {
        let text = expand::environment(text, around.variable).unwrap_or_else(|_| text.to_owned());
        if key.secret { expand::secret(&text, around).unwrap_or(text) } else { text }
    });
    let hidden = (whole != shown).then(|| Secret::new(whole.to_string()));
    Content::Value { shown, hidden }
}

/// Applies a function to every text of a value, with the key that it stands at.
fn each_text(value: &Value, name: &str, change: &dyn Fn(&str, &str) -> String) -> Value {
    match value {
        Value::String(text) => Value::from(change(name, text)),
        Value::Array(list) => list.iter().map(|item| each_text(item, name, change)).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), each_text(value, key, change))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The text of a secret: what it refers to is shown, and nothing that is a secret itself.
fn reference(name: &str, text: &str) -> String {
    let mut rest = text.to_owned();
    while let Some((before, name)) = rest.split_once("${") {
        let after = name.split_once('}').map_or("", |(_, after)| after);
        rest = [before, after].concat();
    }
    if text.starts_with("file:") || masked(name, &rest) == rest { text.to_owned() } else { MASK.to_owned() }
}

/// A text without credentials. The name of a header or key can tell that its value is one.
fn masked(name: &str, text: &str) -> String {
    let line = format!("{name}: {text}");
    if redact::masked(&line) == line { text.to_owned() } else { MASK.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_secret_refers_to_is_shown() {
        for text in ["${URL}", "file:/run/token", "redis://:${PASSWORD}@h:6379", "redis://h:6379", "${A}${B}"] {
            assert_eq!(reference("url", text), text);
        }
        for text in ["redis://:hunter2@h", "redis://:hunter2@${HOST}", "rediss://user:x${REST}@h"] {
            assert_eq!(reference("url", text), MASK, "{text}");
        }
        assert_eq!(reference("admin_token", "hunter2"), MASK);
    }
}
