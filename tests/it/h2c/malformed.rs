//! Requests and frames that RFC 9113 does not permit: what is wrong with a stream ends that stream, with the code that the standard names.

use std::sync::{Arc, Barrier};

use super::wire::{CONTINUATION, DATA, END_HEADERS, END_STREAM, End, GET, GO_AWAY, HEADERS, POST, Wire, assert_code, frame, literal};
use crate::harness::{Client, GatewayUnderTest, Origin};

const PROTOCOL_ERROR: u8 = 1;
const FLOW_CONTROL_ERROR: u8 = 3;
const STREAM_CLOSED: u8 = 5;
const FRAME_SIZE_ERROR: u8 = 6;
const COMPRESSION_ERROR: u8 = 9;
const ENHANCE_YOUR_CALM: u8 = 11;

fn gateway() -> (Origin, GatewayUnderTest) {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    (origin, gateway)
}

fn with(block: &[u8], name: &str, value: &str) -> Vec<u8> {
    [block, &literal(name.as_bytes(), value.as_bytes())].concat()
}

#[test]
fn a_malformed_request_ends_its_stream_and_no_other() {
    let asked = Arc::new(Barrier::new(2));
    let seen = Arc::clone(&asked);
    let origin = Origin::start(move |c| {
        if c.head.starts_with("POST") {
            seen.wait();
        }
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Wire::connect(&gateway);
    // A neighbour is in flight all the time.
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, POST));
    origin.wait_for_requests(1);
    let malformed = [
        with(GET, "X-Upper", "v"),
        with(GET, "", "v"),
        with(GET, "\"x\"", "v"),
        with(GET, "x y", "v"),
        with(GET, "x", " v"),
        with(GET, "x", "v\t"),
        with(GET, "x", "a\r\nb: c"),
        with(GET, "x", "a\0"),
        with(GET, "connection", "close"),
        with(GET, "transfer-encoding", "chunked"),
        with(GET, "te", "gzip"),
        with(GET, ":status", "200"),
        with(GET, ":unknown", "v"),
        with(GET, ":path", "/twice"),
        [&literal(b"x", b"v"), GET].concat(),
        GET[1..].to_vec(),
        [&GET[..2], &GET[3..]].concat(),
        with(&GET[1..], ":method", "A B"),
        literal(b":method", b"CONNECT"),
        with(GET, "content-length", "5"),
    ];
    let mut stream = 3;
    for block in &malformed {
        assert_eq!(client.ask(stream, block), End::Reset(PROTOCOL_ERROR), "{}", String::from_utf8_lossy(block));
        stream += 2;
    }
    assert_eq!(client.ask(stream, GET), End::Answer(b"ok".to_vec()));
    asked.wait();
    assert_eq!(client.end(1), End::Answer(b"ok".to_vec()));
    assert_eq!(origin.requests().len(), 2, "nothing malformed went upstream");
}

#[test]
fn malformed_trailers_end_their_stream() {
    let (_origin, gateway) = gateway();
    let mut client = Wire::connect(&gateway);
    let mut stream = 1;
    let blocks = [literal(b":path", b"/"), literal(b"X-Upper", b"v"), literal(b"x", b" v"), literal(b"x", &[b'v'; 40_000])];
    for (block, code) in blocks.iter().zip([PROTOCOL_ERROR, PROTOCOL_ERROR, PROTOCOL_ERROR, ENHANCE_YOUR_CALM]) {
        client.send([frame(HEADERS, END_HEADERS, stream, POST), frame(DATA, 0, stream, b"abc")].concat());
        client.send(blocks_of(stream, END_STREAM, block));
        assert_eq!(client.end(stream), End::Reset(code));
        stream += 2;
    }
    // Trailers do not go on (RFC 9113 8.1).
    client.send([frame(HEADERS, END_HEADERS, stream, POST), frame(HEADERS, END_HEADERS, stream, &literal(b"x", b"v"))].concat());
    assert_eq!(client.end(stream), End::Reset(PROTOCOL_ERROR));
    let valid = [
        frame(HEADERS, END_HEADERS, stream + 2, POST),
        frame(DATA, 0, stream + 2, b"abc"),
        frame(HEADERS, END_HEADERS | END_STREAM, stream + 2, &literal(b"x", b"v")),
    ];
    client.send(valid.concat());
    assert!(matches!(client.end(stream + 2), End::Answer(body) if body.ends_with(b"abc")));
}

