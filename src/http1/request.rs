//! Parses a request head strictly by RFC 9112: a head that is accepted here means the same to any other parser.
//!
//! Takes bytes, returns the head or the violated rule. Semantic rules (host names, methods, routes) are the gateway's.

use http::header::{self, HeaderName};
use http::{Method, Version};

use super::Violation;
use super::chunked::Chunked;
use super::framing::Framing;
use super::syntax::{CONTROL_CHARACTER, Connection, FoundHead, Lines, field, find_head, is_token, lists, skip_empty_lines, trim};
use super::target::{self, Target};
use crate::failure::Kind;
use crate::header::{HeaderList, InvalidValue};

/// Limits of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum bytes of the whole head.
    pub head: usize,
    /// Maximum bytes of the request target.
    pub target: usize,
    /// Whether a query with bytes that no URI has is refused.
    pub strict_target: bool,
    /// Maximum number of header lines.
    pub fields: usize,
}

/// A request head.
#[derive(Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The target.
    pub target: Target,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The header lines, in their order.
    pub headers: HeaderList,
    /// The framing of the body.
    pub framing: Framing,
    /// The connection may serve another request (RFC 9112 9.3).
    pub keep_alive: bool,
    /// The client waits for a 100 before it sends its body (RFC 9110 10.1.1).
    pub expects_continue: bool,
    /// The client reads trailers (RFC 9110 10.1.4).
    pub reads_trailers: bool,
}

/// The result of an inspection of the next bytes of a connection.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "the large one is the usual one: a box would cost every request an allocation")]
pub enum Inspected {
    /// A whole head of this many bytes.
    Head(usize, RequestHead),
    /// The input is an incomplete head; inspect it again with more bytes.
    Incomplete,
    /// The connection must end once the earlier requests are answered.
    Invalid(Violation),
}

/// Finds and parses the request heads of one connection.
#[derive(Debug)]
pub struct RequestParser {
    limits: Limits,
    /// Bytes of an incomplete head that were searched for its end already.
    searched: usize,
}

impl RequestParser {
    /// Creates the parser of a new connection.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, searched: 0 }
    }

    /// Inspects the next bytes. After [`Inspected::Incomplete`], the next input must start with the same bytes.
    pub fn inspect(&mut self, input: &[u8]) -> Inspected {
        let start = input.len() - skip_empty_lines(input).len();
        let Some(found) = find_head(input, start, self.searched) else {
            self.searched = input.len();
            return self.incomplete(input);
        };
        self.searched = 0;
        let end = found.at.end;
        if end > self.limits.head {
            return Inspected::Invalid(self.too_large(&input[..end]));
        }
        match parse(&input[found.at.clone()], &found, self.limits) {
            Ok(head) => Inspected::Head(end, head),
            Err(violation) => Inspected::Invalid(violation),
        }
    }

    /// Refuses an incomplete head that can no longer become a valid one.
    fn incomplete(&self, input: &[u8]) -> Inspected {
        let content = skip_empty_lines(input);
        // Input that cannot become a request is refused at once, instead of waiting for the end of, say, a TLS hello.
        if content.first().is_some_and(|b| !is_token(*b) && !b"\r\n".starts_with(content)) {
            let rule = if content[0] == 0x16 { "a TLS hello on a plain port" } else { "not an HTTP request" };
            return Inspected::Invalid(Violation::bad_request(rule));
        }
        let line_ended = content.contains(&b'\n');
        let target = content.split(|b| *b == b' ').nth(1).map_or(0, <[u8]>::len);
        if !line_ended && target > self.limits.target {
            return Inspected::Invalid(Violation { kind: Kind::UriTooLong, rule: "the target is too long", byte: None });
        }
        if input.len() > self.limits.head {
            return Inspected::Invalid(self.too_large(input));
        }
        Inspected::Incomplete
    }

    /// Returns the violation of a head that is too large: 414 if its first line is too long, else 431.
    fn too_large(&self, head: &[u8]) -> Violation {
        let line = skip_empty_lines(head).split(|b| *b == b'\n').next().unwrap_or_default();
        let long_line = line.len() > self.limits.target.min(self.limits.head.saturating_sub(64));
        match long_line {
            true => Violation { kind: Kind::UriTooLong, rule: "the request line is too long", byte: None },
            false => Violation { kind: Kind::HeadersTooLarge, rule: "the header section is too large", byte: None },
        }
    }
}

