//! Which shape the client can read: the `Accept` header against the shapes there are (RFC 9110 12.5.1).

use crate::context::{Dialect, quality};
use crate::policy::{ErrorPolicy, Format, Protocol};

/// The shape of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The route's JSON (or `problem` where asked for).
    Json(Format),
    /// A plain page.
    Html,
    /// Plain text.
    Text,
    /// Our own XML.
    Xml,
    /// RFC 9457 appendix B.
    ProblemXml,
    /// A fault of SOAP 1.1.
    Soap11,
    /// A fault of SOAP 1.2.
    Soap12,
    /// Headers of gRPC.
    Grpc,
    /// The same for gRPC-Web.
    GrpcWeb,
    /// A GraphQL response as `application/json`.
    Graphql,
    /// The same under its own type (<https://graphql.github.io/graphql-over-http/draft/#sec-Media-Types>).
    GraphqlResponse,
    /// A JSON-RPC 2.0 response.
    Jsonrpc,
}

/// The longest header that is read, in bytes.
const MAX_ACCEPT: usize = 2048;

/// What a client can read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// `Accept`
    pub accept: Option<&'a str>,
    /// The protocol of the request itself.
    pub dialect: Option<Dialect>,
}

/// What a route answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// JSON shape when the client asks for nothing else.
    pub format: Format,
    /// What the clients of the route speak.
    pub protocol: Protocol,
    /// Let the client choose.
    pub negotiate: bool,
}

impl Terms {
    /// Those of a policy.
    pub const fn of(policy: &ErrorPolicy) -> Self {
        Self { format: policy.format, protocol: policy.protocol, negotiate: policy.negotiate }
    }

    const fn own(self) -> Shape {
        match self.protocol {
            Protocol::Http => Shape::Json(self.format),
            Protocol::Graphql => Shape::Graphql,
            Protocol::Jsonrpc => Shape::Jsonrpc,
        }
    }
}

/// Chooses. A request's own protocol has one shape only; then `Accept` decides among those there are; else the route's.
pub fn shape(asked: Asked<'_>, terms: Terms) -> Shape {
    if !terms.negotiate {
        return terms.own();
    }
    match asked.dialect {
        Some(Dialect::Grpc) => return Shape::Grpc,
        Some(Dialect::GrpcWeb) => return Shape::GrpcWeb,
        Some(Dialect::Soap11) => return Shape::Soap11,
        Some(Dialect::Soap12) => return Shape::Soap12,
        None => {}
    }
    let Some(accept) = asked.accept else { return terms.own() };
    let ranges = parse(accept);
    let exact = |wanted: &str| ranges.iter().filter(|r| r.name.eq_ignore_ascii_case(wanted)).map(|r| r.quality).max().unwrap_or(0);
    let other_json = ranges.iter().filter(|r| ends_with_json(r.name)).map(|r| r.quality).max().unwrap_or(0);
    // Ties go to the first named: what is more precise comes first. A browser names text/html itself and likes it best.
    let graphql = if terms.protocol == Protocol::Graphql { exact("application/graphql-response+json") } else { 0 };
    let candidates = [
        (exact("application/problem+json"), Shape::Json(Format::Problem)),
        (graphql, Shape::GraphqlResponse),
        (exact("application/json").max(other_json), terms.own()),
        (exact("text/html").max(exact("application/xhtml+xml")), Shape::Html),
        (exact("application/problem+xml"), Shape::ProblemXml),
        (exact("application/xml").max(exact("text/xml")), Shape::Xml),
        (exact("application/soap+xml"), Shape::Soap12),
        (exact("text/plain"), Shape::Text),
    ];
    let mut best = (0, terms.own());
    for (quality, shape) in candidates {
        if quality > best.0 {
            best = (quality, shape);
        }
    }
    best.1
}

/// True when a client names `text/html` and likes nothing of ours better: it shows pages to people.
pub fn prefers_html(asked: Asked<'_>) -> bool {
    shape(asked, Terms { format: Format::Envelope, protocol: Protocol::Http, negotiate: true }) == Shape::Html
}

struct Range<'a> {
    name: &'a str,
    quality: u32,
}

fn parse(accept: &str) -> Vec<Range<'_>> {
    let mut end = accept.len().min(MAX_ACCEPT);
    while !accept.is_char_boundary(end) {
        end -= 1;
    }
    let range = |item| {
        let item: &str = item;
        let mut parts = item.split(';');
        let name = parts.next().unwrap_or_default().trim();
        let wanted = parts.find_map(|p| p.trim().strip_prefix("q=")).map_or(1000, quality);
        Range { name, quality: wanted }
    };
    accept[..end].split(',').take(64).map(range).collect()
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

    fn of(accept: &str) -> Shape {
        shape(Asked { accept: Some(accept), dialect: None }, TERMS)
    }

    #[test]
    fn clients_get_what_they_can_read() {
        for (accept, wanted) in [
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
            ("image/png", Shape::Json(Format::Envelope)),
        ] {
            assert_eq!(of(accept), wanted, "{accept}");
        }
        let fixed = Terms { format: Format::Flat, negotiate: false, ..TERMS };
        assert_eq!(shape(Asked { accept: Some("text/html"), dialect: Some(Dialect::Soap11) }, fixed), Shape::Json(Format::Flat));
        assert_eq!(shape(Asked::default(), Terms { format: Format::Problem, ..TERMS }), Shape::Json(Format::Problem));
    }

    #[test]
    fn protocols_have_their_own_shapes() {
        let asked = |dialect| Asked { accept: Some("*/*"), dialect: Some(dialect) };
        assert_eq!(shape(asked(Dialect::Grpc), TERMS), Shape::Grpc);
        assert_eq!(shape(asked(Dialect::GrpcWeb), TERMS), Shape::GrpcWeb);
        assert_eq!(shape(asked(Dialect::Soap11), TERMS), Shape::Soap11);
        let graphql = Terms { protocol: Protocol::Graphql, ..TERMS };
        let accepts = |accept| shape(Asked { accept: Some(accept), dialect: None }, graphql);
        assert_eq!(accepts("*/*"), Shape::Graphql);
        assert_eq!(accepts("application/graphql-response+json, application/json;q=0.9"), Shape::GraphqlResponse);
        assert_eq!(accepts("text/html,*/*;q=0.1"), Shape::Html);
        assert_eq!(shape(Asked::default(), Terms { protocol: Protocol::Jsonrpc, ..TERMS }), Shape::Jsonrpc);
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read(accept in "\\PC{0,80}") {
            of(&accept);
        }
    }
}
