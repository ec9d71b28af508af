//! Strict validation of a request head by RFC 9112: a head that is accepted here means the same to the gateway, to hyper and to any
//! upstream.
//!
//! Pure: takes bytes, returns the framing or a refusal. Semantic rules (host names, methods, routes) are the gateway's.

use crate::failure::Kind;

/// The framing of the body that follows a head (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A number of bytes; 0 for no body.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
}

/// The reason why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of failure.
    pub kind: Kind,
    /// The violated rule, for the log.
    pub rule: &'static str,
}

impl Refusal {
    pub(super) const fn bad(rule: &'static str) -> Self {
        Self { kind: Kind::BadRequest, rule }
    }
}

/// Limits of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum bytes of the whole head.
    pub head: usize,
    /// Maximum bytes of the request target.
    pub target: usize,
    /// Maximum number of header lines.
    pub fields: usize,
}

/// Validates a complete head, up to and including the empty line. Leading empty lines are allowed (RFC 9112 2.2).
///
/// # Errors
/// Returns the first rule that is violated.
pub fn validate(head: &[u8], limits: Limits) -> Result<Framing, Refusal> {
    let mut rest = skip_empty_lines(head);
    let line = take_line(&mut rest)?;
    let version = request_line(line, limits)?;
    let mut fields = Fields::default();
    let mut count = 0;
    loop {
        let line = take_line(&mut rest)?;
        if line.is_empty() {
            break;
        }
        count += 1;
        if count > limits.fields {
            return Err(Refusal { kind: Kind::HeadersTooLarge, rule: "too many header lines" });
        }
        fields.add_line(line)?;
    }
    fields.framing(version)
}

/// Returns the head without leading CRLFs.
pub(super) fn skip_empty_lines(mut head: &[u8]) -> &[u8] {
    while let Some(rest) = head.strip_prefix(b"\r\n") {
        head = rest;
    }
    head
}

/// Takes a line and removes its CRLF. A bare LF is refused here; a bare CR is refused later, as no line may contain one.
fn take_line<'h>(rest: &mut &'h [u8]) -> Result<&'h [u8], Refusal> {
    let end = memchr::memchr(b'\n', rest).ok_or(Refusal::bad("no end of line"))?;
    let line = rest[..end].strip_suffix(b"\r").ok_or(Refusal::bad("bare CR or LF"))?;
    *rest = &rest[end + 1..];
    Ok(line)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

/// Parses `METHOD SP target SP HTTP/1.x` with single spaces (RFC 9112 3).
fn request_line(line: &[u8], limits: Limits) -> Result<Version, Refusal> {
    let spaces = memchr::memchr(b' ', line).zip(memchr::memrchr(b' ', line)).filter(|(first, last)| first < last);
    let (first, last) = spaces.ok_or(Refusal::bad("the request line has not three parts"))?;
    // Additional spaces would be part of the target, which may not contain any.
    let (method, target, version) = (&line[..first], &line[first + 1..last], &line[last + 1..]);
    if method.is_empty() || !method.iter().all(|b| is_token(*b)) {
        return Err(Refusal::bad("the method is no token"));
    }
    if target.is_empty() {
        return Err(Refusal::bad("the request line has no target"));
    }
    if target.len() > limits.target {
        return Err(Refusal { kind: Kind::UriTooLong, rule: "the target is too long" });
    }
    check_target(method, target)?;
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        _ => Err(Refusal::bad("the version is not HTTP/1.0 or HTTP/1.1")),
    }
}

/// Accepts the four forms (RFC 9112 3.2), in visible ASCII or UTF-8, without a fragment.
fn check_target(method: &[u8], target: &[u8]) -> Result<(), Refusal> {
    if target[..1] == *b"/" && target.iter().all(|b| is(*b, PLAIN)) {
        return Ok(());
    }
    let visible = |b: &u8| *b > b' ' && *b != 0x7f && *b != b'#' && *b != b'<' && *b != b'>' && *b != b'"' && *b != b'`' && *b != b'^';
    if !target.iter().all(visible) {
        return Err(Refusal::bad("the target has forbidden bytes"));
    }
    let form = target[0] == b'/' || (target == b"*" && method == b"OPTIONS") || method == b"CONNECT" || absolute(target);
    if !form || std::str::from_utf8(target).is_err_and(|_| true) || http::Uri::try_from(target).is_err() {
        return Err(Refusal::bad("the target is no path and no absolute URI"));
    }
    Ok(())
}

fn absolute(target: &[u8]) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme.as_bytes()))
}

/// The header lines that determine the framing.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    chunked: bool,
    hosts: u32,
    unsupported: bool,
}