/// Parses a complete head, up to and including the empty line.
///
/// # Errors
/// Returns the first rule that is violated.
fn parse(head: &[u8], found: &FoundHead, limits: Limits) -> Result<RequestHead, Violation> {
    let mut lines = Lines::new(head, found);
    let next_line = |lines: &mut Lines<'_>| lines.strict().ok_or(Violation::bad_request("bare CR or LF"));
    let (method, target, version) = request_line(&head[next_line(&mut lines)?], limits)?;
    let mut headers = HeaderList::of_head(head, USUAL_FIELDS);
    let mut fields = Fields::default();
    for count in 0.. {
        let line = next_line(&mut lines)?;
        if line.is_empty() {
            break;
        }
        if count >= limits.fields {
            return Err(Violation { kind: Kind::HeadersTooLarge, rule: "too many header lines", byte: None });
        }
        let (name, value) = field(head, line, false).map_err(Violation::bad_request)?;
        fields.record(&name, &head[value.clone()])?;
        headers.append_part(name, value).map_err(|InvalidValue| Violation::bad_request(CONTROL_CHARACTER))?;
    }
    let Fields { expects_continue, reads_trailers, .. } = fields;
    let keep_alive = fields.connection.keeps_alive(version);
    Ok(RequestHead { method, target, version, headers, framing: fields.framing(version)?, keep_alive, expects_continue, reads_trailers })
}

/// How many header lines most requests have at most, including those that the gateway adds.
const USUAL_FIELDS: usize = 24;

/// Parses `METHOD SP target SP HTTP/1.x` with single spaces (RFC 9112 3).
fn request_line(line: &[u8], limits: Limits) -> Result<(Method, Target, Version), Violation> {
    let spaces = memchr::memchr(b' ', line).zip(memchr::memrchr(b' ', line)).filter(|(first, last)| first < last);
    let (first, last) = spaces.ok_or(Violation::bad_request("the request line has not three parts"))?;
    // Additional spaces would be part of the target, which may not contain any.
    let (method, target, version) = (&line[..first], &line[first + 1..last], &line[last + 1..]);
    let method = Method::from_bytes(method).map_err(|_| Violation::bad_request("the method is no token"))?;
    if target.is_empty() {
        return Err(Violation::bad_request("the request line has no target"));
    }
    if target.len() > limits.target {
        return Err(Violation { kind: Kind::UriTooLong, rule: "the target is too long", byte: None });
    }
    let target = target::parse(&method, target, limits.strict_target)?;
    match version {
        b"HTTP/1.1" => Ok((method, target, Version::HTTP_11)),
        b"HTTP/1.0" => Ok((method, target, Version::HTTP_10)),
        _ => Err(Violation::bad_request("the version is not HTTP/1.0 or HTTP/1.1")),
    }
}

/// The header lines that determine the framing and the connection's future.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    chunked: bool,
    hosts: u32,
    unsupported: bool,
    connection: Connection,
    expects_continue: bool,
    reads_trailers: bool,
}

impl Fields {
    fn record(&mut self, name: &HeaderName, value: &[u8]) -> Result<(), Violation> {
        match *name {
            header::HOST => {
                self.hosts += 1;
                if self.hosts > 1 {
                    return Err(Violation::bad_request("more than one Host"));
                }
            }
            header::CONTENT_LENGTH => self.content_length(value)?,
            header::TRANSFER_ENCODING => self.transfer_encoding(value)?,
            header::CONNECTION => self.connection.record(value),
            header::EXPECT if value.eq_ignore_ascii_case(b"100-continue") => self.expects_continue = true,
            header::TE if lists(value, b"trailers") => self.reads_trailers = true,
            _ => {}
        }
        Ok(())
    }

    /// Accepts digits, once. (RFC 9112 6.3 allows to refuse repetitions of the same value.)
    fn content_length(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.length.is_some() {
            return Err(Violation::bad_request("more than one Content-Length"));
        }
        self.length = Some(number(value).ok_or(Violation::bad_request("Content-Length is not a number"))?);
        Ok(())
    }

