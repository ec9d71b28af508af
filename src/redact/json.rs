//! JSON with its leaks taken out: what is told by its name to be a trace, frames, and findings in strings. Every other value
//! stays as it was written, numbers to the digit.

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::Redactor;
use super::document::placeholder;
use super::rules::Family;

/// How deep JSON is followed; what is deeper is taken out whole.
const MAX_DEPTH: usize = 64;
/// Values that are told by their names to be traces, in lower case without `_` and `-`.
const TRACE_KEYS: &[&str] = &[
    "stack",
    "stacktrace",
    "trace",
    "traceback",
    "backtrace",
    "stackframes",
    "exceptiontrace",
    "stacktracestring",
    "exceptiondetails",
    "exception",
    "exceptions",
    "innerexception",
    "debuginfo",
    "debugmessage",
    "bindings",
    "suppressed",
    "exceptiontype",
    "exceptionclass",
    "exceptionmessage",
];

type Object<'r> = IndexMap<String, &'r RawValue>;

impl Redactor {
    /// A leaking JSON object or array without what leaks; `None` when the text is neither.
    pub(super) fn json(&self, text: &str) -> Option<String> {
        let raw = serde_json::from_str::<&RawValue>(text).ok()?;
        matches!(raw.get().as_bytes().first(), Some(b'{' | b'[')).then(|| self.pruned(raw, 0))
    }

    fn pruned(&self, raw: &RawValue, depth: usize) -> String {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => quoted(&placeholder(Family::Trace)),
            Some(b'{') => {
                serde_json::from_str::<Object<'_>>(text).map_or_else(|_| text.to_owned(), |object| self.pruned_object(&object, depth))
            }
            Some(b'[') => {
                let list = serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_default();
                let items: Vec<String> = list.into_iter().map(|item| self.pruned(item, depth + 1)).collect();
                format!("[{}]", items.join(","))
            }
            Some(b'"') => {
                let plain = serde_json::from_str::<String>(text).unwrap_or_default();
                self.pruned_string(&plain).map_or_else(|| text.to_owned(), |clean| quoted(&clean))
            }
            _ => text.to_owned(),
        }
    }

    fn pruned_object(&self, object: &Object<'_>, depth: usize) -> String {
        let is_frame = is_frame(object);
        let entry = |(name, inner): (&String, &&RawValue)| {
            let squashed: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
            let holds_text = matches!(inner.get().as_bytes().first(), Some(b'{' | b'[' | b'"'));
            let told = holds_text && TRACE_KEYS.contains(&squashed.as_str());
            let value = if told || (is_frame && inner.get().starts_with('"')) {
                quoted(&placeholder(Family::Trace))
            } else {
                self.pruned(inner, depth + 1)
            };
            format!("{}:{value}", quoted(name))
        };
        format!("{{{}}}", object.iter().map(entry).collect::<Vec<_>>().join(","))
    }
}

/// An object that is one frame of a trace: a file and a line, or a class and a method.
fn is_frame(object: &Object<'_>) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
    (has(&["file", "fileName", "filename"]) && has(&["line", "lineNumber", "lineno", "line_number", "lineNo"]))
        || (has(&["className", "declaringClass", "class"]) && has(&["methodName", "method", "function"]))
}

/// A JSON string; text always has one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_leak_stays_to_the_digit() {
        let body = r#"{"id":12345678901234567890123,"price":1.10,"ok":true,"query":"shoes","file":"a.pdf","stack":"at a.b.C.d(C.java:1)\n at a.b.C.e(C.java:2)","frames":[{"file":"/srv/a.php","line":3,"function":"secret"}]}"#;
        let clean = Redactor::default().document(body).unwrap();
        assert_eq!(
            clean,
            r#"{"id":12345678901234567890123,"price":1.10,"ok":true,"query":"shoes","file":"a.pdf","stack":"[redacted:trace]","frames":[{"file":"[redacted:trace]","line":3,"function":"[redacted:trace]"}]}"#
        );
    }

    #[test]
    fn what_stands_before_a_finding_stays() {
        let body =
            serde_json::json!({ "a": "important words \u{ac00}C:\\Users\\x tail", "stack": "at a.b.C.d(C.java:1)\nat a.b.C.e(C.java:2)" });
        let clean = Redactor::default().document(&body.to_string()).unwrap();
        assert!(clean.contains("important words") && !clean.contains("Users"), "{clean}");
    }
}
