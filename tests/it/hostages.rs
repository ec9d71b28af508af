//! Tests slow and greedy clients: they must not hold connections, permits or memory that other clients need.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::harness::contract::assert_contract;
use crate::harness::wait::in_time;
use crate::harness::{Client, GatewayUnderTest, Origin, eventually, get, send};

/// A gateway whose backend has `connections`, with more keys.
fn gateway(origin: &Origin, connections: usize, route: &str, listen: &str) -> GatewayUnderTest {
    GatewayUnderTest::start(&format!(
        "[listen]\n{listen}\n[backends.o]\nendpoints = [\"http://{}\"]\npool = {{ max_connections = {connections} }}\n\
         [[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\n{route}\n",
        origin.address
    ))
}

/// Answers 200 once the whole request is there.
fn patient() -> Origin {
    Origin::start(|c| {
        loop {
            c.body();
            c.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            if !c.next_head() {
                return;
            }
        }
    })
}

#[test]
fn slow_bodies_take_no_connection() {
    let origin = patient();
    let gateway = gateway(&origin, 2, "", "");
    let mut slow: Vec<Client> = (0..10).map(|_| Client::connect(gateway.address)).collect();
    for (at, client) in slow.iter_mut().enumerate() {
        // Longer ones too: what is read first of them comes as slowly.
        client.write(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\nx", if at % 2 == 0 { 500 } else { 200_000 }));
    }
    for _ in 0..5 {
        assert_eq!(get(gateway.address, "/victim").status, 200);
    }
    assert!(origin.requests().iter().all(|head| head.starts_with("GET /victim")), "{:?}", origin.requests());
    slow[0].write("x".repeat(499));
    assert_eq!(slow[0].response("POST").status, 200);
}

#[test]
fn a_body_of_unknown_length_streams_after_a_pause_and_what_waits_to_be_asked_is_asked() {
    let origin = Origin::start(|c| c.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly"));
    let gateway = gateway(&origin, 8, "", "");
    let mut client = Client::connect(gateway.address);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    assert_eq!(client.response("POST").text(), "early", "the upstream hears of it while the body goes on");
    let mut client = Client::connect(gateway.address);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut response = client.response("POST");
    if response.status == 100 {
        response = client.response("POST");
    }
    assert_eq!(response.text(), "early", "nobody waits for the body that it was asked for");
}

#[test]
fn who_sends_or_takes_a_body_too_slowly_is_ended() {
    let big = Arc::new(vec![b'x'; 16 << 20]);
    let origin = {
        let big = Arc::clone(&big);
        Origin::start(move |c| {
            c.body();
            c.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", big.len()));
            c.write(big.as_slice());
        })
    };
    let gateway = gateway(&origin, 8, "min_rate = \"240B/s\"", "body_timeout = \"60s\"\nwrite_timeout = \"60s\"");
    // Takes nothing, from now on.
    let mut reader = Client::connect(gateway.address);
    reader.write("GET /download HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut buffered = Client::connect(gateway.address);
    buffered.write("POST /short HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx");
    let mut streamed = Client::connect(gateway.address);
    streamed.write(format!("POST /long HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n{}", "x".repeat(100_000)));
    // What a client says of its content lifts no bound: this backend speaks HTTP/1 and serves no gRPC.
    let mut claims = Client::connect(gateway.address);
    claims.write("POST /claims HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 900000\r\n\r\nx");
    gateway.log_line(&["/claims", "min_rate"]);
    for (client, path) in [(&mut buffered, "/short"), (&mut streamed, "/long")] {
        let response = client.response("POST");
        assert_eq!((response.status, assert_contract("POST", &response)), (408, "REQUEST_TIMEOUT".into()));
        let line = gateway.log_line(&[path, "408"]);
        assert!(line.to_string().contains("min_rate"), "{line}");
    }
    gateway.log_line(&["/download", "CLIENT_CLOSED"]);
    assert!(reader.read("GET").is_none_or(|response| !response.complete), "it was aborted");
}

/// Every client has an address of its own, as a proxy in front tells it.
fn posted_by(client: &str) -> String {
    format!("POST /slow HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\nContent-Length: 900\r\n\r\nx")
}

#[test]
fn one_client_does_not_hold_all_connections() {
    let origin = patient();
    let gateway = gateway(&origin, 8, "buffer_request = \"off\"", "trusted_proxies = [\"127.0.0.1\"]");
    let mut greedy: Vec<Client> = (0..20).map(|_| Client::connect(gateway.address)).collect();
    greedy.iter_mut().for_each(|client| client.write(posted_by("192.0.2.1")));
    // All that it may have are open when the next would be refused a place.
    eventually("the greedy client has seven connections", || origin.connections() >= 7);
    for _ in 0..3 {
        let victim = send(gateway.address, "GET /victim HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.2\r\nConnection: close\r\n\r\n");
        assert_eq!(victim.status, 200);
    }
    assert!(origin.connections() <= 8, "{} connections", origin.connections());
}

#[test]
fn a_client_alone_has_what_it_needs() {
    let origin = patient();
    let gateway = gateway(&origin, 1, "", "");
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(gateway.address)).collect();
    for _ in 0..5 {
        clients.iter_mut().for_each(|client| client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(clients.iter_mut().all(|client| client.response("GET").status == 200));
    }
}

/// Streams whose window is shut ask for nothing: their answers are read off the upstream all the same.
#[tokio::test]
async fn streams_that_take_nothing_hold_no_connection() {
    let asked = Arc::new(AtomicUsize::new(0));
    let origin = {
        let asked = Arc::clone(&asked);
        Origin::start(move |c| {
            loop {
                asked.fetch_add(1, Ordering::SeqCst);
                // Not all at once, so that it cannot be read with the head.
                c.write(format!("HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n{}", "x".repeat(10_000)));
                c.write("x".repeat(20_000));
                if !c.next_head() {
                    return;
                }
            }
        })
    };
    let gateway = gateway(&origin, 1, "", "");
    let stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut responses = Vec::new();
    for n in 0..6 {
        let request = Request::get(format!("http://a/{n}")).body(Empty::<Bytes>::new()).unwrap();
        responses.push(in_time("the head of a response", sender.send_request(request)).await.unwrap());
    }
    assert!(responses.iter().all(|response| response.status() == 200));
    assert_eq!(asked.load(Ordering::SeqCst), 6, "one connection has served them all");
    // What was read ahead is whole.
    let body = in_time("the body of a response", responses.remove(0).into_body().collect()).await.unwrap().to_bytes();
    assert_eq!(body.len(), 30_000);
}