impl Fields {
    fn add_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        // A space before the colon, a folded line and an empty name all fail here.
        let colon = line.iter().position(|b| !is_token(*b)).filter(|at| *at > 0 && line[*at] == b':');
        let colon = colon.ok_or(Refusal::bad("a header line without a colon, or its name is no token"))?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        // Free of branches, so that it is vectorized.
        if value.iter().fold(false, |bad, b| bad | ((*b < b' ') & (*b != b'\t')) | (*b == 0x7f)) {
            return Err(Refusal::bad("a control character in a header value"));
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                if self.hosts > 1 {
                    return Err(Refusal::bad("more than one Host"));
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value)?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value)?,
            _ => {}
        }
        Ok(())
    }

    /// Accepts digits, once. (RFC 9112 6.3 allows to refuse repetitions of the same value.)
    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(Refusal::bad("more than one Content-Length"));
        }
        let digits = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
        self.length = Some(length.ok_or(Refusal::bad("Content-Length is not a number"))?);
        Ok(())
    }

    /// Accepts exactly `chunked`, once. Other codings are well-formed but not supported.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.chunked || self.unsupported {
            return Err(Refusal::bad("more than one Transfer-Encoding"));
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
        } else {
            let codings = !value.is_empty()
                && value.split(|b| *b == b',').all(|coding| !trim(coding).is_empty() && trim(coding).iter().all(|b| is_token(*b)));
            let last_is_chunked = value.rsplit(|b| *b == b',').next().is_some_and(|last| trim(last).eq_ignore_ascii_case(b"chunked"));
            let repeated = value.split(|b| *b == b',').filter(|coding| trim(coding).eq_ignore_ascii_case(b"chunked")).count() > 1;
            if !codings || (value.contains(&b',') && !last_is_chunked) || repeated {
                return Err(Refusal::bad("Transfer-Encoding is not `chunked`"));
            }
            self.unsupported = true;
        }
        Ok(())
    }

    fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        let coded = self.chunked || self.unsupported;
        if coded && self.length.is_some() {
            return Err(Refusal::bad("Content-Length beside Transfer-Encoding"));
        }
        if coded && version == Version::Http10 {
            return Err(Refusal::bad("Transfer-Encoding in HTTP/1.0"));
        }
        if self.unsupported {
            return Err(Refusal { kind: Kind::CodingNotSupported, rule: "a transfer coding other than chunked" });
        }
        if self.hosts == 0 && version == Version::Http11 {
            return Err(Refusal::bad("no Host"));
        }
        Ok(if self.chunked { Framing::Chunked } else { Framing::Length(self.length.unwrap_or(0)) })
    }
}

/// Returns true for a byte of a token (RFC 9110 5.6.2).
pub(super) const fn is_token(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// The byte may occur in a token.
const TOKEN: u8 = 1;
/// The byte may occur anywhere in a path or query (RFC 3986 3.3 and 3.4).
const PLAIN: u8 = 2;

const fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let letter = (byte as u8).is_ascii_alphanumeric();
        if letter
            || matches!(byte as u8, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
        {
            classes[byte] |= TOKEN;
        }
        let plain =
            matches!(byte as u8, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=');
        if letter || plain || matches!(byte as u8, b'/' | b'?' | b':' | b'@' | b'%') {
            classes[byte] |= PLAIN;
        }
        byte += 1;
    }
    classes
};

/// Removes leading and trailing spaces and tabs.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head: 32 << 10, target: 16 << 10, fields: 100 };

    fn of(head: &str) -> Result<Framing, Kind> {
        validate(head.as_bytes(), LIMITS).map_err(|refusal| refusal.kind)
    }

    #[test]
    fn good_heads_have_one_framing() {
        assert_eq!(of("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Framing::Length(0)));
        assert_eq!(of("\r\nGET / HTTP/1.0\r\n\r\n"), Ok(Framing::Length(0)));
        assert_eq!(of("POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n"), Ok(Framing::Length(12)));
        assert_eq!(of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"), Ok(Framing::Chunked));
        assert_eq!(of("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Framing::Length(0)));
        assert_eq!(of("GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Framing::Length(0)));
        assert_eq!(of("GET /안 HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Framing::Length(0)));
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

    proptest::proptest! {
        #[test]
        fn a_plain_target_is_a_uri(target in "/[!-~]{0,30}") {
            if target.bytes().all(|b| is(b, PLAIN)) {
                proptest::prop_assert!(http::Uri::try_from(target.as_str()).is_ok());
            }
        }

        #[test]
        fn a_bare_cr_is_refused_everywhere(at in 0usize..36) {
            let mut head = b"GET /path HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec();
            head.insert(at, b'\r');
            proptest::prop_assert!(validate(&head, LIMITS).is_err());
        }

        #[test]
        fn any_bytes_are_handled(head in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = validate(&head, LIMITS);
        }
    }
}
