//! Redaction: decides whether text from an upstream is free of internals, keeps the clean part of it, removes leaks from documents, and
//! masks credentials in the log.
//!
//! `rules` holds linear-time patterns for *families* of internals; `engine` searches them in every view of a text (`view`), so that an
//! encoding hides nothing. The module is pure: it does no I/O and knows neither HTTP nor formats of errors. It is the only module that
//! makes a [`Text`](crate::text::Text) from an [`Untrusted`](crate::text::Untrusted).
//!
//! | text | leaks if it holds | method |
//! |---|---|---|
//! | message, field or header of an error | a match of any rule | [`Redactor::clear`], [`Redactor::leaks`] |
//! | member of an error that a client gets | a match of any rule, in any of its parts | [`Redactor::clear_members`] |
//! | document (a page, a success of a guarded route, a file) | output that only a failing program writes | [`Redactor::document`] |

mod anchors;
mod blocks;
mod credentials;
mod document;
mod encoded;
mod engine;
mod guard;
mod json;
mod log_line;
mod markup;
mod members;
mod pattern;
mod quotation;
mod redactor;
mod required;
mod rules;
mod search;
mod sentence;
mod strings;
mod url;
mod view;

pub use credentials::{mask, mask_own, masked};
pub use document::Finding;
pub use guard::Guard;
pub use redactor::Redactor;
pub use rules::{Family, Weight};
pub use url::{masked_query, masked_url, masked_urls};

use engine::{RuleFilter, Steps};

/// Compiles the rules, so that the first error does not wait for it. The automaton of each pattern is still built on its first use.
pub fn prepare() {
    // The search of an empty text initializes the lazily compiled rules.
    let _ = engine::any(b"", RuleFilter::ALL, &mut Steps::of(0));
    mask("", 0);
}

/// Returns true if the text holds an internal, by the built-in rules alone.
pub fn leaks(text: &str) -> bool {
    static RULES: std::sync::LazyLock<Redactor> = std::sync::LazyLock::new(Redactor::default);
    RULES.leaks(text)
}

/// Returns true if the code is only the name of an exception, an errno or an SQLSTATE. Such a code may be shown unless the error holds
/// other internals.
pub fn is_thrown(code: &str) -> bool {
    let errno = code.len() > 3 && code.starts_with('E') && code.bytes().all(|b| b.is_ascii_uppercase());
    let state = code.len() == 5
        && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && (SQL_STATES.contains(&&code[..2]) || matches!(code, "40001" | "40P01"));
    errno || state || code.ends_with("Error") || code.ends_with("Exception") || code.ends_with("Throwable")
}

/// The classes of SQLSTATE that denote a failure (ISO 9075-2 24.1).
const SQL_STATES: &[&str] = &["08", "0A", "21", "22", "23", "25", "28", "3D", "3F", "42", "53", "54", "55", "57", "58", "HY", "P0", "XX"];
