//! Selects the shape of an error response by the `Accept` header (RFC 9110 12.5.1), the protocol of the request and the route. Knows no
//! content of an error.

use crate::context::{Dialect, quality, weight};
use crate::policy::{ErrorPolicy, Format, Protocol};
use crate::text::bounded;

/// The shape of an error response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A JSON format: the route's, or `problem` on request.
    Json(Format),
    /// An HTML page.
    Html,
    /// Plain text.
    Text,
    /// Lockgate's XML format.
    Xml,
    /// The XML format of RFC 9457 appendix B.
    ProblemXml,
    /// A SOAP 1.1 fault.
    Soap11,
    /// A SOAP 1.2 fault.
    Soap12,
    /// A gRPC response without a body.
    Grpc,
    /// A gRPC-Web response without a body.
    GrpcWeb,
    /// A GraphQL response as `application/json`.
    Graphql,
    /// A GraphQL response with its own media type (<https://graphql.github.io/graphql-over-http/draft/#sec-Media-Types>).
    GraphqlResponse,
    /// A JSON-RPC 2.0 response.
    Jsonrpc,
}

/// The length of the part of a header that is parsed, in bytes.
const MAX_ACCEPT: usize = 2048;

/// The properties of a request that select the shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct NegotiationInput<'a> {
    /// The `Accept` header.
    pub accept: Option<&'a str>,
    /// The protocol of the request.
    pub dialect: Option<Dialect>,
    /// Whether the request has headers that only browsers send.
    pub browser: bool,
    /// Whether the upstream's response to this request is JSON.
    pub answered_json: bool,
}

/// The route's settings for the shape of its error responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The JSON format for clients without another preference.
    pub format: Format,
    /// The protocol of the route's clients.
    pub protocol: Protocol,
    /// Whether the client may choose the shape.
    pub negotiate: bool,
}

impl Terms {
    /// Returns the terms of a policy.
    pub const fn of(policy: &ErrorPolicy) -> Self {
        Self { format: policy.format, protocol: policy.protocol, negotiate: policy.negotiate }
    }

    const fn default_shape(self) -> Shape {
        match self.protocol {
            Protocol::Http => Shape::Json(self.format),
            Protocol::Graphql => Shape::Graphql,
            Protocol::Jsonrpc => Shape::Jsonrpc,
        }
    }
}

/// Selects the shape. A SOAP or gRPC request has only one shape; for others, `Accept` selects among all shapes; the default is the route's.
pub fn shape(input: NegotiationInput<'_>, terms: Terms) -> Shape {
    if !terms.negotiate {
        return terms.default_shape();
    }
    match input.dialect {
        Some(Dialect::Grpc) => return Shape::Grpc,
        Some(Dialect::GrpcWeb | Dialect::GrpcWebText) => return Shape::GrpcWeb,
        Some(Dialect::Soap11) => return Shape::Soap11,
        Some(Dialect::Soap12) => return Shape::Soap12,
        None => {}
    }
    let Some(accept) = input.accept else { return terms.default_shape() };
    let ranges = Ranges(parse(accept));
    // An HTTP library may send a default `Accept` without JSON to a service that responds with JSON. Such a client can read JSON, unless it
    // is a browser.
    let is_browser = input.browser || (ranges.names("text/html") && ranges.names("application/xhtml+xml"));
    if input.answered_json && !is_browser && ranges.names("text/html") && !ranges.names_json() {
        return terms.default_shape();
    }
    // Of equal qualities, the first candidate wins. Specific types come first, and JSON by a wildcard comes last. A browser lists text/html
    // with the highest quality.
    let graphql = if terms.protocol == Protocol::Graphql { ranges.exact("application/graphql-response+json") } else { 0 };
    let candidates = [
        (ranges.exact("application/problem+json"), Shape::Json(Format::Problem)),
        (graphql, Shape::GraphqlResponse),
        (ranges.exact("application/json").max(ranges.other_json()), terms.default_shape()),
        (ranges.exact("text/html").max(ranges.exact("application/xhtml+xml")), Shape::Html),
        (ranges.exact("application/problem+xml"), Shape::ProblemXml),
        (ranges.exact("application/xml").max(ranges.exact("text/xml")), Shape::Xml),
        (ranges.exact("application/soap+xml"), Shape::Soap12),
        (ranges.exact("text/plain"), Shape::Text),
        (ranges.json_by_wildcard(), terms.default_shape()),
    ];
    let mut best = (0, terms.default_shape());
    for (quality, shape) in candidates {
        if quality > best.0 {
            best = (quality, shape);
        }
    }
    best.1
}

/// Returns true if the client lists `text/html` and prefers no other shape.
pub fn prefers_html(input: NegotiationInput<'_>) -> bool {
    shape(input, Terms { format: Format::Envelope, protocol: Protocol::Http, negotiate: true }) == Shape::Html
}

/// The media ranges of an `Accept` header.
struct Ranges<'a>(Vec<Range<'a>>);

impl Ranges<'_> {
    fn best(&self, is: impl Fn(&str) -> bool) -> Option<u32> {
        self.0.iter().filter(|range| is(range.name)).map(|range| range.quality).max()
    }

    fn exact(&self, media_type: &str) -> u32 {
        self.best(|name| name.eq_ignore_ascii_case(media_type)).unwrap_or(0)
    }

    fn other_json(&self) -> u32 {
        self.best(ends_with_json).unwrap_or(0)
    }

    /// Returns true if the type itself is listed, with a quality above 0.
    fn names(&self, media_type: &str) -> bool {
        self.exact(media_type) > 0
    }

    fn names_json(&self) -> bool {
        self.0.iter().any(|range| range.quality > 0 && range.name.to_ascii_lowercase().contains("json"))
    }

    /// Returns the quality of JSON by the most specific range that matches it, including wildcards (RFC 9110 12.5.1).
    fn json_by_wildcard(&self) -> u32 {
        let named = self.best(|name| name.eq_ignore_ascii_case("application/json"));
        let by_type = || self.best(|name| name.eq_ignore_ascii_case("application/*"));
        named.or_else(by_type).or_else(|| self.best(|name| matches!(name, "*/*" | "*"))).unwrap_or(0)
    }
}

