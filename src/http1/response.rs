//! Parses a response head: strict where the framing is decided, tolerant where RFC 9112 tells a proxy to repair.
//!
//! Repaired are white space before a colon (5.1), a bare LF as the end of a line (2.2), empty lines in front (2.2) and a missing reason (4).
//! Takes bytes, returns the head or the violated rule. What a client may see of the head is decided elsewhere.

use http::header::{self, HeaderName};
use http::{Method, StatusCode, Version};

use super::Violation;
use super::chunked::Chunked;
use super::framing::Framing;
use super::request::number;
use super::syntax::{CONTROL_CHARACTER, Connection, FoundHead, Lines, field, find_head};
use crate::failure::Kind;
use crate::header::{HeaderList, InvalidValue};

/// Maximum bytes of a head.
pub const MAX_HEAD: usize = 256 * 1024;
/// Maximum header lines (RFC 9110 sets no limit; responses with 300 cookies exist).
const MAX_FIELDS: usize = 512;

/// A response head.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status, 100 to 999.
    pub status: StatusCode,
    /// The header lines, in their order.
    pub headers: HeaderList,
    /// The framing of the body.
    pub framing: Framing,
    /// The connection may serve another request (RFC 9112 9.3).
    pub keep_alive: bool,
}

/// Finds and parses the head at the start of `input`. `searched` is the number of bytes that an earlier call with the same start found
/// incomplete. Returns the head and its length, or `None` if more bytes are needed.
///
/// # Errors
/// Returns the first rule that is violated.
pub fn inspect(input: &[u8], searched: usize, method: &Method) -> Result<Option<(ResponseHead, usize)>, Violation> {
    let start = empty_lines(input);
    let line = &input[start..];
    let begins = line.len().min(PROTOCOL.len());
    if line[..begins] != PROTOCOL[..begins] {
        return Err(Violation::bad_response("not an HTTP/1 response"));
    }
    let Some(found) = find_head(input, start, searched) else {
        let too_large = input.len() > MAX_HEAD;
        let rule = "the header section is too large";
        return if too_large { Err(Violation { kind: Kind::ResponseHeadersTooLarge, rule, byte: None }) } else { Ok(None) };
    };
    parse(&input[found.at.clone()], &found, method).map(|head| Some((head, found.at.end)))
}

const PROTOCOL: &[u8] = b"HTTP/1.";

/// Returns the length of the empty lines in front, of which the last may be incomplete.
fn empty_lines(input: &[u8]) -> usize {
    let mut rest = input;
    while let [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] = rest {
        rest = after;
    }
    input.len() - if rest == b"\r" { 0 } else { rest.len() }
}

/// Parses a complete head.
fn parse(head: &[u8], found: &FoundHead, method: &Method) -> Result<ResponseHead, Violation> {
    let mut lines = Lines::new(head, found);
    let next_line = |lines: &mut Lines<'_>| lines.any().ok_or(Violation::bad_response("no end of line"));
    let (version, status) = status_line(&head[next_line(&mut lines)?])?;
    let mut headers = HeaderList::of_head(head, USUAL_FIELDS);
    let mut fields = Fields::default();
    for count in 0.. {
        let line = next_line(&mut lines)?;
        if line.is_empty() {
            break;
        }
        if count >= MAX_FIELDS {
            return Err(Violation { kind: Kind::ResponseHeadersTooLarge, rule: "too many header lines", byte: None });
        }
        let (name, value) = field(head, line, true).map_err(Violation::bad_response)?;
        fields.record(&name, &head[value.clone()])?;
        headers.append_part(name, value).map_err(|InvalidValue| Violation::bad_response(CONTROL_CHARACTER))?;
    }
    let framing = fields.framing(status, method, version)?;
    // What follows a 101 is another protocol.
    let speaks_http = status != StatusCode::SWITCHING_PROTOCOLS && !matches!(framing, Framing::UntilClose);
    let keep_alive = fields.connection.keeps_alive(version) && speaks_http;
    Ok(ResponseHead { status, headers, framing, keep_alive })
}

/// How many header lines most responses have at most, including those that the gateway adds.
const USUAL_FIELDS: usize = 16;

/// Parses `HTTP/1.x SP status [SP reason]` (RFC 9112 4).
fn status_line(line: &[u8]) -> Result<(Version, StatusCode), Violation> {
    let (version, rest) = match line.strip_prefix(PROTOCOL) {
        Some([b'1', rest @ ..]) => (Version::HTTP_11, rest),
        Some([b'0', rest @ ..]) => (Version::HTTP_10, rest),
        Some(_) | None => return Err(Violation::bad_response("the version is not HTTP/1.0 or HTTP/1.1")),
    };
    let (code, reason) = match rest {
        [b' ', a, b, c] => ([*a, *b, *c], &b""[..]),
        [b' ', a, b, c, b' ', reason @ ..] => ([*a, *b, *c], reason),
        _ => return Err(Violation::bad_response("the status line is broken")),
    };
    if reason.iter().any(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f) {
        return Err(Violation::bad_response("a control character in the reason phrase"));
    }
    let status = StatusCode::from_bytes(&code).map_err(|_| Violation::bad_response("the status is no number from 100 to 999"))?;
    Ok((version, status))
}

/// The header lines that determine the framing and the connection's future.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    chunked: bool,
    connection: Connection,
}

