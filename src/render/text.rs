//! The plain-text shape, for terminals and simple clients. Knows no other shape.

use crate::envelope::Envelope;

/// Renders the status, code, message, field errors and request id, one per line.
pub(super) fn lines(e: &Envelope) -> Vec<u8> {
    let phrase = e.status.canonical_reason().unwrap_or("Error");
    let mut out = format!("{} {phrase} ({})\n{}\n", e.status.as_u16(), e.code, e.message.as_str());
    for item in &e.errors {
        let message = item.message.as_str();
        match &item.field {
            Some(field) => out.push_str(&format!("- {field}: {message}\n")),
            None => out.push_str(&format!("- {message}\n")),
        }
    }
    if let Some(seconds) = e.retry_after {
        out.push_str(&format!("Retry after: {seconds} s\n"));
    }
    out.push_str(&format!("Request id: {}\n", e.request_id.as_str()));
    if let Some(debug) = &e.debug {
        out.push_str(&format!("\n{}", super::values::debug_text(debug)));
    }
    out.into_bytes()
}
