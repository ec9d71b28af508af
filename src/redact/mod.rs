//! Redaction: decides whether foreign text is clean, keeps the part of it that is, removes leaks from documents, and masks credentials in
//! what the log keeps.
//!
//! Rules are linear-time patterns for *families* of internals (`rules`), searched (`engine`) in every view that a reader could have of
//! a text (`view`). Pure; the only room that makes a [`Text`](crate::text::Text) from an
//! [`Untrusted`](crate::text::Untrusted).
//!
//! | text | one sign of an internal is enough | where |
//! |---|---|---|
//! | message, field, header of an error | any | [`Redactor::clear`], [`Redactor::leaks`] |
//! | document (a page, a success of a guarded route, a file) | what only a failing program writes | [`Redactor::document`] |

mod blocks;
mod credentials;
mod document;
mod encoded;
mod engine;
mod guard;
mod json;
mod pattern;
mod redactor;
mod required;
mod rules;
mod search;
mod sentence;
mod strings;
mod view;

pub use credentials::{mask, masked};
pub use document::Finding;
pub use guard::Guard;
pub use redactor::Redactor;
pub use rules::{Family, Weight};

use engine::{RuleFilter, Steps};

/// Compiles the rules now, so that the first error need not wait for it.
pub fn prepare() {
    // Nothing is found in nothing; the rules are compiled for it.
    let _ = engine::any(b"", RuleFilter::ALL, &mut Steps::of(0));
    mask("", 0);
}

/// True when a text holds something that must not reach a client, by the rules that every operator has.
pub fn leaks(text: &str) -> bool {
    static RULES: std::sync::LazyLock<Redactor> = std::sync::LazyLock::new(Redactor::default);
    RULES.leaks(text)
}

/// A code that only names what was thrown: fit where nothing else was found, not beside an internal.
pub fn is_thrown(code: &str) -> bool {
    let errno = code.len() > 3 && code.starts_with('E') && code.bytes().all(|b| b.is_ascii_uppercase());
    let state = code.len() == 5
        && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && (SQL_STATES.contains(&&code[..2]) || matches!(code, "40001" | "40P01"));
    errno || state || code.ends_with("Error") || code.ends_with("Exception") || code.ends_with("Throwable")
}

/// Classes of SQLSTATE that tell of a failure (ISO 9075-2 24.1).
const SQL_STATES: &[&str] = &["08", "0A", "21", "22", "23", "25", "28", "3D", "3F", "42", "53", "54", "55", "57", "58", "HY", "P0", "XX"];
