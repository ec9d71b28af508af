//! The redactor of single JSON values that go into an error response: keeps the parts that are clean, as they were written.
//!
//! A value stands beside a message, so it is judged as strictly as one: any match of a rule counts, and together the parts may not form a
//! trace. Knows no names of an error.

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::json;
use super::redactor::Redactor;

/// The maximum depth of objects and lists that are kept.
const MAX_DEPTH: usize = 8;
/// The maximum number of values that are inspected. Each costs a search of all rules.
const MAX_VALUES: usize = 500;

impl Redactor {
    /// Returns the clean parts of the members of an error as a JSON object of at most `max` bytes. Left out are members, items and strings
    /// that hold internals, what is nested deeper than eight levels, values after the first 500, and a member that does not fit. `None` if
    /// nothing is left.
    pub fn clear_members(&self, members: &[(String, String)], max: usize) -> Option<String> {
        let mut walk = Walk { redactor: self, left: MAX_VALUES };
        let mut kept = String::new();
        for (name, value) in members {
            let Some(member) = walk.member(name, value) else { continue };
            if kept.len() + member.len() + 2 <= max {
                kept.push(if kept.is_empty() { '{' } else { ',' });
                kept.push_str(&member);
            }
        }
        (!kept.is_empty()).then(|| kept + "}")
    }

    /// Returns the name if a client may see it and it announces no trace.
    fn clear_name(&self, name: &str) -> Option<String> {
        self.clear_field(name).filter(|name| !json::is_trace_key(name))
    }
}

/// The inspection of all members of one error.
struct Walk<'r> {
    redactor: &'r Redactor,
    /// Values that may still be inspected.
    left: usize,
}

impl Walk<'_> {
    /// Returns a member with its clean parts, as `"name":value`.
    fn member(&mut self, name: &str, value: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(value).ok()?;
        let name = self.redactor.clear_name(name)?;
        let mut out = format!("{}:", json::quoted(&name));
        self.append(&mut out, &name, raw, 0)?;
        (!self.redactor.document_leaks(&format!("{{{out}}}"))).then_some(out)
    }

    /// Appends the clean parts of a value. Appends nothing and returns `None` if there are none.
    fn append(&mut self, out: &mut String, name: &str, value: &RawValue, depth: usize) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        let text = value.get();
        match text.as_bytes().first()? {
            b'{' | b'[' if depth >= MAX_DEPTH => return None,
            b'{' => self.append_object(out, text, depth)?,
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                let parts = items.iter().map(|value| (None, *value));
                self.append_parts(out, ('[', ']'), (name, depth), parts)?;
            }
            b'"' => {
                let string: String = serde_json::from_str(text).ok()?;
                // A name may make a secret of a word: `password`.
                if self.redactor.leaks(&string) || self.redactor.leaks(&format!("{name}={string}")) {
                    return None;
                }
                out.push_str(&json::quoted(&string));
            }
            _ => out.push_str(text),
        }
        Some(())
    }

    fn append_object(&mut self, out: &mut String, text: &str, depth: usize) -> Option<()> {
        let members: IndexMap<String, &RawValue> = serde_json::from_str(text).ok()?;
        let parts = members.iter().map(|(name, value)| (Some(name.as_str()), *value));
        self.append_parts(out, ('{', '}'), ("", depth), parts)
    }

    /// Appends an object or a list. What has parts and none that is clean is left out. An item has the name of its list.
    fn append_parts<'v>(
        &mut self,
        out: &mut String,
        (open, close): (char, char),
        (of_list, depth): (&str, usize),
        parts: impl ExactSizeIterator<Item = (Option<&'v str>, &'v RawValue)>,
    ) -> Option<()> {
        let (start, is_empty) = (out.len(), parts.len() == 0);
        out.push(open);
        // What comes when nothing may be inspected any more is not looked at.
        for (name, value) in parts.take(self.left) {
            let before = out.len();
            if before > start + 1 {
                out.push(',');
            }
            if self.append_part(out, name, of_list, (value, depth)).is_none() {
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

    fn append_part(&mut self, out: &mut String, name: Option<&str>, of_list: &str, (value, depth): (&RawValue, usize)) -> Option<()> {
        let Some(name) = name else { return self.append(out, of_list, value, depth + 1) };
        let name = self.redactor.clear_name(name)?;
        out.push_str(&json::quoted(&name));
        out.push(':');
        self.append(out, &name, value, depth + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of the only member.
    fn clear(name: &str, value: &str) -> Option<String> {
        let kept = Redactor::default().clear_members(&[(name.to_owned(), value.to_owned())], 64 * 1024)?;
        Some(kept.strip_prefix(&format!("{{\"{name}\":"))?.strip_suffix('}')?.to_owned())
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

    #[test]
    fn values_and_bytes_are_bounded() {
        let many = format!("[{}1]", "1,".repeat(1000));
        assert_eq!(clear("a", &many).unwrap().matches('1').count(), MAX_VALUES - 1);
        let member = |name: &str, length: usize| (name.to_owned(), format!("\"{}\"", "x ".repeat(length / 2)));
        let kept = Redactor::default().clear_members(&[member("a", 60), member("b", 60), member("c", 10)], 100).unwrap();
        let names: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&kept).unwrap();
        assert_eq!((names.keys().map(String::as_str).collect::<Vec<_>>(), kept.len() <= 100), (vec!["a", "c"], true));
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
