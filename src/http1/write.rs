//! Writes heads and chunks. What is written here was parsed or built as valid parts, so nothing is escaped. Knows no body.

use std::cell::RefCell;
use std::time::SystemTime;

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};

use crate::header::HeaderList;

/// How the length of a body is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// The header lines announce it, or there is no body to announce.
    AsInHeaders,
    /// `Content-Length`, instead of what the header lines say.
    Exact(u64),
    /// `Transfer-Encoding: chunked`, instead of what the header lines say.
    Chunked,
    /// The end of the connection announces it.
    UntilClose,
}

/// Writes a request head in origin form (RFC 9112 3.2.1).
pub fn request(out: &mut Vec<u8>, method: &Method, target: &[u8], headers: &HeaderList, length: Length) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    fields(out, headers, length);
    out.extend_from_slice(b"\r\n");
}

/// Writes a response head. `connection` is the value of `Connection`, if the header is needed.
pub fn response(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderList, length: Length, connection: Option<&str>) {
    status_line(out, status);
    fields(out, headers, length);
    if let Some(connection) = connection {
        line(out, b"connection", connection.as_bytes());
    }
    if !headers.contains(header::DATE) {
        date(out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of an interim response (RFC 9110 15.2).
pub fn interim(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderList) {
    status_line(out, status);
    fields(out, headers, Length::AsInHeaders);
    out.extend_from_slice(b"\r\n");
}

fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn fields(out: &mut Vec<u8>, headers: &HeaderList, length: Length) {
    for (name, value) in headers.iter() {
        if length == Length::AsInHeaders || !is_framing(name) {
            line(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    match length {
        Length::AsInHeaders | Length::UntilClose => {}
        Length::Exact(bytes) => {
            out.extend_from_slice(b"content-length: ");
            crate::write::number(out, bytes);
            out.extend_from_slice(b"\r\n");
        }
        Length::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
}

fn is_framing(name: &HeaderName) -> bool {
    matches!(*name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING)
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

thread_local! {
    /// The current second, and the line that announces it.
    static DATE: RefCell<(u64, Vec<u8>)> = const { RefCell::new((0, Vec::new())) };
}

/// Writes `Date` (RFC 9110 6.6.1). It is formatted once per second.
fn date(out: &mut Vec<u8>) {
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(formatted, text)| {
        if *formatted != second {
            *formatted = second;
            *text = format!("date: {}\r\n", httpdate::fmt_http_date(now)).into_bytes();
        }
        out.extend_from_slice(text);
    });
}

/// Writes the line in front of a chunk (RFC 9112 7.1). [`CHUNK_END`] follows its data.
pub fn chunk_start(out: &mut Vec<u8>, length: usize) {
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut rest = length;
    while at == digits.len() || rest > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// What follows the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Writes the last chunk, with trailers if there are any.
pub fn last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        line(out, name.as_str().as_bytes(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::chunked::{Chunked, Piece};
    use super::super::request::{Limits, parse_whole};
    use super::super::response::inspect;
    use super::*;

    const LIMITS: Limits = Limits { head: 32 << 10, target: 16 << 10, strict_target: false, fields: 100 };

    #[test]
    fn what_is_written_is_read_back() {
        let mut headers = HeaderList::new();
        headers.append(HeaderName::from_static("host"), HeaderValue::from_static("a"));
        headers.append(HeaderName::from_static("x-a"), HeaderValue::from_static("1"));
        headers.append(HeaderName::from_static("x-a"), HeaderValue::from_static("2"));
        headers.append(HeaderName::from_static("content-length"), HeaderValue::from_static("9"));
        let mut out = Vec::new();
        request(&mut out, &Method::PUT, b"/a?b", &headers, Length::Exact(3));
        let read = parse_whole(&out, LIMITS).unwrap();
        assert_eq!((read.target.uri.to_string(), read.framing.remaining(), read.headers.len()), ("/a?b".into(), Some(3), 4));

        out.clear();
        response(&mut out, StatusCode::CONFLICT, &headers, Length::Chunked, Some("close"));
        let (read, length) = inspect(&out, 0, &Method::GET).unwrap().unwrap();
        assert_eq!((read.status, length, read.keep_alive), (StatusCode::CONFLICT, out.len(), false));
        assert!(read.headers.contains("date") && read.headers.contains("transfer-encoding"));
        assert!(!read.headers.contains("content-length"));
    }

    #[test]
    fn chunks_are_read_back() {
        for length in [1, 15, 16, 4096, 70_000] {
            let mut out = Vec::new();
            chunk_start(&mut out, length);
            let skip = out.len();
            assert_eq!(Chunked::strict().next(&[out, vec![b'x'; length]].concat()), Ok(Piece::Data { skip, length }));
        }
    }
}