struct Range<'a> {
    name: &'a str,
    quality: u32,
}

fn parse(accept: &str) -> Vec<Range<'_>> {
    let accept = bounded(accept, MAX_ACCEPT);
    let range = |item| {
        let item: &str = item;
        let mut parts = item.split(';');
        let name = parts.next().unwrap_or_default().trim();
        let quality = parts.find_map(weight).map_or(1000, quality);
        Range { name, quality }
    };
    accept.split(',').take(64).map(range).collect()
}

fn ends_with_json(name: &str) -> bool {
    name.len() >= 5
        && name.as_bytes()[name.len() - 5..].eq_ignore_ascii_case(b"+json")
        && !name.eq_ignore_ascii_case("application/problem+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { format: Format::Envelope, protocol: Protocol::Http, negotiate: true };

    fn negotiated(accept: &str) -> Shape {
        shape(NegotiationInput { accept: Some(accept), ..NegotiationInput::default() }, TERMS)
    }

    #[test]
    fn accept_selects_the_shape() {
        for (accept, expected) in [
            ("*/*", Shape::Json(Format::Envelope)),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Shape::Html),
            ("application/json, text/plain, */*", Shape::Json(Format::Envelope)),
            ("application/problem+json", Shape::Json(Format::Problem)),
            ("application/problem+json, application/json", Shape::Json(Format::Problem)),
            ("text/plain", Shape::Text),
            ("text/html;q=0.5, application/json", Shape::Json(Format::Envelope)),
            ("application/xml", Shape::Xml),
            ("text/xml;q=0.9, text/plain;q=0.5", Shape::Xml),
            ("application/problem+xml", Shape::ProblemXml),
            ("application/soap+xml", Shape::Soap12),
            ("application/vnd.shop+json;q=0.2, text/html;q=0.1", Shape::Json(Format::Envelope)),
            ("text/html;q=0", Shape::Json(Format::Envelope)),
            ("application/json;Q=0.1, text/html;q=0.5", Shape::Html),
            ("image/png", Shape::Json(Format::Envelope)),
            ("application/*, text/html;q=0.5", Shape::Json(Format::Envelope)),
            ("*/*, text/html;q=0.5", Shape::Json(Format::Envelope)),
            ("text/html, */*", Shape::Html),
            ("text/*;q=0.9, */*;q=0.1", Shape::Json(Format::Envelope)),
            ("text/plain;q=0.4, application/*;q=0.3", Shape::Text),
            ("application/json;q=0.1, application/*, text/html;q=0.5", Shape::Html),
            ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", Shape::Html),
        ] {
            assert_eq!(negotiated(accept), expected, "{accept}");
        }
        let fixed = Terms { format: Format::Flat, negotiate: false, ..TERMS };
        assert_eq!(
            shape(NegotiationInput { accept: Some("text/html"), dialect: Some(Dialect::Soap11), ..NegotiationInput::default() }, fixed),
            Shape::Json(Format::Flat)
        );
        assert_eq!(shape(NegotiationInput::default(), Terms { format: Format::Problem, ..TERMS }), Shape::Json(Format::Problem));
    }

    #[test]
    fn clients_of_json_services_get_json_unless_they_are_browsers() {
        let shape_after_json = |accept, browser| {
            shape(NegotiationInput { accept: Some(accept), answered_json: true, browser, ..NegotiationInput::default() }, TERMS)
        };
        const JAVA: &str = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";
        assert_eq!(shape_after_json(JAVA, false), Shape::Json(Format::Envelope));
        assert_eq!(shape_after_json(JAVA, true), Shape::Html);
        assert_eq!(shape_after_json("text/html,application/xhtml+xml,*/*;q=0.8", false), Shape::Html);
        assert_eq!(shape_after_json("text/html, application/json;q=0.5", false), Shape::Html);
        assert_eq!(shape_after_json("text/plain", false), Shape::Text);
    }

    #[test]
    fn protocols_have_their_own_shapes() {
        let input = |dialect| NegotiationInput { accept: Some("*/*"), dialect: Some(dialect), ..NegotiationInput::default() };
        assert_eq!(shape(input(Dialect::Grpc), TERMS), Shape::Grpc);
        assert_eq!(shape(input(Dialect::GrpcWeb), TERMS), Shape::GrpcWeb);
        assert_eq!(shape(input(Dialect::Soap11), TERMS), Shape::Soap11);
        let graphql = Terms { protocol: Protocol::Graphql, ..TERMS };
        let accepts = |accept| shape(NegotiationInput { accept: Some(accept), ..NegotiationInput::default() }, graphql);
        assert_eq!(accepts("*/*"), Shape::Graphql);
        assert_eq!(accepts("application/graphql-response+json, application/json;q=0.9"), Shape::GraphqlResponse);
        assert_eq!(accepts("text/html,*/*;q=0.1"), Shape::Html);
        assert_eq!(shape(NegotiationInput::default(), Terms { protocol: Protocol::Jsonrpc, ..TERMS }), Shape::Jsonrpc);
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_parsed_without_panic(accept in "\\PC{0,80}") {
            negotiated(&accept);
        }
    }
}