    /// Accepts exactly `chunked`, once. Other codings are well-formed but not supported.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.chunked || self.unsupported {
            return Err(Violation::bad_request("more than one Transfer-Encoding"));
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        let is_chunked = |coding: &[u8]| trim(coding).eq_ignore_ascii_case(b"chunked");
        let codings = !value.is_empty()
            && value.split(|b| *b == b',').all(|coding| !trim(coding).is_empty() && trim(coding).iter().all(|b| is_token(*b)));
        let last_is_chunked = value.rsplit(|b| *b == b',').next().is_some_and(is_chunked);
        let repeated = value.split(|b| *b == b',').filter(|coding| is_chunked(coding)).count() > 1;
        if !codings || (value.contains(&b',') && !last_is_chunked) || repeated {
            return Err(Violation::bad_request("Transfer-Encoding is not `chunked`"));
        }
        self.unsupported = true;
        Ok(())
    }

    fn framing(&self, version: Version) -> Result<Framing, Violation> {
        let coded = self.chunked || self.unsupported;
        if coded && self.length.is_some() {
            return Err(Violation::bad_request("Content-Length beside Transfer-Encoding"));
        }
        if coded && version == Version::HTTP_10 {
            return Err(Violation::bad_request("Transfer-Encoding in HTTP/1.0"));
        }
        if self.unsupported {
            return Err(Violation { kind: Kind::CodingNotSupported, rule: "a transfer coding other than chunked", byte: None });
        }
        if self.hosts == 0 && version == Version::HTTP_11 {
            return Err(Violation::bad_request("no Host"));
        }
        Ok(if self.chunked { Framing::Chunked(Box::new(Chunked::strict())) } else { Framing::Length(self.length.unwrap_or(0)) })
    }
}

/// Parses digits only: 1 to 18 of them.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    let digits = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok())
}

