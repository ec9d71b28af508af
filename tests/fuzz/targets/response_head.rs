//! Heads of HTTP/1 responses: however they arrive, and to another parser of HTTP/1, they mean the same. The first byte chooses the method.
#![no_main]

use http::{Method, Version};
use libfuzzer_sys::fuzz_target;
use lockgate::http1::framing::Framing;
use lockgate::http1::response::{ResponseHead, inspect};

fn arrives(input: &[u8], size: usize, method: &Method) -> Option<(ResponseHead, usize)> {
    let mut searched = 0;
    for end in (0..input.len()).step_by(size).skip(1).chain([input.len()]) {
        match inspect(&input[..end], searched, method) {
            Ok(Some(found)) => return Some(found),
            Ok(None) => searched = end,
            Err(_) => return None,
        }
    }
    None
}

fn agrees(input: &[u8], length: usize, head: &ResponseHead, method: &Method) {
    let mut lines = [httparse::EMPTY_HEADER; 600];
    let mut other = httparse::Response::new(&mut lines);
    let mut config = httparse::ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    assert_eq!(config.parse_response(&mut other, &input[..length]), Ok(httparse::Status::Complete(length)));
    assert_eq!(other.code, Some(head.status.as_u16()));
    let mut left = head.headers.len();
    for line in other.headers.iter() {
        assert!(head.headers.get_all(line.name).any(|value| value.as_bytes() == line.value), "{line:?}");
        left -= 1;
    }
    assert_eq!(left, 0);
    let version = if other.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    framed(&other, version, head, method);
}

/// Frames the response as RFC 9112 6.3 says, without any of the gateway's code.
fn framed(other: &httparse::Response<'_, '_>, version: Version, head: &ResponseHead, method: &Method) {
    let values = |name: &str| -> Vec<String> {
        let lines = other.headers.iter().filter(|line| line.name.eq_ignore_ascii_case(name));
        lines.map(|line| String::from_utf8_lossy(line.value).to_ascii_lowercase()).collect()
    };
    let (lengths, codings, connection) = (values("content-length"), values("transfer-encoding"), values("connection"));
    assert!(lengths.is_empty() || codings.is_empty(), "two framings were accepted");
    if *method == Method::HEAD || matches!(head.status.as_u16(), 100..200 | 204 | 304) {
        assert_eq!(head.framing.remaining(), Some(0));
    } else {
        match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => assert!(matches!(head.framing, Framing::UntilClose) && !head.keep_alive),
            ([length], []) => assert_eq!(head.framing.remaining(), Some(length.parse::<u64>().unwrap())),
            ([], [coding]) => assert!(coding == "chunked" && version == Version::HTTP_11 && matches!(head.framing, Framing::Chunked(_))),
            _ => panic!("two framings were accepted: {lengths:?} {codings:?}"),
        }
    }
    let says = |token: &str| connection.iter().flat_map(|value| value.split(',')).any(|item| item.trim_matches([' ', '\t']) == token);
    let persists = !says("close") && (version == Version::HTTP_11 || says("keep-alive"));
    assert!(!head.keep_alive || persists);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, input)) = bytes.split_first() else { return };
    let method = if choice & 1 == 0 { Method::GET } else { Method::HEAD };
    let pieces = arrives(input, usize::from(choice >> 1).max(1), &method);
    let whole = arrives(input, input.len().max(1), &method);
    match (pieces, whole) {
        (Some((head, length)), Some((_, at_once))) => {
            assert_eq!(length, at_once);
            agrees(input, length, &head, &method);
        }
        (None, None) => {}
        (Some(_), None) => panic!("accepted only in pieces"),
        (None, Some(_)) => panic!("refused only in pieces"),
    }
});
