//! Parses JSON text into a bounded tree, and keeps the part before an error, so that a truncated body still has its first members. Knows
//! JSON, and no names.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::text::bounded;

/// The maximum number of values that are kept of one body. The others are skipped without being built.
const MAX_VALUES: usize = 3_000;
/// The maximum length that is kept of one string, in bytes.
const MAX_STRING: usize = 64 * 1024;

/// Parses a JSON object or array. Returns `None` if the text does not start with one, or is invalid before its first value.
pub(super) fn read(text: &str) -> Option<Value> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let mut root = Value::Null;
    let budget = Cell::new(MAX_VALUES);
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Slot { value: &mut root, budget: &budget }.deserialize(&mut reader);
    let has_content = match &root {
        Value::Object(object) => !object.is_empty(),
        Value::Array(list) => list.iter().any(|item| !item.is_null()),
        _ => false,
    };
    (read.is_ok() || has_content).then_some(root)
}

/// The place in the tree that a value is parsed into, so that a later error does not lose it.
struct Slot<'a> {
    value: &'a mut Value,
    budget: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Slot<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.budget.get().checked_sub(1) {
            Some(rest) => {
                self.budget.set(rest);
                deserializer.deserialize_any(self)
            }
            None => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
        }
    }
}

impl<'de> Visitor<'de> for Slot<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        *self.value = Value::Bool(value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        *self.value = value.into();
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        *self.value = value.into();
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        *self.value = Number::from_f64(value).map_or(Value::Null, Value::Number);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        *self.value = Value::String(bounded(text, MAX_STRING).to_owned());
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        *self.value = Value::Array(Vec::new());
        let Value::Array(list) = self.value else { return Ok(()) };
        loop {
            if self.budget.get() == 0 {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(());
            }
            list.push(Value::Null);
            let Some(last) = list.last_mut() else { return Ok(()) };
            if items.next_element_seed(Slot { value: last, budget: self.budget })?.is_none() {
                list.pop();
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        *self.value = Value::Object(Map::new());
        let Value::Object(object) = self.value else { return Ok(()) };
        while self.budget.get() > 0 {
            let Some(name) = entries.next_key::<String>()? else { return Ok(()) };
            entries.next_value_seed(Slot { value: object.entry(name).or_insert(Value::Null), budget: self.budget })?;
        }
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_texts_are_parsed_as_by_serde() {
        for text in [r#"{"a":[1,-2,0.5,true,null,"x\n"],"b":{"c":{}}}"#, "[]", "{}"] {
            assert_eq!(read(text), serde_json::from_str(text).ok(), "{text}");
        }
        assert_eq!(read("\"text\""), None);
        assert_eq!(read("{oops"), None);
    }

    #[test]
    fn truncated_texts_keep_their_first_members() {
        let value = read(r#"{"code":"E1","message":"The order is locked.","trace":"at x"#).unwrap();
        assert_eq!((value["code"].as_str(), value["message"].as_str()), (Some("E1"), Some("The order is locked.")));
    }

    #[test]
    fn wide_and_deep_texts_are_bounded() {
        let wide = format!("[{}1]", "1,".repeat(500_000));
        assert!(read(&wide).unwrap().as_array().unwrap().len() <= MAX_VALUES);
        let deep = "[".repeat(100_000);
        assert!(read(&deep).is_some());
    }
}