/// Parses a whole head, for tests.
#[cfg(test)]
pub(super) fn parse_whole(head: &[u8], limits: Limits) -> Result<RequestHead, Violation> {
    match RequestParser::new(limits).inspect(head) {
        Inspected::Head(_, head) => Ok(head),
        Inspected::Incomplete => Err(Violation::bad_request("incomplete")),
        Inspected::Invalid(violation) => Err(violation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head: 32 << 10, target: 16 << 10, strict_target: false, fields: 100 };

    /// The length of the body, or `None` for a chunked one.
    fn of(head: &str) -> Result<Option<u64>, Kind> {
        parse_whole(head.as_bytes(), LIMITS).map(|head| head.framing.remaining()).map_err(|violation| violation.kind)
    }

    #[test]
    fn good_heads_have_one_framing() {
        assert_eq!(of("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Some(0)));
        assert_eq!(of("\r\nGET / HTTP/1.0\r\n\r\n"), Ok(Some(0)));
        assert_eq!(of("POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n"), Ok(Some(12)));
        assert_eq!(of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"), Ok(None));
        assert_eq!(of("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Some(0)));
        assert_eq!(of("GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Some(0)));
        assert_eq!(of("GET /안 HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Some(0)));
    }

    #[test]
    fn a_head_is_parsed_into_its_parts() {
        let head = parse_whole(b"PUT /a?b HTTP/1.1\r\nHost: a\r\nX-A:  1\t\r\nx-a:\r\nExpect: 100-Continue\r\n\r\n", LIMITS).unwrap();
        assert_eq!((head.method, head.target.uri.to_string(), head.version), (Method::PUT, "/a?b".into(), Version::HTTP_11));
        let values: Vec<_> = head.headers.get_all("x-a").collect();
        assert_eq!(values, ["1", ""]);
        assert!(head.expects_continue);
    }

    #[test]
    fn connections_persist_by_version_and_header() {
        let keeps = |lines: &str| parse_whole(format!("GET / {lines}\r\nHost: a\r\n\r\n").as_bytes(), LIMITS).unwrap().keep_alive;
        assert!(keeps("HTTP/1.1") && !keeps("HTTP/1.0") && keeps("HTTP/1.0\r\nConnection: x, Keep-Alive"));
        assert!(!keeps("HTTP/1.1\r\nConnection: TE, close"));
        assert!(!keeps("HTTP/1.1\r\nConnection: close\r\nConnection: keep-alive"));
    }

    #[test]
    fn request_smuggling_is_refused() {
        for lines in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked, gzip",
            "Transfer-Encoding: \x0bchunked",
            "Transfer-Encoding:",
            "Transfer-Encoding : chunked",
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1, 1",
            "Content-Length: +1",
            "Content-Length: 0x1",
            "Content-Length: 1_0",
            "Content-Length: ",
            "Content-Length: 99999999999999999999",
            "X: a\r\n folded",
            "X: a\nY: b",
            "X: a\rY: b",
            "X: a\0b",
            "X y: b",
            "no colon",
            ": empty",
            "Host: b",
        ] {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
            assert_eq!(of(&head), Err(Kind::BadRequest), "{lines:?}");
        }
    }

    #[test]
    fn request_lines_are_strict() {
        for line in [
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /",
            "GET / HTTP/2.0",
            "G T / HTTP/1.1",
            "GET a HTTP/1.1",
            "GET * HTTP/1.1",
            "GET /\u{1} HTTP/1.1",
            "GET /a#b HTTP/1.1",
            " GET / HTTP/1.1",
            "GET / http/1.1",
            "GET /\tHTTP/1.1",
        ] {
            assert_eq!(of(&format!("{line}\r\nHost: a\r\n\r\n")), Err(Kind::BadRequest), "{line:?}");
        }
    }

    #[test]
    fn limits_and_codings_have_their_own_kinds() {
        assert_eq!(of(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(17_000))), Err(Kind::UriTooLong));
        assert_eq!(of(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(100))), Err(Kind::HeadersTooLarge));
        assert_eq!(of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), Err(Kind::CodingNotSupported));
        assert_eq!(of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(Kind::BadRequest));
        assert_eq!(of("GET / HTTP/1.1\r\n\r\n"), Err(Kind::BadRequest));
    }

    /// Feeds `input` in pieces of `size` bytes. Returns the bytes of the heads, and the kind of the violation if there is one.
    fn feed(input: &[u8], size: usize) -> (usize, Option<Kind>) {
        let mut parser = RequestParser::new(Limits { head: 1024, target: 512, strict_target: false, fields: 10 });
        let (mut heads, mut held) = (0, Vec::new());
        for piece in input.chunks(size.max(1)) {
            held.extend_from_slice(piece);
            loop {
                match parser.inspect(&held) {
                    Inspected::Head(bytes, _) => {
                        heads += bytes;
                        held.drain(..bytes);
                    }
                    Inspected::Incomplete => break,
                    Inspected::Invalid(violation) => return (heads, Some(violation.kind)),
                }
            }
        }
        (heads, None)
    }

    const TWO: &[u8] = b"GET /a HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn pipelined_requests_are_parsed_one_by_one() {
        for size in [1, 2, 7, 1000] {
            assert_eq!(feed(TWO, size), (TWO.len(), None), "{size}");
        }
    }

    #[test]
    fn an_incomplete_head_is_bounded() {
        assert_eq!(feed(&[b"GET /".to_vec(), vec![b'a'; 600]].concat(), 50).1, Some(Kind::UriTooLong));
        assert_eq!(feed(&[b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 2000]].concat(), 50).1, Some(Kind::HeadersTooLarge));
        assert_eq!(feed(b"\x16\x03\x01\x02\x00", 1).1, Some(Kind::BadRequest));
        assert_eq!(feed(b"SSH-2.0-x\r\n\r\n", 4).1, Some(Kind::BadRequest));
    }

    proptest::proptest! {
        #[test]
        fn a_plain_target_is_a_uri(target in "/[!-~]{0,30}") {
            if target.bytes().all(super::super::syntax::is_plain_target) {
                proptest::prop_assert!(http::Uri::try_from(target.as_str()).is_ok());
            }
        }

        #[test]
        fn a_bare_cr_is_refused_everywhere(at in 0usize..36) {
            let mut head = b"GET /path HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec();
            head.insert(at, b'\r');
            proptest::prop_assert!(parse_whole(&head, LIMITS).is_err());
        }

        #[test]
        fn splitting_changes_nothing(noise in "[GET /HTP1.\r\n:a0-9]{0,80}", size in 1usize..20) {
            let input = [TWO, noise.as_bytes()].concat();
            proptest::prop_assert_eq!(feed(&input, size), feed(&input, input.len()));
        }

        #[test]
        fn any_bytes_are_handled(head in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = parse_whole(&head, LIMITS);
        }
    }
}
