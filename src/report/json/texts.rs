//! Tells messages and machine codes from other texts. Knows single values, and no structure of a body.

use serde_json::Value;

use super::super::names::{self, CODE, NormalizedObject, REQUEST_PARTS, normalize_name};
use super::super::phrases::is_status_phrase;
use crate::text::Untrusted;

pub(super) fn sentence(text: &str) -> Option<Untrusted> {
    let text = text.trim();
    // JSON in a string is data, not a sentence.
    if text.starts_with(['{', '[']) && serde_json::from_str::<Value>(text).is_ok() {
        return None;
    }
    let single_token = !text.contains(char::is_whitespace) && text.is_ascii();
    // A lone token is a code, a path or a type, not a sentence.
    let code = single_token && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let snake = single_token && text.contains(['_', '-']) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let path = single_token && text.contains('/');
    (!text.is_empty() && !code && !snake && !path && !is_key(text) && text.chars().any(char::is_alphabetic) && !is_status_phrase(text))
        .then(|| Untrusted::new(text))
}

/// Returns true for the key of a message: `cart.empty`, `errors.user.notFound`.
pub(super) fn is_key(text: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    text.contains('.') && text.split('.').all(is_part)
}

/// Returns the machine code in a value: a token other than the HTTP status, a generic word or a URI.
pub(super) fn code(name: &str, value: &Value) -> Option<Untrusted> {
    match value {
        Value::String(text) => {
            // Typed protocols write `namespace#Code`.
            let text = if text.contains("://") { text } else { text.rsplit('#').next().unwrap_or(text) };
            let token =
                (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'));
            let ambiguous = is_ambiguous(name);
            let uri = text.starts_with("about:") || text.starts_with("urn:");
            (token && !uri && (!ambiguous || is_code_like(name, text)) && !is_status_number(text) && !is_generic_word(name, text))
                .then(|| Untrusted::new(text))
        }
        Value::Number(number) if names::is_code(name) || (CODE.contains(&name) && !is_ambiguous(name)) => {
            let text = number.to_string();
            (!is_status_number(&text) && text != "0").then(|| Untrusted::new(text))
        }
        _ => None,
    }
}

/// Returns the machine code of one item of a list.
pub(super) fn code_of(named: &NormalizedObject<'_>) -> Option<Untrusted> {
    named.first(&["code", "errorcode", "errcode", "reason", "type", "keyword", "rule"], code)
}

/// Returns the machine code of an error about a field: which rule the value violates.
pub(super) fn code_of_field(named: &NormalizedObject<'_>) -> Option<Untrusted> {
    const NAMES: &[&str] =
        &["code", "errorcode", "errcode", "type", "rule", "keyword", "validatorkey", "validator", "constraint", "kind", "reason"];
    named.first(NAMES, |name, value| match value {
        Value::String(text) if is_name_of_rule(text) => Some(Untrusted::new(text.as_str())),
        Value::Number(_) => code(name, value),
        _ => None,
    })
}

/// Returns the machine code in the name of a rule, in a map of violated rules to messages.
pub(super) fn code_of_rule(name: &str) -> Option<Untrusted> {
    is_name_of_rule(name).then(|| Untrusted::new(name))
}

/// Returns true for a token other than a URI, a status, the type of a value, or the part of a request.
fn is_name_of_rule(text: &str) -> bool {
    const OTHERS: &[&str] = &[
        "field",
        "string",
        "number",
        "integer",
        "int",
        "float",
        "boolean",
        "bool",
        "array",
        "object",
        "null",
        "date",
        "alternative",
        "error",
        "validation",
        "validationerror",
    ];
    let is_token =
        (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'));
    let normalized = normalize_name(text);
    is_token
        && !text.starts_with("about:")
        && !text.starts_with("urn:")
        && !is_status_number(text)
        && !OTHERS.contains(&normalized.as_str())
        && !REQUEST_PARTS.contains(&normalized.as_str())
}

/// Returns true if members with this name hold words, classes or ids as often as codes.
fn is_ambiguous(name: &str) -> bool {
    matches!(name, "error" | "err" | "reason" | "name" | "key" | "status" | "id" | "slug" | "title" | "type" | "errortype")
}

/// Returns true if the value of an ambiguous name is written like a code (`invalid_grant`, `E42`), not like a word, a class or an id.
pub(super) fn is_code_like(name: &str, text: &str) -> bool {
    let upper = text.len() > 2 && !text.bytes().any(|b| b.is_ascii_lowercase()) && text.bytes().any(|b| b.is_ascii_uppercase());
    match name {
        "id" => upper && text.contains('_'),
        "status" => upper && text.contains('_'),
        "type" | "errortype" => text.contains(['_', '-']) || upper || (pascal_case_words(text) > 1 && !text.ends_with("Exception")),
        "name" => text.contains('_') || upper || (pascal_case_words(text) > 1 && !text.ends_with("Error") && !text.ends_with("Exception")),
        // `AlreadyExists` is a machine-readable reason.
        "reason" => text.contains('_') || upper || pascal_case_words(text) > 1 || is_key(text),
        // `order-locked` and `RecordInvalid` are codes; an exception class (`TypeError`) is not.
        "error" => {
            text.contains(['_', '-'])
                || upper
                || is_key(text)
                || (pascal_case_words(text) > 1
                    && !text.ends_with("Error")
                    && !text.ends_with("Exception")
                    && !is_status_phrase(&split_words(text)))
        }
        _ => text.contains('_') || upper || is_key(text),
    }
}

/// Returns the words of a token in lower case: `NOT_FOUND`, `not-found` and `NotFound` are `not found`.
pub(super) fn words_of(text: &str) -> String {
    let is_camel = text.bytes().any(|b| b.is_ascii_lowercase());
    let mut words = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '_' | '-' => words.push(' '),
            'A'..='Z' if is_camel => words.extend([' ', c.to_ascii_lowercase()]),
            _ => words.push(c.to_ascii_lowercase()),
        }
    }
    words.truncate(words.trim_end().len());
    let leading = words.len() - words.trim_start().len();
    words.drain(..leading);
    words
}

/// Inserts a space before each capital letter: `NotFound` becomes ` Not Found`.
fn split_words(text: &str) -> String {
    text.chars().flat_map(|c| c.is_ascii_uppercase().then_some(' ').into_iter().chain([c])).collect()
}

fn pascal_case_words(text: &str) -> usize {
    let letters = text.bytes().all(|b| b.is_ascii_alphabetic());
    if letters && text.starts_with(|c: char| c.is_ascii_uppercase()) { text.bytes().filter(u8::is_ascii_uppercase).count() } else { 0 }
}

/// Returns true for `type: "error"` and other words that any failure may have.
fn is_generic_word(name: &str, text: &str) -> bool {
    name == "type"
        && matches!(
            text.to_ascii_lowercase().as_str(),
            "error" | "exception" | "failure" | "fault" | "problem" | "api_error" | "object" | "string"
        )
}

fn is_status_number(text: &str) -> bool {
    text.len() == 3 && text.parse::<u16>().is_ok_and(|n| (400..600).contains(&n))
}
