//! Masks fields of a form (WHATWG URL 5). Pure functions of a text.

use super::json::value;
use crate::journal::names::is_secret_field;
use crate::journal::rules::{MASK, Rules};

/// The longest name, in bytes. A longer one may be a value.
const MAX_NAME: usize = 64;

/// Returns the form with the values of secret fields masked. Shows fields decoded, so that no encoding hides a credential; a value that
/// is no text is masked.
pub(super) fn masked(text: &str, truncated: bool, rules: &Rules) -> Option<String> {
    let mut fields: Vec<String> = Vec::new();
    let mut rest = text.split('&').peekable();
    while let Some(field) = rest.next() {
        let is_cut = truncated && rest.peek().is_none();
        let (name, given) = field.split_once('=').map_or((field, None), |(name, given)| (name, Some(given)));
        // What has no name may be a value.
        let name = match decoded(name) {
            Some(name) if name.len() <= MAX_NAME && given.is_some() => name,
            Some(_) | None => {
                fields.push(MASK.to_owned());
                continue;
            }
        };
        let shown = match given {
            None => None,
            Some(_) if is_secret_field(&name, rules) => Some(MASK.to_owned()),
            Some(_) if is_cut => Some(String::new()),
            Some(given) => Some(decoded(given).map_or_else(|| MASK.to_owned(), |given| value(&given, rules).replace('&', "%26"))),
        };
        let name = value(&name, rules).replace('&', "%26");
        fields.push(shown.map_or_else(|| name.clone(), |shown| format!("{name}={shown}")));
    }
    Some(fields.join("&"))
}

/// Decodes a name or a value; `None` if it is no text.
fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(&spaced).collect();
    String::from_utf8(bytes).ok()
}
