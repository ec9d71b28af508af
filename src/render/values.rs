//! Values that several shapes share: the status phrase and the timestamp. Also a sample envelope to validate templates with. Knows no
//! shape.

use std::time::SystemTime;

use crate::envelope::{Debug, Envelope, Item};
use crate::policy::Details;
use crate::write;

/// The texts around the message of a page, in its language.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageWords<'w> {
    /// What the catalog says of an error that the upstream describes in its own words.
    pub title: &'w str,
    /// The label of the request id.
    pub request_id: &'w str,
    /// The label of the error code.
    pub code: &'w str,
    /// The label of the time of the error.
    pub time: &'w str,
    /// The label of the button that copies the request id.
    pub copy: &'w str,
    /// What the button says afterwards.
    pub copied: &'w str,
    /// The label of the link that loads the page again.
    pub retry: &'w str,
    /// What stands before and behind the time until a retry.
    pub wait: (&'w str, &'w str),
    /// The label of the link to the first page.
    pub home: &'w str,
    /// The instructions on what to do with the request id.
    pub help: &'w str,
}

/// Returns the debug output as text for people: a line for each short value, a paragraph for each long one.
pub(super) fn debug_text(debug: &Debug) -> String {
    let status = debug.upstream_status.map(|status| status.to_string());
    let attempts = debug.attempts.to_string();
    let lines = [
        ("reason", Some(debug.reason.as_str())),
        ("upstream status", status.as_deref()),
        ("backend", debug.backend.as_deref()),
        ("endpoint", debug.endpoint.as_deref()),
        ("attempts", Some(attempts.as_str())),
        ("certainty", debug.certainty),
    ];
    let mut text = String::new();
    for (name, value) in lines.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        text.push_str(&format!("{name}: {value}\n"));
    }
    let paragraphs = [("exception", &debug.exception), ("cause", &debug.cause), ("stack", &debug.stack), ("body", &debug.body)];
    for (name, value) in paragraphs.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        text.push_str(&format!("\n{name}:\n{}\n", value.as_str().trim_end()));
    }
    text
}

/// Returns the standard reason phrase of the status.
pub(super) fn phrase(e: &Envelope) -> &'static str {
    e.status.canonical_reason().unwrap_or("Error")
}

/// Formats a time as RFC 3339 in UTC with milliseconds.
pub(super) fn timestamp(at: SystemTime) -> String {
    let mut text = Vec::with_capacity(24);
    write::timestamp(&mut text, at);
    String::from_utf8(text).unwrap_or_default()
}

/// Returns a sample envelope, with all optional values if `full` is set, or else with none.
pub(super) fn sample(full: bool) -> Envelope {
    use crate::text::Text;
    let field = Item { field: Some("x".to_owned()), message: Text::own("y"), code: Some("required".to_owned()) };
    let general = Item { field: None, message: Text::own("z"), code: None };
    Envelope {
        status: http::StatusCode::UNPROCESSABLE_ENTITY,
        code: "E1".into(),
        message: Text::own("a \"b\" <c>\\"),
        negotiated_language: "en".into(),
        is_translated: full,
        errors: if full { vec![field, general] } else { Vec::new() },
        details: Details::Map,
        retry_after: full.then_some(7),
        violated: Vec::new(),
        problem_type: None,
        upstream: None,
        timestamp: SystemTime::UNIX_EPOCH,
        request_id: crate::context::RequestId::generate(SystemTime::UNIX_EPOCH),
        method: http::Method::GET,
        path: "/a".into(),
        grpc: 2,
        rpc_id: None,
        debug: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timestamps_have_three_digits() {
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_120)), "2023-11-14T22:13:20.120Z");
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }
}
