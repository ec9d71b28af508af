//! The elements of HTTP/1 messages: tokens, lines and white space. Knows no message.

use std::ops::Range;

use http::Version;
use http::header::HeaderName;

/// The rule that a value with a control character violates (RFC 9110 5.5).
pub(super) const CONTROL_CHARACTER: &str = "a control character in a header value";

/// Returns true for a byte of a token (RFC 9110 5.6.2).
pub const fn is_token(byte: u8) -> bool {
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

/// A head that was found in the input: its place, and where its first lines end.
pub(super) struct FoundHead {
    /// The bytes of the head, without the empty lines in front of it.
    pub(super) at: Range<usize>,
    /// Where the LFs of the first lines are, from the beginning of the head.
    ends: [u32; MAX_ENDS],
    /// How many are known.
    known: usize,
}

/// How many ends of lines are remembered. The rest is searched again.
const MAX_ENDS: usize = 24;

/// Finds the head whose first line starts at `start`, to the end of its empty line. Bytes before `searched` were searched already. A bare
/// LF counts as the end of a line, so that a head with bare LFs is seen as a whole.
pub(super) fn find_head(input: &[u8], start: usize, searched: usize) -> Option<FoundHead> {
    let mut found = FoundHead { at: start..start, ends: [0; MAX_ENDS], known: 0 };
    let mut at = searched.saturating_sub(3).max(start);
    // The ends of lines that an earlier search saw are not known.
    let mut room = if at == start { MAX_ENDS } else { 0 };
    while let Some(lf) = memchr::memchr(b'\n', &input[at..]) {
        let after = at + lf + 1;
        if room > 0 {
            found.ends[found.known] = u32::try_from(after - 1 - start).ok()?;
            found.known += 1;
            room -= 1;
        }
        let end = match &input[after..] {
            [b'\n', ..] => after + 1,
            [b'\r', b'\n', ..] => after + 2,
            _ => {
                at = after;
                continue;
            }
        };
        found.at.end = end;
        return Some(found);
    }
    None
}

/// Takes lines off a head, as ranges of it.
pub(super) struct Lines<'h> {
    head: &'h [u8],
    at: usize,
    /// Where the next lines end, as far as that is known.
    ends: std::slice::Iter<'h, u32>,
}

impl<'h> Lines<'h> {
    /// Creates the lines of `head`, which was found in some input.
    pub(super) fn new(head: &'h [u8], found: &'h FoundHead) -> Self {
        Self { head, at: 0, ends: found.ends[..found.known].iter() }
    }

    /// Takes a line that ends with CRLF. Returns `None` for a line that ends with a bare LF, or not at all.
    pub(super) fn strict(&mut self) -> Option<Range<usize>> {
        let line = self.any()?;
        (self.head.get(line.end) == Some(&b'\r')).then_some(line)
    }

    /// Takes a line that ends with CRLF or LF.
    pub(super) fn any(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let lf = match self.ends.next() {
            Some(end) => *end as usize,
            None => start + memchr::memchr(b'\n', self.head.get(start..)?)?,
        };
        self.at = lf + 1;
        let ends_with_cr = lf > start && self.head[lf - 1] == b'\r';
        Some(start..lf - usize::from(ends_with_cr))
    }
}

/// Parses a header line of `head` (RFC 9112 5) into its name and the place of its value, which is not validated. `repairs` removes white space before the colon, as a proxy must in a response (5.1).
///
/// # Errors
/// Returns the violated rule. A folded line and an empty name violate one (5.2).
pub(super) fn field(head: &[u8], at: Range<usize>, repairs: bool) -> Result<(HeaderName, Range<usize>), &'static str> {
    let line = &head[at];
    let name_of = |name| HeaderName::from_bytes(if repairs { trim_end(name) } else { name }).ok();
    let named = memchr::memchr(b':', line).and_then(|colon| Some((colon, name_of(&line[..colon])?)));
    let (colon, name) = named.ok_or("a header line without a colon, or its name is no token")?;
    Ok((name, range_of(trim(&line[colon + 1..]), head)))
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
