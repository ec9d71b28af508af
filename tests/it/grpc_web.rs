//! Tests that the trailers in a gRPC-Web body are cleaned wherever they stand, and that the data before them pass as they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::harness::{GatewayUnderTest, Origin, Response, send};

const LEAK: &str =
    "grpc-status:13\r\ngrpc-message:at com.acme.Order.find(Order.java:3)\r\nx-debug:at com.acme.Order.find(Order.java:3)\r\n";

fn frame(flags: u8, content: &[u8]) -> Vec<u8> {
    [&[flags], u32::try_from(content.len()).unwrap().to_be_bytes().as_slice(), content].concat()
}

/// The response to a call whose service sends this body, in one part or in chunks.
fn called(content_type: &str, body: &[u8], chunks: Option<usize>, more: &str) -> Response {
    let mut response = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n").into_bytes();
    match chunks {
        None => {
            response.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            response.extend_from_slice(body);
        }
        Some(length) => {
            response.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(length) {
                response.extend_from_slice(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            }
            response.extend_from_slice(b"0\r\n\r\n");
        }
    }
    let origin = Origin::says(response);
    let gateway = GatewayUnderTest::in_front_of(origin.address, more);
    send(
        gateway.address,
        format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    )
}

/// The text behind the data, and the trailers' lines.
fn lines<'b>(body: &'b [u8], data: &[u8]) -> &'b str {
    let rest = body.strip_prefix(data).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(body)));
    assert_eq!((rest[0], usize::from(rest[4])), (0x80, rest.len() - 5), "one frame of trailers");
    std::str::from_utf8(&rest[5..]).unwrap()
}

#[test]
fn trailers_behind_data_are_cleaned() {
    let data = [frame(0, b"the first message"), frame(0, &[7; 900])].concat();
    let body = [data.clone(), frame(0x80, LEAK.as_bytes())].concat();
    for (chunks, more) in
        [(None, ""), (Some(7), ""), (Some(1_000), "leak_guard = true"), (None, "errors = { errors_in_success = [\"graphql\"] }")]
    {
        let response = called("application/grpc-web+proto", &body, chunks, more);
        assert_eq!(response.status, 200, "{chunks:?} {more}");
        let lines = lines(&response.body, &data);
        assert!(lines.contains("grpc-status:13\r\n") && lines.contains("grpc-message:The service had a problem.\r\n"), "{lines}");
        assert!(!lines.contains("acme"), "{lines}");
    }
}

#[test]
fn a_message_for_the_client_is_kept() {
    let body = [frame(0, b"x"), frame(0x80, b"grpc-status: 5\r\ngrpc-message: Order%207 is gone.\r\n")].concat();
    let response = called("application/grpc-web+proto", &body, Some(3), "");
    let lines = lines(&response.body, &frame(0, b"x"));
    assert!(lines.contains("grpc-status:5\r\n") && lines.contains("grpc-message:Order 7 is gone.\r\n"), "{lines}");
}

#[test]
fn the_text_form_is_cleaned_in_one_piece_or_several() {
    let data = frame(0, b"the first message");
    let trailers = frame(0x80, LEAK.as_bytes());
    let one = STANDARD.encode([data.clone(), trailers.clone()].concat());
    let several = format!("{}{}{}", STANDARD.encode(&data), STANDARD.encode(&trailers[..4]), STANDARD.encode(&trailers[4..]));
    for body in [one, several] {
        for chunks in [None, Some(5)] {
            let response = called("application/grpc-web-text+proto", body.as_bytes(), chunks, "");
            let decoded: Vec<u8> = response.body.chunks(4).flat_map(|group| STANDARD.decode(group).unwrap()).collect();
            let lines = lines(&decoded, &data);
            assert!(lines.contains("grpc-status:13\r\n") && !lines.contains("acme"), "{lines}");
        }
    }
}

#[test]
fn a_success_passes_as_it_is() {
    let body = [frame(0, &[1; 70_000]), frame(0x80, b"grpc-status:0\r\nx-trace:7\r\n")].concat();
    assert_eq!(called("application/grpc-web+proto", &body, Some(4_000), "").body, body);
    assert_eq!(called("application/grpc-web", &body, None, "").body, body);
    let text = STANDARD.encode(&body);
    assert_eq!(called("application/grpc-web-text", text.as_bytes(), Some(4_001), "").body, text.as_bytes());
}

#[test]
fn trailers_that_are_cut_or_too_long_are_replaced() {
    let long = [frame(0, b"x"), frame(0x80, &[b'x'; 20_000])].concat();
    let cut = [frame(0, b"x"), frame(0x80, LEAK.as_bytes())[..60].to_vec()].concat();
    for body in [long, cut] {
        let response = called("application/grpc-web+proto", &body, Some(1_000), "");
        assert_eq!(lines(&response.body, &frame(0, b"x")), "grpc-status:2\r\ngrpc-message:The service had a problem.\r\n");
    }
}
