//! Redacts JSON: values whose names denote a trace, objects that are frames of a trace, and findings in names and strings. Copies all other
//! bytes unchanged, so numbers keep their digits and duplicate names remain. Knows no rule and no format of errors.

use super::engine::{Exhausted, Steps};
use super::redactor::Redactor;
use super::rules::Family;
use super::view::View;

/// The names whose values are traces, in lower case without `_` and `-`.
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

impl Redactor {
    /// Redacts a leaking JSON object or array. Returns `None` if the text is neither.
    pub(super) fn redacted_json(
        &self,
        text: &str,
        detect_steps: &mut Steps,
        locate_steps: &mut Steps,
    ) -> Option<Result<String, Exhausted>> {
        let is_json = text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        is_json.then(|| {
            let mut redaction =
                JsonRedaction { redactor: self, text, at: 0, kept: 0, out: String::with_capacity(text.len()), detect_steps, locate_steps };
            redaction.walk(&frames(text))?;
            redaction.out.push_str(&text[redaction.kept..]);
            Ok(redaction.out)
        })
    }
}

/// A walk over valid JSON that copies it to `out`.
struct JsonRedaction<'r, 't, 's> {
    redactor: &'r Redactor,
    text: &'t str,
    at: usize,
    /// The position before which the text is already copied or replaced.
    kept: usize,
    out: String,
    detect_steps: &'s mut Steps,
    locate_steps: &'s mut Steps,
}

