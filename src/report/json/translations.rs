//! Recognizes messages in several languages: maps of language tags to texts, and lists of texts with their language. Knows no other part of
//! an error.

use serde_json::{Map, Value};

use super::super::names::normalize_name;
use crate::language::Languages;

/// Languages of messages by their tags (ISO 639-1); `by` and `is`, which are words as well, are not among them.
const LANGUAGES: &[&str] = &[
    "ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu", "id", "it", "ja", "ko", "lt",
    "lv", "nb", "nl", "nn", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "th", "tr", "uk", "vi", "zh",
];
/// Tags that are names of fields as well. They make no map of languages on their own.
const WORDS: &[&str] = &["da", "et", "he", "hr", "id", "it", "no", "th"];
/// The maximum number of texts that are compared.
const MAX_TEXTS: usize = 64;

/// Returns true for a map or a list of texts in several languages.
pub(super) fn is_translated(value: &Value) -> bool {
    match value {
        Value::Object(object) => is_by_language(object),
        Value::Array(list) => !list.is_empty() && list.iter().take(MAX_TEXTS).all(|item| tagged(item).is_some()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Returns true for a map of language tags to texts: `{"en": "...", "pt-BR": "..."}`.
pub(super) fn is_by_language(object: &Map<String, Value>) -> bool {
    let is_tag = |name: &str| {
        let (language, region) = name.split_once(['-', '_']).unwrap_or((name, ""));
        LANGUAGES.contains(&language) && region.len() <= 8
    };
    object.iter().all(|(name, value)| is_tag(name) && value.is_string()) && object.keys().any(|name| !WORDS.contains(&name.as_str()))
}

/// Returns the text in the best of the languages of a map or a list.
pub(super) fn best<'v>(value: &'v Value, languages: Languages<'_>) -> Option<&'v str> {
    match value {
        Value::Object(object) => of_map(object, languages),
        Value::Array(list) => {
            let texts = list.iter().take(MAX_TEXTS).filter_map(tagged);
            let best = languages.best(texts.clone().map(|(tag, _)| tag))?;
            texts.map(|(_, text)| text).nth(best)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Returns the text in the best language of a map.
pub(super) fn of_map<'v>(object: &'v Map<String, Value>, languages: Languages<'_>) -> Option<&'v str> {
    let best = languages.best(object.keys().map(String::as_str))?;
    object.values().nth(best)?.as_str()
}

/// Returns the tag and the text of one translation: `{"lang": "en", "text": "..."}`.
fn tagged(value: &Value) -> Option<(&str, &str)> {
    let object = value.as_object().filter(|object| object.len() <= 6)?;
    let member = |names: &[&str]| {
        let of_name = |(name, value): (&String, &'_ Value)| names.contains(&normalize_name(name).as_str()) && value.is_string();
        object.iter().find(|entry| of_name(*entry)).and_then(|(_, value)| value.as_str())
    };
    let tag = member(&["lang", "language", "locale", "languagecode", "languagetag", "culture"])?;
    Some((tag, member(&["text", "message", "value", "translation", "content", "description"])?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn maps_and_lists_of_languages_are_recognized() {
        let german = Languages::new(Some("de"), &[]);
        for value in [
            json!({"en": "Sold out.", "de-DE": "Ausverkauft."}),
            json!([{"lang": "en", "text": "Sold out."}, {"lang": "de", "text": "Ausverkauft."}]),
            json!([{"Locale": "de_AT", "message": "Ausverkauft.", "id": 1}, {"Locale": "en_US", "message": "Sold out."}]),
        ] {
            assert!(is_translated(&value), "{value}");
            assert_eq!((best(&value, german), best(&value, Languages::default())), (Some("Ausverkauft."), Some("Sold out.")), "{value}");
        }
        for value in [json!({"id": "is required"}), json!({"en": 1}), json!({"email": "x"}), json!([]), json!({}), json!(["en"])] {
            assert!(!is_translated(&value), "{value}");
        }
    }
}
