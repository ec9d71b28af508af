//! Tests client connections with HTTP/2 by prior knowledge, which are forwarded as HTTP/1.1.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::harness::wait::in_time;
use crate::harness::{GatewayUnderTest, Origin};

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

async fn connect(gateway: &GatewayUnderTest) -> Sender {
    let stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut Sender, request: http::request::Builder, body: &str) -> Response<Bytes> {
    let request: Request<Full<Bytes>> = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    let (parts, body) = in_time("the head of the response", sender.send_request(request)).await.unwrap().into_parts();
    Response::from_parts(parts, in_time("the body of the response", body.collect()).await.unwrap().to_bytes())
}

#[tokio::test]
async fn requests_become_http_1_and_errors_keep_the_contract() {
    let origin = Origin::start(|c| {
        if c.head.contains("/bad") {
            return c.say("HTTP/1.1 500 X\r\nContent-Length: 7\r\n\r\nleak-me");
        }
        let body = c.body();
        let text = format!("{}{}", c.head, String::from_utf8_lossy(&body));
        c.say(format!("HTTP/1.1 200 OK\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut sender = connect(&gateway).await;
    let uri = |path: &str| format!("http://shop.example.com{path}");
    let request = Request::post(uri("/ok?a=1")).header("cookie", "a=1").header("cookie", "b=2").header("te", "trailers");
    let response = ask(&mut sender, request, "hello").await;
    let text = String::from_utf8_lossy(response.body()).to_ascii_lowercase();
    assert!(text.starts_with("post /ok?a=1 http/1.1") && text.ends_with("hello"), "{text}");
    assert!(text.contains("cookie: a=1; b=2") && text.contains("x-forwarded-host: shop.example.com"), "{text}");
    assert!(response.headers().get("x-hop").is_none() && response.headers().get("connection").is_none());

    let response = ask(&mut sender, Request::get(uri("/bad")), "").await;
    let json: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!((response.status().as_u16(), json["error"]["code"].as_str()), (502, Some("UPSTREAM_ERROR")));
    assert_eq!(json["requestId"].as_str(), response.headers()["x-request-id"].to_str().ok());
    assert!(!String::from_utf8_lossy(response.body()).contains("leak-me"));
}

#[tokio::test]
async fn many_streams_share_one_connection() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let sender = connect(&gateway).await;
    let streams: Vec<_> = (0..50)
        .map(|n| {
            let mut sender = sender.clone();
            tokio::spawn(async move { ask(&mut sender, Request::get(format!("http://a/{n}")), "").await })
        })
        .collect();
    for (n, stream) in streams.into_iter().enumerate() {
        let response = stream.await.unwrap();
        assert!(String::from_utf8_lossy(response.body()).starts_with(&format!("GET /{n} ")));
    }
}

#[tokio::test]
async fn a_broken_success_resets_the_stream() {
    let origin = Origin::says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut sender = connect(&gateway).await;
    let request: Request<Full<Bytes>> = Request::get("http://a/").body(Full::default()).unwrap();
    let response = in_time("the head of the response", sender.send_request(request)).await.unwrap();
    assert!(response.into_body().collect().await.is_err(), "never an end that looks whole");
}

#[tokio::test]
async fn headers_over_the_bound_are_431_with_the_envelope() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut sender = connect(&gateway).await;
    let response = ask(&mut sender, Request::get("http://a/").header("x-large", "a".repeat(40_000)), "").await;
    assert_eq!(response.status().as_u16(), 431);
    assert!(String::from_utf8_lossy(response.body()).contains("HEADERS_TOO_LARGE"));
    assert_eq!(ask(&mut sender, Request::get("http://a/"), "").await.status().as_u16(), 200);
}

#[tokio::test]
async fn an_idle_connection_ends() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\nidle_timeout = \"300ms\"\n");
    let stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    assert_eq!(ask(&mut sender, Request::get("http://a/"), "").await.status().as_u16(), 200);
    in_time("GOAWAY after idle_timeout", connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_grants_no_window_is_let_go() {
    let body = "x".repeat(1_000_000);
    let origin = Origin::says(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\nwrite_timeout = \"400ms\"\n");
    let stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1_000).initial_connection_window_size(1_000);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request: Request<Full<Bytes>> = Request::get("http://a/").body(Full::default()).unwrap();
    let response = in_time("the head of the response", sender.send_request(request)).await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    // The body is never read: no window is granted.
    let line = tokio::task::spawn_blocking(move || gateway.log_line(&["CLIENT_CLOSED"])).await.unwrap();
    assert_eq!(line["status"], 200);
    drop(response);
}

#[tokio::test]
async fn a_204_has_no_length() {
    let origin = Origin::says("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut sender = connect(&gateway).await;
    let response = ask(&mut sender, Request::get("http://a/"), "").await;
    assert_eq!((response.status().as_u16(), response.headers().get("content-length")), (204, None));
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Sends `opening` and then piece after piece until the gateway has ended the connection.
fn ends_under(gateway: &GatewayUnderTest, name: &str, opening: &[u8], mut piece: impl FnMut() -> Vec<u8>) {
    use std::io::{Read, Write};
    let mut client = std::net::TcpStream::connect(gateway.address).unwrap();
    client.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
    client.write_all(&[PREFACE, &frame(4, 0, 0, &[]), opening].concat()).unwrap();
    let mut reader = client.try_clone().unwrap();
    // Reads to the end, so that the writer is never blocked.
    let ended = std::thread::spawn(move || {
        let mut seen = Vec::new();
        reader
            .read_to_end(&mut seen)
            .map(drop)
            .or_else(|error| if error.kind() == std::io::ErrorKind::ConnectionReset { Ok(()) } else { Err(error) })
    });
    for _ in 0..200 {
        let pieces: Vec<u8> = (0..100).flat_map(|_| piece()).collect();
        if client.write_all(&pieces).is_err() {
            break;
        }
    }
    ended.join().unwrap().unwrap_or_else(|error| panic!("{name}: {error}"));
}

#[test]
fn floods_of_frames_end_their_connection() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for (name, flood) in [
        ("PING", frame(6, 1, 0, &[0; 8])),
        ("SETTINGS", frame(4, 0, 0, &[])),
        ("PRIORITY", frame(2, 0, 3, &[0, 0, 0, 0, 16])),
        ("unknown", frame(0xee, 0, 0, b"abc")),
    ] {
        ends_under(&gateway, name, &[], || flood.clone());
    }
    assert_eq!(crate::harness::get(gateway.address, "/").status, 200);
}

/// `POST http://a/`, in the static table of HPACK.
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'a'];

#[test]
fn floods_of_streams_end_their_connection() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    // One such stream is a request.
    let mut client = crate::harness::Client::connect(gateway.address);
    client.write([PREFACE, &frame(4, 0, 0, &[]), &frame(1, 5, 1, POST)].concat());
    origin.wait_for_requests(1);
    // HEADERS with END_HEADERS, and what makes either side reset the stream.
    let streams = |spoiled: fn(u32) -> Vec<u8>| {
        let mut stream = 1;
        move || {
            stream += 2;
            [frame(1, 4, stream, POST), spoiled(stream)].concat()
        }
    };
    ends_under(&gateway, "rapid reset", &[], streams(|stream| frame(3, 0, stream, &[0, 0, 0, 8])));
    ends_under(&gateway, "resets that the client provokes", &[], streams(|stream| frame(8, 0, stream, &[0; 4])));
    ends_under(&gateway, "CONTINUATION", &frame(1, 0, 1, POST), || frame(9, 0, 1, &[0, 1, b'x', 1, b'y']));
    ends_under(&gateway, "empty DATA", &frame(1, 4, 1, POST), || frame(0, 0, 1, &[]));
    assert_eq!(crate::harness::get(gateway.address, "/").status, 200);
}