impl Fields {
    fn record(&mut self, name: &HeaderName, value: &[u8]) -> Result<(), Violation> {
        match *name {
            header::CONTENT_LENGTH => {
                let length = number(value).filter(|_| self.length.is_none());
                self.length = Some(length.ok_or(Violation::bad_response("Content-Length is not one number"))?);
            }
            header::TRANSFER_ENCODING => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Violation { kind: Kind::ResponseCoding, rule: "Transfer-Encoding is not `chunked`", byte: None });
                }
                self.chunked = true;
            }
            header::CONNECTION => self.connection.record(value),
            _ => {}
        }
        Ok(())
    }

    /// Decides the framing (RFC 9112 6.3).
    fn framing(&self, status: StatusCode, method: &Method, version: Version) -> Result<Framing, Violation> {
        if self.chunked && version == Version::HTTP_10 {
            return Err(Violation { kind: Kind::ResponseCoding, rule: "Transfer-Encoding in HTTP/1.0", byte: None });
        }
        if self.chunked && self.length.is_some() {
            return Err(Violation::bad_response("Content-Length beside Transfer-Encoding"));
        }
        let has_no_content = *method == Method::HEAD || status.is_informational() || matches!(status.as_u16(), 204 | 304);
        Ok(match self.length {
            _ if has_no_content => Framing::EMPTY,
            _ if self.chunked => Framing::Chunked(Box::new(Chunked::padded())),
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(head: &str) -> Result<ResponseHead, Kind> {
        let found = inspect(head.as_bytes(), 0, &Method::GET).map_err(|violation| violation.kind)?;
        let (parsed, length) = found.expect("a whole head");
        assert_eq!(length, head.len());
        Ok(parsed)
    }

    #[test]
    fn heads_are_parsed_and_repaired() {
        let head = of("\r\nHTTP/1.1 200 OK\r\nContent-Length : 3\r\nSet-Cookie: a\nSet-Cookie: b \r\n\r\n").unwrap();
        assert_eq!((head.status, head.framing.remaining(), head.keep_alive), (StatusCode::OK, Some(3), true));
        assert_eq!(head.headers.get_all("set-cookie").collect::<Vec<_>>(), ["a", "b"]);
        assert!(of("HTTP/1.1 200\r\n\r\n").is_ok_and(|head| matches!(head.framing, Framing::UntilClose) && !head.keep_alive));
        assert!(of("HTTP/1.0 200 \r\nContent-Length: 0\r\n\r\n").is_ok_and(|head| !head.keep_alive));
        assert!(of("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n").is_ok_and(|head| head.keep_alive));
    }

    #[test]
    fn a_connection_persists_only_if_nothing_speaks_against_it() {
        let keeps = |line: &str| of(&format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n")).unwrap().keep_alive;
        assert!(keeps("200 OK") && !keeps("200 OK\r\nConnection: close\r\nConnection: keep-alive"));
        assert!(!keeps("101 Switching Protocols"));
    }

    #[test]
    fn some_responses_have_no_content() {
        for (method, line) in [(Method::HEAD, "200 OK"), (Method::GET, "204 No Content"), (Method::GET, "304 Not Modified")] {
            let head = format!("HTTP/1.1 {line}\r\nContent-Length: 5\r\n\r\n");
            assert!(inspect(head.as_bytes(), 0, &method).unwrap().unwrap().0.framing.is_end(), "{line}");
        }
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for (lines, kind) in [
            ("Content-Length: 1\r\nContent-Length: 2", Kind::ResponseMalformed),
            ("Content-Length: 1\r\nContent-Length: 1", Kind::ResponseMalformed),
            ("Content-Length: 1, 1", Kind::ResponseMalformed),
            ("Content-Length: -1", Kind::ResponseMalformed),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked", Kind::ResponseMalformed),
            ("Transfer-Encoding: gzip, chunked", Kind::ResponseCoding),
            ("Transfer-Encoding: identity", Kind::ResponseCoding),
            ("X: a\0b", Kind::ResponseMalformed),
            ("X y: b", Kind::ResponseMalformed),
            ("Content-Length\r: 1", Kind::ResponseMalformed),
            ("Content-Length\x0c: 1", Kind::ResponseMalformed),
            (" folded", Kind::ResponseMalformed),
        ] {
            assert_eq!(of(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n")).map(drop), Err(kind), "{lines:?}");
        }
        assert_eq!(of("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").map(drop), Err(Kind::ResponseCoding));
    }

    #[test]
    fn what_is_no_response_is_refused_at_once() {
        for input in [
            "SSH-2.0",
            "H",
            "\rHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 X\r\n\r\n",
        ] {
            let seen = inspect(input.as_bytes(), 0, &Method::GET);
            assert_eq!(seen.is_err(), input != "H", "{input:?}");
        }
    }

    #[test]
    fn the_size_of_a_head_is_bounded() {
        let head = |lines: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(lines));
        assert!(of(&head(MAX_FIELDS)).is_ok());
        assert_eq!(of(&head(MAX_FIELDS + 1)).map(drop), Err(Kind::ResponseHeadersTooLarge));
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(MAX_HEAD));
        assert_eq!(inspect(endless.as_bytes(), 0, &Method::GET).unwrap_err().kind, Kind::ResponseHeadersTooLarge);
    }

    proptest::proptest! {
        #[test]
        fn splitting_changes_nothing(noise in "[HTP/1.0-9 OK\r\n:a]{0,60}", cut in 0usize..80) {
            let input = format!("HTTP/1.1 200 OK\r\nA: b\r\n{noise}\r\n\r\n");
            let cut = cut.min(input.len());
            let whole = inspect(input.as_bytes(), 0, &Method::GET).map(|found| found.map(|(_, length)| length));
            let first = inspect(&input.as_bytes()[..cut], 0, &Method::GET).map(|found| found.map(|(_, length)| length));
            let split = match first {
                Ok(None) => inspect(input.as_bytes(), cut, &Method::GET).map(|found| found.map(|(_, length)| length)),
                done => done,
            };
            proptest::prop_assert_eq!(whole, split);
        }

        #[test]
        fn any_bytes_are_handled(head in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = inspect(&head, 0, &Method::GET);
        }
    }
}
