//! Permits: a request holds them while the backend works for it, never while a client takes its time to read what is ready.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{Named, gateway, quoted};
use crate::harness::contract::assert_contract;
use crate::harness::{Client, GatewayUnderTest, get};

/// Everything that has room for one request only: what it is, keys of the backend, of the route, and the rest of the file.
const BOUNDS: [(&str, &str, &str, &str); 3] = [
    ("the backend's", "max_in_flight = 1\nqueue = { max = 0 }", "", ""),
    ("the process's", "", "", "[listen]\nmax_in_flight = 1"),
    ("a key's", "", "limits = [\"l\"]", "[limits.l]\nmax_in_flight = 1\nkey = \"global\""),
];

/// A gateway with room for one request, before an origin that answers with this status.
fn bounded((_, backend, route, rest): (&str, &str, &str, &str), status: u16, more: &str) -> (Named, GatewayUnderTest) {
    let origin = Named::start("answer");
    origin.answers(status);
    let gateway = gateway(&[quoted(&origin)], backend, &format!("{route}\n{more}"), rest);
    (origin, gateway)
}

/// The head of the response to a request over HTTP/2. The window of the stream is shut, so the gateway has to keep the body.
async fn head_of_a_response_that_nobody_reads(gateway: &GatewayUnderTest) -> http::Response<hyper::body::Incoming> {
    let stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender.send_request(Request::get("http://a/unread").body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
}

/// The response to a second request, while nobody reads the first.
async fn second(gateway: &GatewayUnderTest) -> crate::harness::Response {
    let address = gateway.address;
    tokio::task::spawn_blocking(move || get(address, "/second")).await.unwrap()
}

#[tokio::test]
async fn an_error_holds_no_permit_while_nobody_reads_it() {
    for bound in BOUNDS {
        let (origin, gateway) = bounded(bound, 500, "");
        let unread = head_of_a_response_that_nobody_reads(&gateway).await;
        assert_eq!(unread.status(), 502);
        let second = second(&gateway).await;
        assert_eq!((second.status, assert_contract("GET", &second)), (502, "UPSTREAM_ERROR".into()), "{} permit is held", bound.0);
        assert_eq!(origin.asked(), 2);
        drop(unread);
    }
}

#[tokio::test]
async fn a_success_that_was_read_whole_holds_no_permit_while_nobody_reads_it() {
    for bound in BOUNDS {
        let (origin, gateway) = bounded(bound, 200, "leak_guard = true");
        let unread = head_of_a_response_that_nobody_reads(&gateway).await;
        assert_eq!(unread.status(), 200);
        assert_eq!(second(&gateway).await.text(), "answer", "{} permit is held", bound.0);
        assert_eq!(origin.asked(), 2);
        drop(unread);
    }
}

#[tokio::test]
async fn a_success_that_streams_holds_its_permits_until_it_was_read() {
    for bound in BOUNDS {
        let origin = crate::harness::Origin::start(|c| {
            c.write(format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(1_000_000)));
            c.next_head();
        });
        let gateway = gateway(&[format!("\"http://{}\"", origin.address)], bound.1, bound.2, bound.3);
        let unread = head_of_a_response_that_nobody_reads(&gateway).await;
        let refused = second(&gateway).await;
        assert!(matches!(assert_contract("GET", &refused).as_str(), "OVERLOADED" | "RATE_LIMITED"), "{} permit is free", bound.0);
        drop(unread);
    }
}

#[test]
fn a_client_that_keeps_its_connection_after_an_error_holds_no_permit() {
    for bound in BOUNDS {
        let (origin, gateway) = bounded(bound, 500, "");
        let mut first = Client::connect(gateway.address);
        first.write("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
        // Its first bytes are there, and stay unread.
        first.stream.peek(&mut [0]).unwrap();
        let second = get(gateway.address, "/second");
        assert_eq!((second.status, assert_contract("GET", &second)), (502, "UPSTREAM_ERROR".into()), "{} permit is held", bound.0);
        assert_eq!((first.response("GET").status, origin.asked()), (502, 2));
    }
}
