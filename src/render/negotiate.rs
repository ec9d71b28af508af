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
pub struct NegotiationInput<'a> {
    /// `Accept`
    pub accept: Option<&'a str>,
    /// The protocol of the request itself.
    pub dialect: Option<Dialect>,
    /// A browser says that it fetches.
    pub browser: bool,
    /// The upstream answered this client with JSON.
    pub answered_json: bool,
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
pub fn shape(asked: NegotiationInput<'_>, terms: Terms) -> Shape {
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
    let ranges = Ranges(parse(accept));
    // A client that is answered with JSON and names no JSON is a library whose header lists what somebody once found useful. It reads what
    // its service writes, unless it is a browser.
    let is_browser = asked.browser || (ranges.names("text/html") && ranges.names("application/xhtml+xml"));
    if asked.answered_json && !is_browser && ranges.names("text/html") && !ranges.names_json() {
        return terms.own();
    }
    // Ties go to the first named: what is more precise comes first, and what a wildcard allows last. A browser names text/html itself and
    // likes it best.
    let graphql = if terms.protocol == Protocol::Graphql { ranges.exact("application/graphql-response+json") } else { 0 };
    let candidates = [
        (ranges.exact("application/problem+json"), Shape::Json(Format::Problem)),
        (graphql, Shape::GraphqlResponse),
        (ranges.exact("application/json").max(ranges.other_json()), terms.own()),
        (ranges.exact("text/html").max(ranges.exact("application/xhtml+xml")), Shape::Html),
        (ranges.exact("application/problem+xml"), Shape::ProblemXml),
        (ranges.exact("application/xml").max(ranges.exact("text/xml")), Shape::Xml),
        (ranges.exact("application/soap+xml"), Shape::Soap12),
        (ranges.exact("text/plain"), Shape::Text),
        (ranges.json_by_wildcard(), terms.own()),
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
pub fn prefers_html(asked: NegotiationInput<'_>) -> bool {
    shape(asked, Terms { format: Format::Envelope, protocol: Protocol::Http, negotiate: true }) == Shape::Html
}

/// What an `Accept` lists.
struct Ranges<'a>(Vec<Range<'a>>);

impl Ranges<'_> {
    fn best(&self, is: impl Fn(&str) -> bool) -> Option<u32> {
        self.0.iter().filter(|range| is(range.name)).map(|range| range.quality).max()
    }

    fn exact(&self, wanted: &str) -> u32 {
        self.best(|name| name.eq_ignore_ascii_case(wanted)).unwrap_or(0)
    }

    fn other_json(&self) -> u32 {
        self.best(ends_with_json).unwrap_or(0)
    }

    /// Is the type listed by its name, and not refused?
    fn names(&self, wanted: &str) -> bool {
        self.exact(wanted) > 0
    }

    fn names_json(&self) -> bool {
        self.0.iter().any(|range| range.quality > 0 && range.name.to_ascii_lowercase().contains("json"))
    }

    /// What JSON is worth by a wildcard; what is more precise counts before (RFC 9110 12.5.1).
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
        shape(NegotiationInput { accept: Some(accept), ..NegotiationInput::default() }, TERMS)
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
            ("application/*, text/html;q=0.5", Shape::Json(Format::Envelope)),
            ("*/*, text/html;q=0.5", Shape::Json(Format::Envelope)),
            ("text/html, */*", Shape::Html),
            ("text/*;q=0.9, */*;q=0.1", Shape::Json(Format::Envelope)),
            ("text/plain;q=0.4, application/*;q=0.3", Shape::Text),
            ("application/json;q=0.1, application/*, text/html;q=0.5", Shape::Html),
            ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", Shape::Html),
        ] {
            assert_eq!(of(accept), wanted, "{accept}");
        }
        let fixed = Terms { format: Format::Flat, negotiate: false, ..TERMS };
        assert_eq!(
            shape(NegotiationInput { accept: Some("text/html"), dialect: Some(Dialect::Soap11), ..NegotiationInput::default() }, fixed),
            Shape::Json(Format::Flat)
        );
        assert_eq!(shape(NegotiationInput::default(), Terms { format: Format::Problem, ..TERMS }), Shape::Json(Format::Problem));
    }

    #[test]
    fn who_is_answered_with_json_and_is_no_browser_gets_json() {
        let answered = |accept, browser| {
            shape(NegotiationInput { accept: Some(accept), answered_json: true, browser, ..NegotiationInput::default() }, TERMS)
        };
        const JAVA: &str = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";
        assert_eq!(answered(JAVA, false), Shape::Json(Format::Envelope));
        assert_eq!(answered(JAVA, true), Shape::Html);
        assert_eq!(answered("text/html,application/xhtml+xml,*/*;q=0.8", false), Shape::Html);
        assert_eq!(answered("text/html, application/json;q=0.5", false), Shape::Html);
        assert_eq!(answered("text/plain", false), Shape::Text);
    }

    #[test]
    fn protocols_have_their_own_shapes() {
        let asked = |dialect| NegotiationInput { accept: Some("*/*"), dialect: Some(dialect), ..NegotiationInput::default() };
        assert_eq!(shape(asked(Dialect::Grpc), TERMS), Shape::Grpc);
        assert_eq!(shape(asked(Dialect::GrpcWeb), TERMS), Shape::GrpcWeb);
        assert_eq!(shape(asked(Dialect::Soap11), TERMS), Shape::Soap11);
        let graphql = Terms { protocol: Protocol::Graphql, ..TERMS };
        let accepts = |accept| shape(NegotiationInput { accept: Some(accept), ..NegotiationInput::default() }, graphql);
        assert_eq!(accepts("*/*"), Shape::Graphql);
        assert_eq!(accepts("application/graphql-response+json, application/json;q=0.9"), Shape::GraphqlResponse);
        assert_eq!(accepts("text/html,*/*;q=0.1"), Shape::Html);
        assert_eq!(shape(NegotiationInput::default(), Terms { protocol: Protocol::Jsonrpc, ..TERMS }), Shape::Jsonrpc);
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read(accept in "\\PC{0,80}") {
            of(&accept);
        }
    }
}
