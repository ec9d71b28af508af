//! Heads of HTTP/1 requests, and what follows them. What is accepted means the same however it arrives, to another parser of HTTP/1, and when
//! it is written again: a head that two parsers read differently would smuggle a request.
#![no_main]

use http::Version;
use libfuzzer_sys::fuzz_target;
use lockgate::http1::framing::Framing;
use lockgate::http1::request::{Inspected, Limits, RequestHead, RequestParser};

const LIMITS: Limits = Limits { head: 4096, target: 2048, strict_target: true, fields: 64 };

/// Inspects the input as it arrives in pieces.
fn inspect(input: &[u8], size: usize) -> Option<(usize, RequestHead)> {
    let mut parser = RequestParser::new(LIMITS);
    for end in (0..input.len()).step_by(size).skip(1).chain([input.len()]) {
        match parser.inspect(&input[..end]) {
            Inspected::Head(length, head) => return Some((length, head)),
            Inspected::Incomplete => {}
            Inspected::Invalid(_) => return None,
        }
    }
    None
}

/// What another parser must agree to.
fn agrees(input: &[u8], length: usize, head: &RequestHead) {
    let mut lines = [httparse::EMPTY_HEADER; LIMITS.fields];
    let mut other = httparse::Request::new(&mut lines);
    assert_eq!(other.parse(&input[..length]), Ok(httparse::Status::Complete(length)));
    assert_eq!(other.method, Some(head.method.as_str()));
    assert_eq!(other.version, Some(if head.version == Version::HTTP_11 { 1 } else { 0 }));
    let path = other.path.unwrap();
    // The URI type adds a path to an absolute form that has none.
    assert!(path.parse::<http::Uri>().unwrap() == head.target.uri, "{path:?} {:?}", head.target.uri);
    let mut names = head.headers.len();
    for line in other.headers.iter() {
        assert!(head.headers.get_all(line.name).any(|value| value.as_bytes() == line.value), "{line:?}");
        names -= 1;
    }
    assert_eq!(names, 0);
    framed(&other, &head.framing);
}

/// Frames the request as RFC 9112 6.3 says, without any of the gateway's code.
fn framed(other: &httparse::Request<'_, '_>, framing: &Framing) {
    let values = |name: &str| -> Vec<String> {
        let lines = other.headers.iter().filter(|line| line.name.eq_ignore_ascii_case(name));
        lines.map(|line| String::from_utf8_lossy(line.value).to_ascii_lowercase()).collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => assert_eq!(framing.remaining(), Some(0)),
        ([length], []) => assert_eq!(framing.remaining(), Some(length.parse::<u64>().unwrap())),
        ([], [coding]) => {
            assert!(coding == "chunked" && other.version == Some(1));
            assert!(matches!(framing, Framing::Chunked(_)));
        }
        _ => panic!("two framings were accepted: {lengths:?} {codings:?}"),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((size, input)) = bytes.split_first() else { return };
    let found = inspect(input, usize::from(*size).max(1));
    match (found, inspect(input, input.len().max(1))) {
        (Some((length, head)), Some((whole, _))) => {
            assert_eq!(length, whole);
            agrees(input, length, &head);
        }
        (None, None) => {}
        // An incomplete head may be refused before its end has come.
        (None, Some(_)) => panic!("refused only in pieces"),
        (Some(_), None) => panic!("accepted only in pieces"),
    }
});
