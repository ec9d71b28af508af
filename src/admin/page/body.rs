//! The body of a message as a page shows it: what was removed for the client is marked with the family of its rule, and JSON is laid out.
//!
//! Pure functions. The pieces together are the whole text; templates escape them.

use crate::redact::Redactor;

/// The longest body that is laid out and coloured, in bytes. A longer one is shown as it is.
const MAX_LAID_OUT: usize = 64 * 1024;
/// The most of a body that a page shows, in bytes. The export as JSON has all of it.
const MAX_SHOWN: usize = 128 * 1024;
/// The deepest nesting that is laid out.
const MAX_DEPTH: usize = 32;

/// A piece of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// The class of its colour; may be empty.
    pub(super) class: &'static str,
    /// The family of the rule that has removed it; empty if the client may see it.
    pub(super) family: &'static str,
    /// The piece ends what the rule has found, and gets the name of the family.
    pub(super) ends: bool,
}

/// A body.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    pub(super) pieces: Vec<Piece>,
    /// The families of the rules with the number of what they found.
    pub(super) families: Vec<(&'static str, usize)>,
    /// The body is longer than what is shown.
    pub(super) is_cut: bool,
}

/// Makes characters visible that would show as something else: controls, and those that change the direction of text.
pub(super) fn visible(text: &str) -> String {
    let is_hidden = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if !text.contains(is_hidden) {
        return text.to_owned();
    }
    let text = text.replace("\r\n", "\n");
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if !is_hidden(c) => out.push(c),
            '\0'..='\u{1f}' => out.extend(char::from_u32(0x2400 + c as u32)),
            '\u{7f}' => out.push('\u{2421}'),
            _ => out.push_str(&format!("⟨U+{:04X}⟩", c as u32)),
        }
    }
    out
}