#[test]
fn streams_beyond_the_bound_are_refused() {
    let origin = Origin::start(|c| c.hang());
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = crate::harness::Client::connect(gateway.address);
    let streams: Vec<u8> = (0..101).flat_map(|n| frame(1, 5, 2 * n + 1, POST)).collect();
    client.write([PREFACE, &frame(4, 0, 0, &[]), &streams].concat());
    let mut refused = None;
    while refused.is_none() {
        let head = client.bytes(9);
        let payload = client.bytes(usize::from(head[1]) << 8 | usize::from(head[2]));
        refused = (head[3] == 3).then(|| (head[5..].to_vec(), payload));
    }
    assert_eq!(refused, Some((vec![0, 0, 0, 201], vec![0, 0, 0, 7])), "REFUSED_STREAM of the last stream");
}

#[tokio::test]
async fn heads_that_http_1_could_read_differently_are_refused() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut sender = connect(&gateway).await;
    for lines in [&[("content-length", "0"), ("content-length", "0")][..], &[("x-a", " b")], &[("x-a", "b\t")], &[("\"x\"", "v")]] {
        let request = lines.iter().fold(Request::get("http://a/"), |request, (name, value)| {
            request.header(http::HeaderName::from_lowercase(name.as_bytes()).unwrap(), *value)
        });
        let response = ask(&mut sender, request, "").await;
        let json: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((response.status().as_u16(), json["error"]["code"].as_str()), (400, Some("BAD_REQUEST")), "{lines:?}");
    }
    // The connection goes on.
    assert_eq!(ask(&mut sender, Request::get("http://a/ok"), "").await.status(), 200);
    assert_eq!(origin.requests().len(), 1);
}
