//! Which entries belong together: the same fault with other ids, numbers and addresses.
//!
//! Pure functions of an entry.

use ring::digest::{SHA256, digest};

use super::entry::Entry;

/// The longest title, in characters.
const MAX_TITLE: usize = 200;

/// Returns the fingerprint of an entry, in 32 hexadecimal digits, and the title of its group.
pub fn of(entry: &Entry) -> (String, String) {
    let what = entry.exception.clone().or_else(|| entry.message.clone()).or_else(|| entry.cause.clone()).unwrap_or_default();
    let text = [entry.route.as_str(), &entry.code, entry.exception.as_deref().unwrap_or_default(), &what].join("\u{0}");
    let hex: String = digest(&SHA256, text.as_bytes()).as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let title = if what.is_empty() { entry.code.clone() } else { what };
    (hex, title.chars().take(MAX_TITLE).collect())
}
