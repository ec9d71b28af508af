//! How we say it: an [`Envelope`] and a shape in, bytes and their content type out.
//!
//! Every value is escaped for its place. It decides nothing: what may be told was decided before.

mod html;
mod json;
pub mod negotiate;
mod text;

use std::time::SystemTime;

use crate::envelope::Envelope;
use crate::policy::Format;
use negotiate::Shape;

/// A written answer.
#[derive(Debug)]
pub struct Rendered {
    /// The body.
    pub body: Vec<u8>,
    /// `Content-Type`.
    pub content_type: &'static str,
}

/// The words around a message on a page, in its language.
#[derive(Clone, Copy, Debug)]
pub struct PageWords {
    /// Label of the request id.
    pub request_id: &'static str,
    /// What to do with it.
    pub help: &'static str,
}

/// Writes the envelope in a shape.
pub fn render(envelope: &Envelope, shape: Shape, words: PageWords) -> Rendered {
    match shape {
        Shape::Json(Format::Envelope) => Rendered { body: json::envelope(envelope), content_type: "application/json" },
        Shape::Json(Format::Problem) => Rendered { body: json::problem(envelope), content_type: "application/problem+json" },
        Shape::Json(Format::Flat) => Rendered { body: json::flat(envelope), content_type: "application/json" },
        Shape::Html => Rendered { body: html::page(envelope, words), content_type: "text/html; charset=utf-8" },
        Shape::Text => Rendered { body: text::lines(envelope), content_type: "text/plain; charset=utf-8" },
    }
}

/// RFC 3339, UTC, milliseconds.
pub(crate) fn timestamp(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| "1970-01-01T00:00:00.000Z".to_owned(), |at| format!("{at:.3}"))
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
