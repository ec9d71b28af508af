//! The elements of HTTP/1 messages: tokens, lines and white space. Knows no message.

use std::ops::Range;

use bytes::Bytes;
use http::Version;
use http::header::{HeaderName, HeaderValue};

/// Returns true for a byte of a token (RFC 9110 5.6.2).
pub(super) const fn is_token(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// Returns true for a byte that may occur anywhere in a path or a query (RFC 3986 3.3 and 3.4).
pub(super) const fn is_plain_target(byte: u8) -> bool {
    is(byte, PLAIN)
}

/// The byte may occur in a token.
const TOKEN: u8 = 1;
/// The byte may occur anywhere in a path or query.
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

/// Removes leading and trailing spaces and tabs (RFC 9110 5.6.3).
pub(super) const fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    trim_end(value)
}

/// Removes trailing spaces and tabs.
pub(super) const fn trim_end(mut value: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Returns the head without the empty lines in front of it (RFC 9112 2.2).
pub fn skip_empty_lines(mut head: &[u8]) -> &[u8] {
    while let Some(rest) = head.strip_prefix(b"\r\n") {
        head = rest;
    }
    head
}

/// Returns the end of the empty line that ends a head. Bytes before `searched` were searched already. A bare LF counts as the end of a
/// line, so that a head with bare LFs is seen as a whole.
pub(super) fn end_of_head(input: &[u8], searched: usize) -> Option<usize> {
    let content = input.len() - skip_empty_lines(input).len();
    let mut at = searched.saturating_sub(3).max(content);
    while let Some(lf) = memchr::memchr(b'\n', &input[at..]) {
        let after = at + lf + 1;
        match &input[after..] {
            [b'\n', ..] => return Some(after + 1),
            [b'\r', b'\n', ..] => return Some(after + 2),
            _ => at = after,
        }
    }
    None
}

/// Takes lines off a head, as ranges of it.
pub(super) struct Lines<'h> {
    head: &'h [u8],
    at: usize,
}

impl<'h> Lines<'h> {
    pub(super) const fn new(head: &'h [u8]) -> Self {
        Self { head, at: 0 }
    }

    /// Takes a line that ends with CRLF. Returns `None` for a line that ends with a bare LF, or not at all.
    pub(super) fn strict(&mut self) -> Option<Range<usize>> {
        let line = self.any()?;
        (self.head.get(line.end) == Some(&b'\r')).then_some(line)
    }

    /// Takes a line that ends with CRLF or LF.
    pub(super) fn any(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let lf = start + memchr::memchr(b'\n', self.head.get(start..)?)?;
        self.at = lf + 1;
        let ends_with_cr = lf > start && self.head[lf - 1] == b'\r';
        Some(start..lf - usize::from(ends_with_cr))
    }
}

/// Parses a header line of `head` (RFC 9112 5). `repairs` removes white space before the colon, as a proxy must in a response (5.1).
///
/// # Errors
/// Returns the violated rule. A folded line and an empty name violate one (5.2).
pub(super) fn field(head: &Bytes, at: Range<usize>, repairs: bool) -> Result<(HeaderName, HeaderValue), &'static str> {
    let line = &head[at];
    let name_of = |name| HeaderName::from_bytes(if repairs { trim_end(name) } else { name }).ok();
    let named = memchr::memchr(b':', line).and_then(|colon| Some((colon, name_of(&line[..colon])?)));
    let (colon, name) = named.ok_or("a header line without a colon, or its name is no token")?;
    let value = HeaderValue::from_maybe_shared(head.slice(range_of(trim(&line[colon + 1..]), head)));
    Ok((name, value.map_err(|_| "a control character in a header value")?))
}

/// Returns the range of a part of `whole`.
fn range_of(part: &[u8], whole: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// Returns true if a list of tokens has this token (RFC 9110 5.6.1).
pub(super) fn lists(value: &[u8], token: &[u8]) -> bool {
    value.split(|b| *b == b',').any(|item| trim(item).eq_ignore_ascii_case(token))
}

/// What the header lines `Connection` say of the connection's future (RFC 9112 9.3).
#[derive(Default)]
pub(super) struct Connection {
    close: bool,
    keep_alive: bool,
}

impl Connection {
    /// Records the value of a line.
    pub(super) fn record(&mut self, value: &[u8]) {
        self.close |= lists(value, b"close");
        self.keep_alive |= lists(value, b"keep-alive");
    }

    /// Returns true if the connection may serve another request. `close` prevails, whatever else is said.
    pub(super) fn keeps_alive(&self, version: Version) -> bool {
        !self.close && (self.keep_alive || version == Version::HTTP_11)
    }
}
