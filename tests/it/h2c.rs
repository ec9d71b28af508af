//! Tests client connections with HTTP/2 by prior knowledge, which are forwarded as HTTP/1.1.
//!
//! `floods` and `bombs` cost more than they bring, `malformed` has streams and frames that the standard does not permit, `strict` compares
//! what clients say with what upstreams read.

mod bombs;
mod floods;
mod malformed;
mod strict;
mod wire;

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

#[tokio::test]
async fn heads_that_http_1_could_read_differently_are_refused() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut sender = connect(&gateway).await;
    for lines in [&[("content-length", "0"), ("content-length", "0")][..], &[("content-length", "")]] {
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
