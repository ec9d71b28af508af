//! Tests permits: a request holds them while the backend processes it, but not while a slow client reads a response that is complete.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{Named, gateway};
use crate::harness::contract::assert_contract;
use crate::harness::wait::in_time;
use crate::harness::{Client, GatewayUnderTest, Origin, get};

/// A bound of one request in flight.
struct Bound {
    of: &'static str,
    backend: &'static str,
    route: &'static str,
    listen: &'static str,
    limits: &'static str,
}

const BOUNDS: [Bound; 3] = [
    Bound { of: "the backend", backend: "max_in_flight = 1\nqueue = { max = 0 }", route: "", listen: "", limits: "" },
    Bound { of: "all requests", backend: "", route: "", listen: "max_in_flight = 1", limits: "" },
    Bound { of: "a key", backend: "", route: "limits = [\"l\"]", listen: "", limits: "[limits.l]\nmax_in_flight = 1\nkey = \"global\"" },
];

impl Bound {
    /// A gateway with this bound before an origin. Nothing ends a client that reads nothing.
    fn gateway(&self, origin: &Origin, route: &str) -> GatewayUnderTest {
        let rest = format!("[listen]\nwrite_timeout = \"600s\"\n{}\n{}", self.listen, self.limits);
        gateway(&[format!("\"http://{}\"", origin.address)], self.backend, &format!("{}\n{route}", self.route), &rest)
    }
}

/// An origin that answers every request with this status.
fn answering(status: u16) -> Named {
    let origin = Named::start("answer");
    origin.answers(status);
    origin
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
    let request = Request::get("http://a/unread").body(Empty::<Bytes>::new()).unwrap();
    in_time("the head of the response", sender.send_request(request)).await.unwrap()
}

/// The response to a second request, while nobody reads the first.
async fn second(gateway: &GatewayUnderTest) -> crate::harness::Response {
    let address = gateway.address;
    tokio::task::spawn_blocking(move || get(address, "/second")).await.unwrap()
}

#[tokio::test]
async fn an_error_holds_no_permit_while_nobody_reads_it() {
    for bound in BOUNDS {
        let origin = answering(500);
        let gateway = bound.gateway(&origin.origin, "");
        let unread = head_of_a_response_that_nobody_reads(&gateway).await;
        assert_eq!(unread.status(), 502);
        let second = second(&gateway).await;
        assert_eq!((second.status, assert_contract("GET", &second)), (502, "UPSTREAM_ERROR".into()), "the permit of {} is held", bound.of);
        assert_eq!(origin.asked(), 2);
        drop(unread);
    }
}

#[tokio::test]
async fn a_success_that_was_read_whole_holds_no_permit_while_nobody_reads_it() {
    for bound in BOUNDS {
        let origin = answering(200);
        let gateway = bound.gateway(&origin.origin, "leak_guard = true");
        let unread = head_of_a_response_that_nobody_reads(&gateway).await;
        assert_eq!(unread.status(), 200);
        assert_eq!(second(&gateway).await.text(), "answer", "the permit of {} is held", bound.of);
        assert_eq!(origin.asked(), 2);
        drop(unread);
    }
}

#[tokio::test]
async fn a_success_that_streams_holds_its_permits_until_it_was_read() {
    for bound in BOUNDS {
        let origin = Origin::start(|c| {
            c.write(format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(1_000_000)));
            c.next_head();
        });
        let gateway = bound.gateway(&origin, "");
        let unread = head_of_a_response_that_nobody_reads(&gateway).await;
        let refused = second(&gateway).await;
        assert!(matches!(assert_contract("GET", &refused).as_str(), "OVERLOADED" | "RATE_LIMITED"), "the permit of {} is free", bound.of);
        drop(unread);
    }
}

#[test]
fn a_client_that_keeps_its_connection_after_an_error_holds_no_permit() {
    for bound in BOUNDS {
        let origin = answering(500);
        let gateway = bound.gateway(&origin.origin, "");
        let mut first = Client::connect(gateway.address);
        first.write("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
        // Its first bytes are there, and stay unread.
        first.stream.peek(&mut [0]).unwrap();
        let second = get(gateway.address, "/second");
        assert_eq!((second.status, assert_contract("GET", &second)), (502, "UPSTREAM_ERROR".into()), "the permit of {} is held", bound.of);
        assert_eq!((first.response("GET").status, origin.asked()), (502, 2));
    }
}
