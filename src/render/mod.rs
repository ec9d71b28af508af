//! How we say it: an [`Envelope`] and a shape in, headers and bytes out.
//!
//! Every value is escaped for its place. It decides nothing: what may be told was decided before.

mod html;
mod json;
pub mod negotiate;
mod rpc;
mod template;
mod text;
mod xml;

use std::borrow::Cow;
use std::time::SystemTime;

use http::{HeaderName, HeaderValue};

use crate::envelope::Envelope;
use crate::policy::Format;
use crate::write;
use negotiate::Shape;
pub use template::{Template, Wrong};

/// A written answer.
#[derive(Debug)]
pub struct Rendered {
    /// The body.
    pub body: Vec<u8>,
    /// `Content-Type`.
    pub content_type: Cow<'static, str>,
    /// More headers of the shape.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The status is told in the headers; HTTP itself succeeded (gRPC).
    pub succeeds: bool,
}

impl Rendered {
    fn new(body: Vec<u8>, content_type: &'static str) -> Self {
        Self { body, content_type: Cow::Borrowed(content_type), headers: Vec::new(), succeeds: false }
    }

    fn grpc(e: &Envelope, content_type: &'static str) -> Self {
        Self { headers: rpc::grpc(e), succeeds: true, ..Self::new(Vec::new(), content_type) }
    }
}

/// The words around a message on a page, in its language.
#[derive(Clone, Copy, Debug)]
pub struct PageWords<'w> {
    /// Label of the request id.
    pub request_id: &'w str,
    /// What to do with it.
    pub help: &'w str,
}

/// Writes the envelope in a shape. Without a template its format falls back to the envelope.
pub fn render(envelope: &Envelope, shape: Shape, words: PageWords<'_>, template: Option<&Template>) -> Rendered {
    match (shape, template) {
        (Shape::Json(Format::Template), Some(template)) => {
            Rendered { content_type: template.content_type(), ..Rendered::new(template.fill(envelope), "") }
        }
        (Shape::Json(Format::Envelope | Format::Template), _) => Rendered::new(json::envelope(envelope), "application/json"),
        (Shape::Json(Format::Problem), _) => Rendered::new(json::problem(envelope), "application/problem+json"),
        (Shape::Json(Format::Flat), _) => Rendered::new(json::flat(envelope), "application/json"),
        (Shape::Html, _) => Rendered::new(html::page(envelope, words), "text/html; charset=utf-8"),
        (Shape::Text, _) => Rendered::new(text::lines(envelope), "text/plain; charset=utf-8"),
        (Shape::Xml, _) => Rendered::new(xml::document(envelope), "application/xml"),
        (Shape::ProblemXml, _) => Rendered::new(xml::problem(envelope), "application/problem+xml"),
        (Shape::Soap11, _) => Rendered::new(xml::soap_1_1(envelope), "text/xml; charset=utf-8"),
        (Shape::Soap12, _) => Rendered::new(xml::soap_1_2(envelope), "application/soap+xml; charset=utf-8"),
        (Shape::Graphql, _) => Rendered::new(rpc::graphql(envelope), "application/json"),
        (Shape::GraphqlResponse, _) => Rendered::new(rpc::graphql(envelope), "application/graphql-response+json"),
        (Shape::Jsonrpc, _) => Rendered::new(rpc::jsonrpc(envelope), "application/json"),
        (Shape::Grpc, _) => Rendered::grpc(envelope, "application/grpc"),
        (Shape::GrpcWeb, _) => Rendered::grpc(envelope, "application/grpc-web+proto"),
    }
}

/// The status's standard phrase.
fn phrase(e: &Envelope) -> &'static str {
    e.status.canonical_reason().unwrap_or("Error")
}

/// RFC 3339, UTC, milliseconds.
pub(crate) fn timestamp(at: SystemTime) -> String {
    let mut text = Vec::with_capacity(24);
    write::timestamp(&mut text, at);
    String::from_utf8(text).unwrap_or_default()
}

/// An envelope to try shapes with: everything that may be missing is there or is not.
fn sample(full: bool) -> Envelope {
    use crate::text::Text;
    let fields = full.then(|| ("x".to_owned(), vec![Text::own("y")]));
    Envelope {
        status: http::StatusCode::UNPROCESSABLE_ENTITY,
        code: "E1".into(),
        message: Text::own("a \"b\" <c>\\"),
        language: full.then(|| "en".to_owned()),
        spoken: "en".into(),
        fields: fields.into_iter().collect(),
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
