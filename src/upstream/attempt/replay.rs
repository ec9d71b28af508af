//! Restores a request that is sent again: its head from the bytes that were written, its body from memory.
//!
//! Does not decide whether a request is sent again.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request};

use crate::upstream::heads::origin_form::origin_form;
use crate::upstream::upload::Upload;

/// Whether a request may and can be sent again.
#[derive(Clone, Debug, Default)]
pub enum Replay {
    /// It may not: it is not idempotent, its body streams from the client, or it is bound to its connection.
    #[default]
    Never,
    /// It may, with this body, which is empty if there is none.
    Whole(Bytes),
}

impl Replay {
    /// Returns true if the request may be sent again.
    pub const fn is_possible(&self) -> bool {
        matches!(self, Self::Whole(_))
    }
}

/// Maximum header lines of a request; more than any accepted request has, including those the gateway adds.
const MAX_HEADERS: usize = 512;

/// Restores the request. Returns `None` if that is impossible.
pub fn request(head: &[u8], replay: &Replay) -> Option<Request<Upload>> {
    let Replay::Whole(body) = replay else { return None };
    let mut lines = vec![httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut lines);
    parsed.parse(head).ok()?.is_complete().then_some(())?;
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for line in parsed.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        // The body determines the framing anew, except that a `Content-Length` of an empty body is kept as it was.
        let framing = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(&name);
        if !framing || (name == header::CONTENT_LENGTH && body.is_empty()) {
            headers.append(name, HeaderValue::from_bytes(line.value).ok()?);
        }
    }
    let method = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    let target = PathAndQuery::try_from(parsed.path?).ok()?;
    origin_form(method, target, headers, Upload::whole(body.clone()).0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_restored_as_written() {
        let head = b"PUT /a%20b?x=1 HTTP/1.1\r\nhost: h\r\ncookie: a=1\r\ncookie: b=\xff2\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n";
        let request = request(head, &Replay::Whole(Bytes::from_static(b"body"))).unwrap();
        assert_eq!((request.method(), request.uri().to_string()), (&Method::PUT, "/a%20b?x=1".to_owned()));
        assert_eq!(request.headers().len(), 3);
        assert_eq!(request.headers().get_all("cookie").iter().nth(1).unwrap().as_bytes(), b"b=\xff2");
        assert_eq!(http_body::Body::size_hint(request.body()).exact(), Some(4));
        assert!(super::request(head, &Replay::Never).is_none());
        let empty = b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n";
        let again = super::request(empty, &Replay::Whole(Bytes::new())).unwrap();
        assert_eq!((again.headers().len(), again.headers()["content-length"].as_bytes()), (2, &b"0"[..]));
        assert!(super::request(b"GET / HT", &Replay::Whole(Bytes::new())).is_none());
    }
}
