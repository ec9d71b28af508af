//! Reads values that several sections have: a value with its place, a secret, and headers whose values are secrets. Must not know keys.

use http::{HeaderName, HeaderValue};
use toml::Spanned;

use super::section::{At, Section};
use crate::text::Secret;

/// Adds the place of a key to its value.
pub(super) fn placed<T>(s: &Section<'_, '_>, key: &str, value: Option<T>) -> Option<At<T>> {
    let span = s.named(key).map_or(s.span.clone(), Spanned::span);
    value.map(|value| At { value, span })
}

/// Reads a key that may hold a secret. A text for which `is_secret` returns true is rejected: a secret must come from the environment or
/// from a file of its own, so that the configuration can be shared.
pub(super) fn secret(s: &mut Section<'_, '_>, key: &'static str, is_secret: impl Fn(&str) -> bool) -> Option<At<Secret<String>>> {
    let value = s.value(key)?;
    let literal = value.get_ref().as_str().is_some_and(|text| !text.contains("${") && !text.starts_with("file:") && is_secret(text));
    if literal {
        let title = "a secret must not be written in the configuration file";
        s.problems.add_secret(value.span(), title, "write \"${NAME}\" or \"file:/path\"");
        return None;
    }
    let found = s.secret(key)?;
    if found.value.reveal().is_empty() {
        let title = format!("`{}` is empty", s.full(key));
        s.problems.add(found.span, title, "give the variable a value, or remove the key");
        return None;
    }
    Some(found)
}

/// Reads headers for a receiver of the gateway's own requests, except those that the gateway writes itself. Their values open the receiver,
/// so that they are never written in the file.
pub(super) fn secret_headers(s: &mut Section<'_, '_>, own: &[&str]) -> Vec<(HeaderName, Secret<HeaderValue>)> {
    s.allow_any_key();
    let mut found = Vec::new();
    for name in s.names() {
        let Ok(header) = HeaderName::from_bytes(name.value.as_bytes()) else {
            s.problems.add(name.span, "invalid header name", "a header name has letters, digits and `-`");
            continue;
        };
        if own.contains(&header.as_str()) {
            s.problems.add(name.span, format!("`{header}` is written by the gateway itself"), "remove it");
            continue;
        }
        let Some(text) = s.named(&name.value).and_then(|value| s.secret_of(&name.value, value)) else { continue };
        match HeaderValue::from_str(text.value.reveal()) {
            Ok(mut value) => {
                value.set_sensitive(true);
                found.push((header, Secret::new(value)));
            }
            Err(_) => {
                s.problems.add_secret(text.span, "invalid header value", "a header value has visible characters, spaces and tabs only")
            }
        }
    }
    found
}
