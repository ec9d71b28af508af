//! A request that is sent again: its head read back from what was written, its body from memory.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request};

use super::dispatch::Outgoing;
use super::upload::Upload;

/// What there is of a request's body for another try.
#[derive(Clone, Debug, Default)]
pub enum Replay {
    /// It streams from the client: gone.
    #[default]
    Never,
    /// It is here; empty where there is none.
    Whole(Bytes),
}

/// Header lines of one request; what Lockgate adds included, no request that passed has as many.
const MAX_LINES: usize = 512;

/// The request once more. `None` when it cannot be had.
pub fn request(head: &[u8], replay: &Replay) -> Option<Request<Upload>> {
    let Replay::Whole(body) = replay else { return None };
    let mut lines = vec![httparse::EMPTY_HEADER; MAX_LINES];
    let mut parsed = httparse::Request::new(&mut lines);
    parsed.parse(head).ok()?.is_complete().then_some(())?;
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for line in parsed.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        // How it is framed is decided anew, by the body.
        if name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING {
            headers.append(name, HeaderValue::from_bytes(line.value).ok()?);
        }
    }
    let method = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    let target = PathAndQuery::try_from(parsed.path?).ok()?;
    Outgoing::origin_form(method, target, headers, Upload::whole(body.clone()).0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_as_it_was() {
        let head = b"PUT /a%20b?x=1 HTTP/1.1\r\nhost: h\r\ncookie: a=1\r\ncookie: b=\xff2\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n";
        let request = request(head, &Replay::Whole(Bytes::from_static(b"body"))).unwrap();
        assert_eq!((request.method(), request.uri().to_string()), (&Method::PUT, "/a%20b?x=1".to_owned()));
        assert_eq!(request.headers().len(), 3);
        assert_eq!(request.headers().get_all("cookie").iter().nth(1).unwrap().as_bytes(), b"b=\xff2");
        assert_eq!(http_body::Body::size_hint(request.body()).exact(), Some(4));
        assert!(super::request(head, &Replay::Never).is_none());
        assert!(super::request(b"GET / HT", &Replay::Whole(Bytes::new())).is_none());
    }
}
