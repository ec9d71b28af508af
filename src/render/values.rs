//! Values that several shapes share: the status phrase and the timestamp. Also a sample envelope to validate templates with. Knows no
//! shape.

use std::time::SystemTime;

use crate::envelope::{Envelope, Item};
use crate::policy::Details;
use crate::write;

/// The texts around the message of a page, in its language.
#[derive(Clone, Copy, Debug)]
pub struct PageWords<'w> {
    /// The label of the request id.
    pub request_id: &'w str,
    /// The instructions on what to do with it.
    pub help: &'w str,
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