/// A header block as HEADERS and CONTINUATION.
fn blocks_of(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    let last = block.len().div_ceil(16_000) - 1;
    let piece = |(n, piece): (usize, &[u8])| {
        let kind = if n == 0 { HEADERS } else { CONTINUATION };
        frame(kind, if n == 0 { flags } else { 0 } | if n == last { END_HEADERS } else { 0 }, stream, piece)
    };
    block.chunks(16_000).enumerate().flat_map(piece).collect()
}

#[test]
fn a_header_list_of_any_size_is_431_with_the_envelope() {
    let (origin, gateway) = gateway();
    let mut client = Wire::connect(&gateway);
    let lists = [
        literal(b"cookie", b"").repeat(9_000),
        literal(b"x", &[b'v'; 200_000]),
        literal(&[b'x'; 50_000], b"v"),
        literal(b"x", &[b'v'; 1_000]).repeat(200),
        literal(b"x", b"v").repeat(101),
    ];
    for (n, list) in lists.iter().enumerate() {
        let stream = 2 * u32::try_from(n).unwrap() + 1;
        client.send(blocks_of(stream, END_STREAM, &[GET, list].concat()));
        assert_code(&client.end(stream), "HEADERS_TOO_LARGE");
    }
    let path = literal(b":path", &[&b"/"[..], &[b'x'; 100_000]].concat());
    client.send(blocks_of(21, END_STREAM, &[&GET[..2], &GET[3..], &path].concat()));
    assert_code(&client.end(21), "URI_TOO_LONG");
    assert!(matches!(client.ask(23, GET), End::Answer(_)));
    assert_eq!(origin.requests().len(), 1, "nothing that was cut went upstream");
}

#[test]
fn a_block_far_over_the_bound_ends_the_connection() {
    let (_origin, gateway) = gateway();
    let mut client = Wire::connect(&gateway);
    client.send(blocks_of(1, END_STREAM, &[GET, &literal(b"x", &[b'v'; 400_000])].concat()));
    assert_eq!(client.end(1), End::GoAway(ENHANCE_YOUR_CALM));
}

#[test]
fn frames_behind_the_end_of_a_stream_are_told_so() {
    let origin = Origin::start(|c| c.hang());
    let waiting = GatewayUnderTest::in_front_of(origin.address, "");
    for after in [frame(DATA, 0, 1, b"late"), frame(HEADERS, END_STREAM | END_HEADERS, 1, &literal(b"x", b"v"))] {
        let mut client = Wire::connect(&waiting);
        client.send([frame(HEADERS, END_STREAM | END_HEADERS, 1, GET), after].concat());
        assert_eq!(client.end(1), End::Reset(STREAM_CLOSED));
        // The connection goes on.
        client.send(frame(6, 0, 0, b"12345678"));
        while client.next().expect("the PING is answered").kind != 6 {}
    }
    let (_origin, gateway) = gateway();
    for after in [frame(DATA, 0, 1, b"late"), frame(HEADERS, END_STREAM | END_HEADERS, 1, &literal(b"x", b"v"))] {
        let mut client = Wire::connect(&gateway);
        assert!(matches!(client.ask(1, GET), End::Answer(_)));
        client.send(after);
        assert_eq!(client.end(1), End::GoAway(STREAM_CLOSED));
    }
}