impl JsonRedaction<'_, '_, '_> {
    /// Walks the text and replaces leaks. `frames` holds, for each object in the order of their opening braces, whether it is a frame.
    fn walk(&mut self, frames: &[bool]) -> Result<(), Exhausted> {
        let mut opened = 0;
        // For each open object or array: whether it is an object, and whether it is a frame.
        let mut open: Vec<(bool, bool)> = Vec::new();
        let mut after_trace_key = false;
        while let Some(byte) = self.text.as_bytes().get(self.at).copied() {
            match byte {
                b'{' | b'[' | b'"' if after_trace_key => {
                    self.replace(value_end(self.text, self.at), &Family::Trace.placeholder());
                    after_trace_key = false;
                }
                b'{' => {
                    open.push((true, frames.get(opened).copied().unwrap_or(true)));
                    opened += 1;
                    self.at += 1;
                }
                b'[' => {
                    open.push((false, false));
                    self.at += 1;
                }
                b'}' | b']' => {
                    open.pop();
                    self.at += 1;
                }
                b'"' => {
                    let end = string_end(self.text, self.at);
                    let (in_object, in_frame) = open.last().copied().unwrap_or_default();
                    let is_name = in_object && is_name(self.text, end);
                    if in_frame && !is_name {
                        self.replace(end, &Family::Trace.placeholder());
                    } else {
                        after_trace_key = is_name && is_trace_key(&self.text[self.at + 1..end - 1]);
                        self.string(end)?;
                    }
                }
                b',' => {
                    after_trace_key = false;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    /// Redacts a name or a string that ends at `end`.
    fn string(&mut self, end: usize) -> Result<(), Exhausted> {
        // The lenient decoder reads past a lone surrogate, which a JSON parser rejects.
        let plain = View::of(&self.text.as_bytes()[self.at + 1..end - 1]).unescaped();
        let plain = String::from_utf8_lossy(&plain.text);
        match self.redactor.redacted_string(&plain, self.detect_steps, self.locate_steps)? {
            Some(clean) => self.replace(end, &clean),
            None => self.at = end,
        }
        Ok(())
    }

    /// Replaces the value from `at` to `end` with a string.
    fn replace(&mut self, end: usize, text: &str) {
        self.out.push_str(&self.text[self.kept..self.at]);
        self.out.push_str(&quoted(text));
        (self.at, self.kept) = (end, end);
    }
}

/// Returns the end of the string that opens at `at`.
fn string_end(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let mut end = at + 1;
    while let Some(found) = bytes.get(end..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        end += found + 1;
        if bytes[end - 1] == b'"' {
            return end;
        }
        end += 1;
    }
    text.len()
}

/// Returns the end of the object, array or string that opens at `at`.
fn value_end(text: &str, mut at: usize) -> usize {
    let mut depth = 0_usize;
    loop {
        match text.as_bytes().get(at) {
            None => return text.len(),
            Some(b'"') => at = string_end(text, at),
            Some(b'{' | b'[') => {
                depth += 1;
                at += 1;
            }
            Some(b'}' | b']') => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            Some(_) => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
}

/// Returns true if the string that ends at `end` is the name of a member.
fn is_name(text: &str, end: usize) -> bool {
    text.as_bytes()[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

pub(super) fn is_trace_key(name: &str) -> bool {
    let squashed: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).take(32).collect();
    TRACE_KEYS.contains(&squashed.as_str())
}

/// Returns, for each object in the order of their opening braces, whether it is a frame of a trace: it has a file and a line, or a class
/// and a method, or the line of a class or a method.
fn frames(text: &str) -> Vec<bool> {
    const FILE: u8 = 1;
    const LINE: u8 = 2;
    const CLASS: u8 = 4;
    const METHOD: u8 = 8;
    let mut members: Vec<u8> = Vec::new();
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'{' => {
                open.push(Some(members.len()));
                members.push(0);
            }
            b'[' => open.push(None),
            b'}' | b']' => drop(open.pop()),
            b'"' => {
                let end = string_end(text, at);
                if let Some(Some(object)) = open.last()
                    && is_name(text, end)
                {
                    members[*object] |= match &text[at + 1..end - 1] {
                        "file" | "fileName" | "filename" => FILE,
                        "line" | "lineNumber" | "lineno" | "line_number" | "lineNo" => LINE,
                        "className" | "declaringClass" | "class" => CLASS,
                        "methodName" | "method" | "function" => METHOD,
                        _ => 0,
                    };
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    members
        .into_iter()
        .map(|names| {
            let has = |required: u8| names & required == required;
            has(FILE | LINE) || has(CLASS | METHOD) || has(METHOD | LINE) || has(CLASS | LINE)
        })
        .collect()
}

/// Returns the text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_values_are_copied_verbatim() {
        let body = r#"{"id":12345678901234567890123,"price":1.10,"ok":true, "id":7,"query":"shoes","file":"a.pdf","stack":"at a.b.C.d(C.java:1)\n at a.b.C.e(C.java:2)","frames":[{"file":"/srv/a.php","line":3,"function":"secret","n":{"a":"b"}}],"trace":{"a":["}"]},"t":[]}"#;
        let clean = Redactor::default().document(body).unwrap();
        assert_eq!(
            clean,
            r#"{"id":12345678901234567890123,"price":1.10,"ok":true, "id":7,"query":"shoes","file":"a.pdf","stack":"[redacted:trace]","frames":[{"file":"[redacted:trace]","line":3,"function":"[redacted:trace]","n":{"a":"b"}}],"trace":"[redacted:trace]","t":[]}"#
        );
    }

    #[test]
    fn text_before_a_finding_is_kept() {
        let body =
            serde_json::json!({ "a": "important words \u{ac00}C:\\Users\\x tail", "stack": "at a.b.C.d(C.java:1)\nat a.b.C.e(C.java:2)" });
        let clean = Redactor::default().document(&body.to_string()).unwrap();
        assert!(clean.contains("important words") && !clean.contains("Users"), "{clean}");
    }

    const TRACE: &str = r"at com.acme.Order.find(Order.java:42)\n\tat com.acme.Order.run(Order.java:7)";

    #[test]
    fn leaks_in_invalid_json_are_removed() {
        let deep = format!("{}\"{TRACE}\"{}", "[".repeat(300), "]".repeat(300));
        let bodies = [
            format!(r#"{{"note":"\ud800","detail":"{TRACE}"}}"#),
            format!(r#"{{"detail":"\ud800 {TRACE}"}}"#),
            format!(r#"{{"\udc00":"{TRACE}"}}"#),
            format!(r#"{{"n":NaN,"detail":"{TRACE}"}}"#),
            format!(r#"{{"a":"x","a":"{TRACE}","a":"y"}}"#),
            format!("\u{feff}{{\"detail\":\"{TRACE}\"}}"),
            format!("{{/* why */\"detail\":\"{TRACE}\"}}"),
            format!("{{\"detail\":\"{TRACE}\"}}{{\"detail\":\"{TRACE}\"}}"),
            format!("{{\"detail\":\"{TRACE}\",}}"),
            deep,
        ];
        for body in bodies {
            let clean = Redactor::default().document(&body).unwrap_or_else(|| panic!("taken for clean: {body}"));
            assert!(!clean.contains("Order"), "{clean}");
        }
    }

    #[test]
    fn leaks_in_names_are_removed() {
        let body = format!(r#"{{"{TRACE}":1,"postgres://shop:Secret99@db.internal/x":{{"a":2}},"plain":3}}"#);
        let clean = Redactor::default().document(&body).unwrap();
        assert!(!clean.contains("Order") && !clean.contains("Secret99") && clean.contains(r#""plain":3"#), "{clean}");
        assert!(serde_json::from_str::<serde_json::Value>(&clean).is_ok());
    }
}
