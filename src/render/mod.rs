//! Renders an [`Envelope`] in a shape to headers and a body.
//!
//! Every value is escaped for its context. This module makes no policy decisions: the envelope already holds only values that the client
//! may see.

mod html;
mod json;
pub mod negotiate;
mod pages;
mod place;
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
pub use pages::{PageName, Pages};
pub use template::{MAX_TEMPLATE, Template, TemplateError};
pub use values::PageWords;

/// A rendered error response.
#[derive(Debug)]
pub struct Rendered {
    /// The body.
    pub body: Vec<u8>,
    /// The `Content-Type`.
    pub content_type: Cow<'static, str>,
    /// Additional headers of the shape.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the HTTP status is 200, because the headers carry the status of the call (gRPC).
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

/// Renders the status of a gRPC call, which ends its response.
pub fn grpc_trailers(envelope: &Envelope) -> Vec<(HeaderName, HeaderValue)> {
    rpc::grpc(envelope)
}

/// Renders a page: the operator's, which brings a style of its own and so gets no Content-Security-Policy, or the built-in one.
fn page(envelope: &Envelope, looks: &Looks<'_>) -> Rendered {
    let own = looks.pages.and_then(|pages| pages.find(envelope.status.as_u16(), &envelope.negotiated_language));
    let (body, headers) = match own {
        Some(template) => (template.render(envelope), vec![html::no_index()]),
        None => (html::page(envelope, &looks.words), html::headers()),
    };
    Rendered { headers, ..Rendered::new(body, "text/html; charset=utf-8") }
}

/// What a response looks like beside its content.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looks<'l> {
    /// The texts of the built-in page.
    pub words: PageWords<'l>,
    /// The operator's template.
    pub template: Option<&'l Template>,
    /// The operator's pages.
    pub pages: Option<&'l Pages>,
}

/// Renders the envelope in a shape. Without a template, the template format falls back to the envelope format.
pub fn render(envelope: &Envelope, shape: Shape, looks: &Looks<'_>) -> Rendered {
    match (shape, looks.template) {
        (Shape::Json(Format::Template), Some(template)) => {
            Rendered { content_type: template.content_type(), ..Rendered::new(template.render(envelope), "") }
        }
        (Shape::Json(Format::Envelope | Format::Template), _) => Rendered::new(json::envelope(envelope), "application/json"),
        (Shape::Json(Format::Problem), _) => Rendered::new(json::problem(envelope), "application/problem+json"),
        (Shape::Json(Format::Flat), _) => Rendered::new(json::flat(envelope), "application/json"),
        (Shape::Html, _) => page(envelope, looks),
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