#[test]
fn errors_of_a_connection_have_their_own_codes() {
    let (_origin, gateway) = gateway();
    let opening = frame(HEADERS, END_HEADERS, 1, POST);
    for (name, frames, code) in [
        ("PING", frame(6, 0, 0, &[0; 7]), FRAME_SIZE_ERROR),
        ("SETTINGS", frame(4, 0, 0, &[0; 5]), FRAME_SIZE_ERROR),
        ("SETTINGS with ACK", frame(4, 1, 0, &[0; 6]), FRAME_SIZE_ERROR),
        ("WINDOW_UPDATE", frame(8, 0, 0, &[0; 3]), FRAME_SIZE_ERROR),
        ("RST_STREAM", [opening.clone(), frame(3, 0, 1, &[0; 3])].concat(), FRAME_SIZE_ERROR),
        ("PRIORITY of no stream", frame(2, 0, 9, &[0; 4]), FRAME_SIZE_ERROR),
        ("a large frame", frame(DATA, 0, 1, &[0; 16_385]), FRAME_SIZE_ERROR),
        ("a large window", frame(4, 0, 0, &[0, 4, 0x80, 0, 0, 0]), FLOW_CONTROL_ERROR),
        ("a window that overflows", frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), FLOW_CONTROL_ERROR),
        ("a block that ends early", frame(HEADERS, 5, 1, &[0x82, 0x86, 0x84, 0x41, 9]), COMPRESSION_ERROR),
        ("a reference to nothing", frame(HEADERS, 5, 1, &[0x82, 0x86, 0x84, 0xfe]), COMPRESSION_ERROR),
        ("a late table size", frame(HEADERS, 5, 1, &[GET, &[0x20]].concat()), COMPRESSION_ERROR),
        ("a large table size", frame(HEADERS, 5, 1, &[&[0x3f, 0xe2, 0x1f], GET].concat()), COMPRESSION_ERROR),
        ("CONTINUATION of nothing", frame(CONTINUATION, 4, 1, GET), PROTOCOL_ERROR),
        ("a frame within a block", [frame(HEADERS, 1, 1, GET), frame(6, 0, 0, &[0; 8])].concat(), PROTOCOL_ERROR),
        ("an unknown frame within a block", [frame(HEADERS, 1, 1, GET), frame(0xee, 0, 0, &[])].concat(), PROTOCOL_ERROR),
        ("PUSH_PROMISE", frame(5, 4, 1, &[0, 0, 0, 2]), PROTOCOL_ERROR),
        ("an even stream", frame(HEADERS, 5, 2, GET), PROTOCOL_ERROR),
        ("an older stream", [frame(HEADERS, 4, 5, POST), frame(HEADERS, 5, 3, GET)].concat(), PROTOCOL_ERROR),
        ("padding over the end", frame(HEADERS, 13, 1, &[7, 0x82]), PROTOCOL_ERROR),
        ("DATA of no stream", frame(DATA, 1, 9, b"x"), PROTOCOL_ERROR),
    ] {
        let mut client = Wire::connect(&gateway);
        client.send(frames);
        let end = std::iter::repeat_with(|| client.next_end()).find(|(_, end)| !matches!(end, End::Answer(_))).map(|(_, end)| end);
        assert_eq!(end, Some(End::GoAway(code)), "{name}");
    }
    // PRIORITY of an open stream ends only that.
    let mut client = Wire::connect(&gateway);
    client.send([opening, frame(2, 0, 1, &[0; 4])].concat());
    assert_eq!(client.end(1), End::Reset(FRAME_SIZE_ERROR));
    assert!(matches!(client.ask(3, GET), End::Answer(_)));
}

#[test]
fn a_preface_that_went_wrong_is_told_so() {
    let (_origin, gateway) = gateway();
    for preface in ["INVALID CONNECTION PREFACE\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"] {
        let mut client = Client::connect(gateway.address);
        client.write(preface);
        let frame = client.bytes(17);
        assert_eq!((frame.get(3), frame.get(16)), (Some(&GO_AWAY), Some(&PROTOCOL_ERROR)), "{preface:?} {frame:?}");
        assert!(client.bytes(1).is_empty(), "the end");
    }
}
