//! JSON with its leaks taken out: what is told by its name to be a trace, frames, and findings in names and strings. Every other byte
//! stays as it was written, so numbers keep their digits and names may stand twice.

use super::engine::{Exhausted, Steps};
use super::redactor::Redactor;
use super::rules::Family;
use super::view::View;

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

impl Redactor {
    /// A leaking JSON object or array without what leaks; `None` when the text is neither.
    pub(super) fn json(&self, text: &str, judging: &mut Steps, placing: &mut Steps) -> Option<Result<String, Exhausted>> {
        let is_json = text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        is_json.then(|| {
            let mut pruned = Pruned { redactor: self, text, at: 0, kept: 0, out: String::with_capacity(text.len()), judging, placing };
            pruned.walk(&frames(text))?;
            pruned.out.push_str(&text[pruned.kept..]);
            Ok(pruned.out)
        })
    }
}

/// A walk over sound JSON that copies it.
struct Pruned<'r, 't, 's> {
    redactor: &'r Redactor,
    text: &'t str,
    at: usize,
    /// Everything before it is in `out`, or taken out.
    kept: usize,
    out: String,
    judging: &'s mut Steps,
    placing: &'s mut Steps,
}

impl Pruned<'_, '_, '_> {
    /// Replaces what leaks. `frames` says of each object, in the order in which they open, whether it is a frame of a trace.
    fn walk(&mut self, frames: &[bool]) -> Result<(), Exhausted> {
        let mut opened = 0;
        // Of each object or array that is open: is it an object, is it a frame.
        let mut open: Vec<(bool, bool)> = Vec::new();
        let mut told = false;
        while let Some(byte) = self.text.as_bytes().get(self.at).copied() {
            match byte {
                b'{' | b'[' | b'"' if told => {
                    self.replace(skipped(self.text, self.at), &Family::Trace.placeholder());
                    told = false;
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
                        told = is_name && is_trace_key(&self.text[self.at + 1..end - 1]);
                        self.string(end)?;
                    }
                }
                b',' => {
                    told = false;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    /// A name or a string that ends at `end`.
    fn string(&mut self, end: usize) -> Result<(), Exhausted> {
        // Lenient, so that half of a surrogate pair hides nothing.
        let plain = View::of(&self.text.as_bytes()[self.at + 1..end - 1]).unescaped();
        let plain = String::from_utf8_lossy(&plain.text);
        match self.redactor.pruned_string(&plain, self.judging, self.placing)? {
            Some(clean) => self.replace(end, &clean),
            None => self.at = end,
        }
        Ok(())
    }

    /// Puts a string in the place of what ends at `end`.
    fn replace(&mut self, end: usize, text: &str) {
        self.out.push_str(&self.text[self.kept..self.at]);
        self.out.push_str(&quoted(text));
        (self.at, self.kept) = (end, end);
    }
}

/// Where the string that opens at `at` is over.
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

/// Where the object, array or string that opens at `at` is over.
fn skipped(text: &str, mut at: usize) -> usize {
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

/// Is the string that ends at `end` the name of a member?
fn is_name(text: &str, end: usize) -> bool {
    text.as_bytes()[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

fn is_trace_key(name: &str) -> bool {
    let squashed: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).take(32).collect();
    TRACE_KEYS.contains(&squashed.as_str())
}

/// Of each object, in the order in which they open: is it one frame of a trace, with a file and a line, or a class and a method?
fn frames(text: &str) -> Vec<bool> {
    const FILE: u8 = 1;
    const LINE: u8 = 2;
    const CLASS: u8 = 4;
    const METHOD: u8 = 8;
    let mut seen: Vec<u8> = Vec::new();
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'{' => {
                open.push(Some(seen.len()));
                seen.push(0);
            }
            b'[' => open.push(None),
            b'}' | b']' => drop(open.pop()),
            b'"' => {
                let end = string_end(text, at);
                if let Some(Some(object)) = open.last()
                    && is_name(text, end)
                {
                    seen[*object] |= match &text[at + 1..end - 1] {
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
    seen.into_iter()
        .map(|names| {
            let has = |wanted: u8| names & wanted == wanted;
            has(FILE | LINE) || has(CLASS | METHOD) || has(METHOD | LINE) || has(CLASS | LINE)
        })
        .collect()
}

/// A JSON string; text always has one.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_leak_stays_to_the_digit() {
        let body = r#"{"id":12345678901234567890123,"price":1.10,"ok":true, "id":7,"query":"shoes","file":"a.pdf","stack":"at a.b.C.d(C.java:1)\n at a.b.C.e(C.java:2)","frames":[{"file":"/srv/a.php","line":3,"function":"secret","n":{"a":"b"}}],"trace":{"a":["}"]},"t":[]}"#;
        let clean = Redactor::default().document(body).unwrap();
        assert_eq!(
            clean,
            r#"{"id":12345678901234567890123,"price":1.10,"ok":true, "id":7,"query":"shoes","file":"a.pdf","stack":"[redacted:trace]","frames":[{"file":"[redacted:trace]","line":3,"function":"[redacted:trace]","n":{"a":"b"}}],"trace":"[redacted:trace]","t":[]}"#
        );
    }

    #[test]
    fn what_stands_before_a_finding_stays() {
        let body =
            serde_json::json!({ "a": "important words \u{ac00}C:\\Users\\x tail", "stack": "at a.b.C.d(C.java:1)\nat a.b.C.e(C.java:2)" });
        let clean = Redactor::default().document(&body.to_string()).unwrap();
        assert!(clean.contains("important words") && !clean.contains("Users"), "{clean}");
    }

    const TRACE: &str = r"at com.acme.Order.find(Order.java:42)\n\tat com.acme.Order.run(Order.java:7)";

    #[test]
    fn what_no_reader_takes_is_text_and_not_clean() {
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
    fn names_are_cleaned_too() {
        let body = format!(r#"{{"{TRACE}":1,"postgres://shop:Secret99@db.internal/x":{{"a":2}},"plain":3}}"#);
        let clean = Redactor::default().document(&body).unwrap();
        assert!(!clean.contains("Order") && !clean.contains("Secret99") && clean.contains(r#""plain":3"#), "{clean}");
        assert!(serde_json::from_str::<serde_json::Value>(&clean).is_ok());
    }
}