impl Body {
    /// Reads a body. With a redactor, what it finds is marked.
    pub(super) fn new(text: &str, redactor: Option<&Redactor>) -> Self {
        let shown = crate::text::bounded(text, MAX_SHOWN);
        let is_cut = shown.len() < text.len();
        let laid_out = if shown.len() <= MAX_LAID_OUT { laid_out(shown) } else { None };
        let is_json = laid_out.is_some();
        let text = laid_out.unwrap_or_else(|| shown.to_owned());
        let findings = redactor.map(|redactor| redactor.findings(&text)).unwrap_or_default();
        let mut families: Vec<(&'static str, usize)> = Vec::new();
        for word in findings.iter().map(|finding| finding.family.word()) {
            match families.iter_mut().find(|(known, _)| *known == word) {
                Some((_, count)) => *count += 1,
                None => families.push((word, 1)),
            }
        }
        let tokens = if is_json { tokens(&text) } else { Vec::new() };
        let mut pieces = Vec::new();
        let mut at = 0;
        for finding in &findings {
            push_coloured(&text, at..finding.span.start, &tokens, &mut pieces);
            if let Some(found) = text.get(finding.span.clone()).filter(|found| !found.is_empty()) {
                pieces.push(Piece { text: visible(found), class: "", family: finding.family.word(), ends: true });
            }
            at = finding.span.end;
        }
        push_coloured(&text, at..text.len(), &tokens, &mut pieces);
        Self { pieces, families, is_cut }
    }

    /// Returns the texts that rules have found.
    pub(super) fn found(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter(|piece| !piece.family.is_empty()).map(|piece| piece.text.as_str())
    }
}

/// Adds a stretch of text, cut where colours change.
fn push_coloured(text: &str, range: std::ops::Range<usize>, tokens: &[(std::ops::Range<usize>, &'static str)], pieces: &mut Vec<Piece>) {
    let mut push = |from: usize, to: usize, class: &'static str| {
        if let Some(part) = text.get(from..to).filter(|part| !part.is_empty()) {
            pieces.push(Piece { text: visible(part), class, family: "", ends: false });
        }
    };
    let mut at = range.start;
    let first = tokens.partition_point(|(span, _)| span.end <= range.start);
    for (span, class) in tokens.iter().skip(first).take_while(|(span, _)| span.start < range.end) {
        let (from, to) = (span.start.max(at), span.end.min(range.end));
        push(at, from, "");
        push(from, to, class);
        at = to.max(at);
    }
    push(at, range.end, "");
}

/// Lays JSON of one line out without a change of its tokens. `None` if the text is no JSON. Text that has lines already stays as it is.
fn laid_out(text: &str) -> Option<String> {
    let trimmed = text.trim();
    if !trimmed.starts_with(['{', '[']) || serde_json::from_str::<&serde_json::value::RawValue>(trimmed).is_err() {
        return None;
    }
    if trimmed.contains('\n') {
        return Some(text.to_owned());
    }
    let mut out = String::with_capacity(trimmed.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut chars = trimmed.chars().peekable();
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|c| c.is_whitespace()).is_some() {}
                if let Some(close) = chars.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ if c.is_whitespace() => {}
            _ => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    Some(out)
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth.min(MAX_DEPTH) {
        out.push_str("  ");
    }
}

/// Finds what is coloured in JSON: names, texts and other values.
fn tokens(text: &str) -> Vec<(std::ops::Range<usize>, &'static str)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let start = at;
        match byte {
            b'"' => {
                at += 1;
                while let Some(byte) = bytes.get(at).filter(|byte| **byte != b'"') {
                    at += if *byte == b'\\' { 2 } else { 1 };
                }
                at = (at + 1).min(bytes.len());
                let is_name = bytes.iter().skip(at).find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                found.push((start..at, if is_name { "tok-name" } else { "tok-text" }));
            }
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                while bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')) {
                    at += 1;
                }
                found.push((start..at, "tok-value"));
            }
            _ => at += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(body: &Body) -> String {
        body.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }

    #[test]
    fn json_of_one_line_is_laid_out_with_the_same_tokens() {
        let body = Body::new(r#"{"a":1.50,"b":[],"c":{"d":"x\"{,:}","e":[true,null]}}"#, None);
        let wanted =
            "{\n  \"a\": 1.50,\n  \"b\": [],\n  \"c\": {\n    \"d\": \"x\\\"{,:}\",\n    \"e\": [\n      true,\n      null\n    ]\n  }\n}";
        assert_eq!(joined(&body), wanted);
        assert!(body.pieces.iter().any(|piece| piece.class == "tok-name" && piece.text == "\"a\""));
        assert!(body.pieces.iter().any(|piece| piece.class == "tok-value" && piece.text == "1.50"));
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in ["<html>", "{not json", "", "a\n\tb", "{\"a\":\n1}"] {
            assert_eq!(joined(&Body::new(text, None)), text);
        }
    }

    #[test]
    fn what_rules_find_is_marked_with_their_family() {
        let text = "java.sql.SQLException: ORA-00942\n\tat com.shop.OrderDao.find(OrderDao.java:42)\n\tat com.shop.Api.get(Api.java:7)\n";
        let body = Body::new(text, Some(&Redactor::default()));
        assert!(body.found().any(|found| found.contains("OrderDao.java:42")), "{body:?}");
        assert!(body.families.iter().any(|(family, _)| matches!(*family, "class" | "trace")), "{:?}", body.families);
        assert_eq!(joined(&body), text);
    }

    #[test]
    fn hidden_characters_are_shown() {
        assert_eq!(visible("a\u{202e}b\u{7}c\u{7f}\n"), "a⟨U+202E⟩b␇c␡\n");
        assert_eq!(visible("a\r\nb"), "a\nb");
    }

    #[test]
    fn long_bodies_are_cut() {
        let body = Body::new(&"x".repeat(MAX_SHOWN + 1), None);
        assert!(body.is_cut && joined(&body).len() == MAX_SHOWN);
    }
}
