//! gRPC-Web calls, binary and in base64, that are translated for a gRPC service.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;

use super::gateway;
use super::service::{Message, serve};
use crate::harness::contract::MARKERS;
use crate::harness::{GatewayUnderTest, Response, Temporary, send};
use crate::http2_upstream::tls::in_tls;

fn frame(message: &Message) -> Vec<u8> {
    let content = message.encode_to_vec();
    [&[0], u32::try_from(content.len()).unwrap().to_be_bytes().as_slice(), &content].concat()
}

/// Calls a method over HTTP/1 with these messages.
async fn call(gateway: &GatewayUnderTest, method: &str, is_text: bool, messages: &[Message], more: &str) -> Response {
    let frames = messages.iter().map(frame);
    // Each message of the text form is padded by itself.
    let body =
        if is_text { frames.map(|frame| STANDARD.encode(frame).into_bytes()).collect::<Vec<_>>() } else { frames.collect() }.concat();
    let text = if is_text { "-text" } else { "" };
    let head = format!(
        "POST /test.Service/{method} HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web{text}+proto\r\n\
         Accept: application/grpc-web{text}\r\nX-Grpc-Web: 1\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let (address, request) = (gateway.address, [head.into_bytes(), body].concat());
    let response = tokio::task::spawn_blocking(move || send(address, request)).await.unwrap();
    let content_type = response.header("content-type").unwrap();
    assert!(content_type.starts_with(&format!("application/grpc-web{text}")), "{content_type}");
    for marker in MARKERS {
        assert!(!response.everything().contains(marker), "leaks {marker}: {response:?}");
    }
    response
}

/// The messages of a response and the lines of its trailers.
fn read(response: &Response) -> (Vec<Message>, String) {
    assert!(response.complete && response.status == 200, "{response:?}");
    let mut body = response.body.clone();
    if response.header("content-type").unwrap().contains("-text") {
        body = body.chunks(4).flat_map(|group| STANDARD.decode(group).unwrap()).collect();
    }
    let (mut messages, mut rest) = (Vec::new(), body.as_slice());
    loop {
        let (head, behind) = rest.split_at(5);
        let (content, behind) = behind.split_at(u32::from_be_bytes(head[1..].try_into().unwrap()) as usize);
        rest = behind;
        if head[0] == 0x80 {
            assert!(rest.is_empty(), "nothing behind the trailers");
            return (messages, String::from_utf8(content.to_vec()).unwrap());
        }
        messages.push(Message::decode(content).unwrap());
    }
}

#[tokio::test]
async fn unary_and_streaming_calls_are_translated_both_ways() {
    let gateway = gateway(serve().await, "", "");
    for is_text in [false, true] {
        let request = Message { payload: vec![7; 271_828], ..Message::asks(&[314_159]) };
        let (messages, trailers) = read(&call(&gateway, "Unary", is_text, &[request], "").await);
        assert_eq!((messages.len(), messages[0].payload.len()), (1, 314_159));
        assert!(trailers.contains("grpc-status:0\r\n"), "{trailers}");

        let (messages, trailers) = read(&call(&gateway, "Expand", is_text, &[Message::asks(&[1, 0, 70_000, 2])], "").await);
        assert_eq!(messages.iter().map(|message| message.payload.len()).collect::<Vec<_>>(), [1, 0, 70_000, 2]);
        assert!(trailers.contains("grpc-status:0\r\n"), "{trailers}");

        let sizes = [1, 2, 30_000].map(|size| Message { payload: vec![1; size], ..Message::default() });
        let (messages, _) = read(&call(&gateway, "Collect", is_text, &sizes, "").await);
        assert_eq!(messages[0].answers, [30_003]);
    }
}

/// A gateway that finds out by TLS which version of HTTP its backend speaks.
fn automatic(backend: Option<std::net::SocketAddr>, protocols: &[&str]) -> GatewayUnderTest {
    let (address, authority) = in_tls(protocols, backend);
    let file = Temporary::file(&format!("{}-web.pem", address.port()), &authority);
    GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"https://{address}\"]\ntls = {{ ca = \"{}\", server_name = \"orders.internal\" }}\n\
         [[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        file.display()
    ))
}

#[tokio::test]
async fn calls_are_translated_for_a_backend_that_chooses_http2() {
    for is_text in [false, true] {
        let gateway = automatic(Some(serve().await), &["h2", "http/1.1"]);
        // The first call finds out, and the second knows.
        for _ in 0..2 {
            let (messages, trailers) = read(&call(&gateway, "Unary", is_text, &[Message::asks(&[3])], "").await);
            assert_eq!((messages.len(), messages[0].payload.len()), (1, 3));
            assert!(trailers.contains("grpc-status:0\r\n"), "{trailers}");
        }
    }
    let gateway = automatic(None, &["http/1.1"]);
    for _ in 0..2 {
        let request =
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web\r\nContent-Length: 5\r\nConnection: close\r\n\r\n\0\0\0\0\0";
        let address = gateway.address;
        let response = tokio::task::spawn_blocking(move || send(address, request)).await.unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "HTTP/1 web"), "it passes as it is");
    }
}

#[tokio::test]
async fn the_status_of_a_failed_call_is_in_the_body() {
    let gateway = gateway(serve().await, "", "");
    for is_text in [false, true] {
        // The service answers with a head alone.
        let refused = Message { code: 3, text: "The amount must be positive.".into(), ..Message::default() };
        let (messages, trailers) = read(&call(&gateway, "Unary", is_text, &[refused], "").await);
        assert!(messages.is_empty() && trailers.contains("grpc-status:3\r\n"), "{trailers}");
        assert!(trailers.contains("grpc-message:The amount must be positive.\r\n"), "{trailers}");

        let broken = Message { code: 13, text: "at com.acme.OrderDao.find(OrderDao.java:3)".into(), ..Message::asks(&[5]) };
        let (messages, trailers) = read(&call(&gateway, "Expand", is_text, &[broken], "").await);
        assert_eq!(messages.len(), 1);
        assert!(trailers.contains("grpc-status:13\r\n") && trailers.contains("grpc-message:The service had a problem.\r\n"), "{trailers}");
    }
}

#[tokio::test]
async fn a_deadline_within_a_stream_is_in_the_body() {
    let gateway = gateway(serve().await, "", "");
    let slow = Message { pause: 200, ..Message::asks(&[1; 100]) };
    let (messages, trailers) = read(&call(&gateway, "Expand", false, &[slow], "Grpc-Timeout: 700m\r\n").await);
    assert!(!messages.is_empty() && trailers.contains("grpc-status:4\r\n"), "{trailers}");
}

#[tokio::test]
async fn a_failure_of_the_gateway_is_a_head_with_its_status() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = gateway(free, "", "");
    let response = call(&gateway, "Unary", false, &[Message::default()], "").await;
    assert_eq!((response.status, response.header("grpc-status"), response.body.len()), (200, Some("14"), 0));
}

#[tokio::test]
async fn a_text_body_that_is_no_base64_is_a_bad_request() {
    let gateway = gateway(serve().await, "", "");
    let request = "POST /test.Service/Unary HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web-text\r\nContent-Length: 8\r\n\
                   Connection: close\r\n\r\n!!!!!!!!";
    let address = gateway.address;
    let response = tokio::task::spawn_blocking(move || send(address, request)).await.unwrap();
    assert_eq!((response.status, response.header("grpc-status")), (200, Some("13")), "{response:?}");
}
