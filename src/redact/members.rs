//! The redactor of single JSON values that go into an error response: keeps the parts that are clean, as they were written.
//!
//! A value stands beside a message, so it is judged as strictly as one: any match of a rule counts, and together the parts may not form a
//! trace. Knows no names of an error.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::json;
use super::redactor::Redactor;

/// The maximum depth of objects and lists that are kept.
const MAX_DEPTH: usize = 8;

impl Redactor {
    /// Returns the clean parts of a member of an error as JSON: members, items and strings that hold internals are left out, and so is what
    /// is nested deeper than eight levels. `None` if nothing is left.
    pub fn clear_member(&self, name: &str, value: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(value).ok()?;
        let name = self.clear_name(name)?;
        let mut out = String::with_capacity(value.len());
        self.append(&mut out, &name, raw, 0)?;
        let whole = format!("{{{}:{out}}}", json::quoted(&name));
        (!self.document_leaks(&whole)).then_some(out)
    }

    /// Returns the name if a client may see it and it announces no trace.
    fn clear_name(&self, name: &str) -> Option<String> {
        self.clear_field(name).filter(|name| !json::is_trace_key(name))
    }

    /// Appends the clean parts of a value. Appends nothing and returns `None` if there are none.
    fn append(&self, out: &mut String, name: &str, value: &RawValue, depth: usize) -> Option<()> {
        let text = value.get();
        match text.as_bytes().first()? {
            b'{' | b'[' if depth >= MAX_DEPTH => return None,
            b'{' => {
                let members: IndexMap<String, &RawValue> = serde_json::from_str(text).ok()?;
                let clean = members.iter().filter_map(|(name, value)| Some((self.clear_name(name)?, *value)));
                self.append_all(out, ('{', '}'), clean.map(|(name, value)| (Cow::Owned(name), value)), depth, members.is_empty())?;
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                let clean = items.iter().map(|value| (Cow::Borrowed(name), *value));
                self.append_all(out, ('[', ']'), clean, depth, items.is_empty())?;
            }
            b'"' => {
                let string: String = serde_json::from_str(text).ok()?;
                // A name may make a secret of a word: `password`.
                if self.leaks(&string) || self.leaks(&format!("{name}={string}")) {
                    return None;
                }
                out.push_str(&json::quoted(&string));
            }
            _ => out.push_str(text),
        }
        Some(())
    }

    /// Appends an object or a list. What has parts and none that is clean is left out.
    fn append_all<'v>(
        &self,
        out: &mut String,
        (open, close): (char, char),
        parts: impl Iterator<Item = (Cow<'v, str>, &'v RawValue)>,
        depth: usize,
        is_empty: bool,
    ) -> Option<()> {
        let start = out.len();
        out.push(open);
        for (name, value) in parts {
            let before = out.len();
            if before > start + 1 {
                out.push(',');
            }
            if open == '{' {
                out.push_str(&json::quoted(&name));
                out.push(':');
            }
            if self.append(out, &name, value, depth + 1).is_none() {
                out.truncate(before);
            }
        }
        if out.len() == start + 1 && !is_empty {
            out.truncate(start);
            return None;
        }
        out.push(close);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clear(name: &str, value: &str) -> Option<String> {
        Redactor::default().clear_member(name, value)
    }

    #[test]
    fn clean_values_stay_as_they_were_written() {
        for value in ["30.10", "12345678901234567890123", "null", "[]", "{}", r#"{"a":[1,"x \"y\"",{"b":true}]}"#, "\"가나다\""] {
            assert_eq!(clear("balance", value).as_deref(), Some(value));
        }
    }

    #[test]
    fn what_is_unclean_is_left_out() {
        let value = r#"{"sku":"A-7","dao":"com.acme.orders.OrderDao.find(OrderDao.java:3)","stack":"x","at com.acme.A.b(A.java:1)":1,"n":["SELECT * FROM users WHERE id = 1","fine",{"host":"db.corp.internal"}]}"#;
        assert_eq!(clear("items", value).as_deref(), Some(r#"{"sku":"A-7","n":["fine"]}"#));
        assert_eq!(clear("trace", "\"x\""), None);
        assert_eq!(clear("password", "\"hunter2\""), None);
        assert_eq!(clear("items", r#"["connect ECONNREFUSED 10.20.30.40:5432"]"#), None);
        assert_eq!(clear("items", r#""\ud800""#), None);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(clear("a", &nested(MAX_DEPTH)), Some(nested(MAX_DEPTH)));
        assert_eq!(clear("a", &nested(MAX_DEPTH + 1)), None);
        assert_eq!(clear("a", &nested(1000)), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_kept_is_json(text in "[\\[\\]{}\",:a-z0-9 ]{0,60}") {
            if let Some(kept) = clear("a", &text) {
                proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&kept).is_ok());
            }
        }
    }
}
