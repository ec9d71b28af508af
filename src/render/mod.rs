//! Renders errors: an [`Envelope`] and a shape in, headers and bytes out.
//!
//! Every value is escaped for its place. Decides nothing: which values a client may see was decided before.

mod html;
mod json;
pub mod negotiate;
mod rpc;
mod template;
mod text;
mod values;
mod xml;

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};

use crate::envelope::Envelope;
use crate::policy::Format;
use negotiate::Shape;
pub use template::{Template, TemplateError};
pub use values::PageWords;

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
