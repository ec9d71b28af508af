//! Tests the HTTP/1 of both sides at its edges: interim responses, framing, reuse, early answers, and bytes that arrive one by one.

use std::io::Write;
use std::time::Duration;

use crate::harness::contract::assert_contract;
use crate::harness::wait::{PATIENCE, let_time_pass};
use crate::harness::{Client, GatewayUnderTest, Origin, Response, get, send};

const STREAMED: &str = "[defaults]\nbuffer_request = \"off\"\n";
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// An origin that answers every request with these bytes, over connections that stay open.
fn keeps_saying(bytes: impl Into<Vec<u8>>) -> Origin {
    let bytes = bytes.into();
    Origin::start(move |c| {
        loop {
            c.body();
            if !c.write(&bytes) || !c.next_head() {
                return;
            }
        }
    })
}

/// Sends requests on one connection and returns the response to the last.
fn answered(gateway: &GatewayUnderTest, method: &str, request: &str) -> (Client, Response) {
    let mut client = Client::connect(gateway.address);
    client.write(request);
    let response = client.response(method);
    (client, response)
}

/// Checks that the next request of the connection gets its own response.
fn is_in_step(client: &mut Client, origin_says: &str) {
    client.write(NEXT);
    let response = client.response("GET");
    assert!(response.status == 200 && response.text().contains(origin_says), "{response:?}");
}

// -- Interim responses

#[test]
fn early_hints_are_forwarded_without_what_is_internal() {
    let origin = keeps_saying(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nServer: Apache/2.4.1\r\nX-Powered-By: PHP/8\r\n\
         Connection: x-hop\r\nX-Hop: 1\r\nContent-Length: 5\r\nX-Accel-Redirect: /private\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.js>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    for _ in 0..2 {
        client.interim.clear();
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response("GET").text(), "ok");
        assert_eq!(client.interim.iter().map(|hint| hint.status).collect::<Vec<_>>(), [103, 103]);
        assert_eq!(client.interim[0].header("link"), Some("</a.css>; rel=preload"));
        for name in ["server", "x-powered-by", "connection", "x-hop", "content-length", "x-accel-redirect"] {
            assert_eq!(client.interim[0].header(name), None, "{name}");
        }
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn early_hints_come_before_the_response_is_ready() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::start(move |c| {
        c.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.wait_for("103 Early Hints");
    go.send(()).unwrap();
    assert_eq!(client.response("GET").text(), "ok");
}

#[test]
fn a_client_of_http_1_0_gets_no_interim_response() {
    let origin = keeps_saying("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let (client, response) = answered(&gateway, "GET", "GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!((response.text().as_str(), client.interim.len()), ("ok", 0));
}

#[tokio::test]
async fn over_http_2_the_response_behind_early_hints_is_unharmed() {
    use http_body_util::{BodyExt as _, Empty};
    let origin = keeps_saying("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let stream = hyper_util::rt::TokioIo::new(tokio::net::TcpStream::connect(gateway.address).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let request = http::Request::get("http://a/").body(Empty::<bytes::Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers()["x-a"].as_bytes()), (200, &b"b"[..]));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
    }
}

#[test]
fn endless_interim_responses_end_the_exchange() {
    for pause in [None, Some(Duration::from_millis(1))] {
        let origin = Origin::start(move |c| {
            let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n".repeat(if pause.is_some() { 1 } else { 300 });
            while c.write(&hint) {
                let_time_pass(pause.unwrap_or_default());
            }
        });
        let gateway = GatewayUnderTest::in_front_of(origin.address, "[defaults]\nresponse_timeout = \"300ms\"\n");
        let (_, response) = answered(&gateway, "GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let status = if pause.is_some() { 504 } else { 502 };
        assert_eq!((response.status, assert_contract("GET", &response).as_str() == "UPSTREAM_TIMEOUT"), (status, status == 504));
    }
}

#[test]
fn many_hints_that_a_client_reads_late_do_not_disturb_the_response() {
    let hint = format!("HTTP/1.1 103 Early Hints\r\nX-Long: {}\r\n\r\n", "x".repeat(1000));
    let origin = Origin::start(move |c| {
        for _ in 0..900 {
            c.write(&hint);
        }
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    socket2::SockRef::from(&client.stream).set_recv_buffer_size(4096).unwrap();
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    let_time_pass(Duration::from_millis(200));
    assert_eq!(client.response("GET").text(), "ok");
    assert!(client.interim.len() <= 900);
}

// -- Continue

#[test]
fn a_100_asks_for_a_body_once_and_the_connection_goes_on() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for (framing, body) in [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")] {
        let (mut client, response) =
            answered(&gateway, "POST", &format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{framing}\r\n\r\n"));
        assert_eq!(response.status, 100);
        client.write(body);
        assert!(client.response("POST").text().ends_with("hello"));
        is_in_step(&mut client, "GET /next");
    }
}

#[test]
fn a_body_that_is_here_already_is_not_asked_for() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let request = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello";
    assert!(answered(&gateway, "POST", request).1.text().ends_with("hello"));
    // HTTP/1.0 has no 100 (RFC 9110 10.1.1).
    let mut client = Client::connect(gateway.address);
    client.write("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let_time_pass(Duration::from_millis(50));
    client.write("hello");
    assert!(client.response("POST").text().ends_with("hello"));
}

#[test]
fn a_final_response_instead_of_a_100_ends_the_connection() {
    let gateway = GatewayUnderTest::in_front_of(Origin::echo().address, "[defaults]\nrequest_body_limit = \"4B\"\n");
    let (mut client, response) =
        answered(&gateway, "POST", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!((response.status, response.header("connection")), (413, Some("close")));
    assert!(client.is_closed());
}

// -- Reuse of connections to upstreams

#[test]
fn a_response_with_extra_bytes_behind_it_is_never_reused() {
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
    for ok in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
    ] {
        for (tail, later) in [(poison, ""), ("", poison), ("\r\n", ""), ("", "x"), ("HTTP/1.1 100 Continue\r\n\r\n", "")] {
            let origin = Origin::start(move |c| {
                loop {
                    // Only the first connection is poisoned.
                    let poisoned = c.number == 0;
                    c.write(format!("{ok}{}", if poisoned { tail } else { "" }));
                    if poisoned && !later.is_empty() {
                        let_time_pass(Duration::from_millis(20));
                        c.write(later);
                    }
                    if !c.next_head() {
                        return;
                    }
                }
            });
            let gateway = GatewayUnderTest::in_front_of(origin.address, "");
            let status = get(gateway.address, "/a").status;
            let_time_pass(Duration::from_millis(60));
            let next = get(gateway.address, "/b");
            assert_eq!((next.status, next.text().contains("poisoned")), (status, false), "{ok:?} {tail:?} {later:?}");
            assert_eq!(origin.connections(), 2, "{ok:?} {tail:?} {later:?}");
        }
    }
}

#[test]
fn head_204_and_304_keep_both_connections_in_step() {
    let origin = Origin::start(|c| {
        loop {
            let (head, body) = match c.head.split(' ').nth(1).unwrap() {
                "/204" => ("204 No Content\r\n", ""),
                "/304" => ("304 Not Modified\r\nContent-Length: 9\r\n", ""),
                "/205" => ("205 Reset Content\r\nContent-Length: 0\r\n", ""),
                "/head" => ("200 OK\r\nContent-Length: 9\r\n", ""),
                "/chunked" => ("200 OK\r\nTransfer-Encoding: chunked\r\n", ""),
                _ => ("200 OK\r\nContent-Length: 4\r\n", "/end"),
            };
            c.write(format!("HTTP/1.1 {head}\r\n{body}"));
            if !c.next_head() {
                return;
            }
        }
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    for (method, path, status) in [
        ("GET", "/204", 204),
        ("GET", "/304", 304),
        ("GET", "/205", 205),
        ("HEAD", "/head", 200),
        ("HEAD", "/chunked", 200),
        ("HEAD", "/204", 204),
        ("GET", "/end", 200),
    ] {
        client.write(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = client.response(method);
        assert_eq!(response.status, status, "{method} {path}");
        assert!(status != 204 || response.header("content-length").is_none());
        assert!(response.header("transfer-encoding").is_none(), "{method} {path}");
        assert_eq!(response.text(), if path == "/end" { "/end" } else { "" });
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_length_on_a_204_is_removed() {
    let origin = Origin::says("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = get(gateway.address, "/");
    assert_eq!((response.status, response.header("content-length"), response.body.len()), (204, None, 0));
}

#[test]
fn an_upgrade_that_nobody_asked_for_is_an_error_and_its_connection_ends() {
    let origin = keeps_saying("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for _ in 0..2 {
        let response = get(gateway.address, "/");
        assert_eq!((response.status, assert_contract("GET", &response)), (502, "UPSTREAM_PROTOCOL_ERROR".into()));
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn an_origin_that_says_close_is_not_asked_again_on_that_connection() {
    for head in ["HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\n", "HTTP/1.0 200 OK\r\n"] {
        let origin = keeps_saying(format!("{head}Content-Length: 2\r\n\r\nok"));
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        assert_eq!((get(gateway.address, "/").text(), get(gateway.address, "/").text()), ("ok".into(), "ok".into()));
        assert_eq!(origin.connections(), 2, "{head:?}");
    }
    let origin = keeps_saying("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    assert_eq!((get(gateway.address, "/").text(), get(gateway.address, "/").text()), ("ok".into(), "ok".into()));
    assert_eq!(origin.connections(), 1);
}

// -- Clients that leave, or are slow

#[test]
fn a_client_that_leaves_while_its_request_waits_cancels_the_attempt() {
    // Whatever the client has sent: a whole request, pipelined requests, or a part of a body.
    for sent in [
        "GET /left HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /left HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!("POST /left HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{}", "x".repeat(90_000)),
    ] {
        let (gone, left) = std::sync::mpsc::channel();
        let gone = std::sync::Mutex::new(gone);
        let origin = Origin::start(move |c| {
            c.hang();
            gone.lock().unwrap().send(()).unwrap();
        });
        let gateway = GatewayUnderTest::in_front_of(origin.address, STREAMED);
        let mut client = Client::connect(gateway.address);
        client.write(&sent);
        origin.wait_for_requests(1);
        drop(client);
        left.recv_timeout(PATIENCE).expect("the upstream connection ends with the client");
        assert_eq!(gateway.log_line(&["/left"])["status"], 499);
        assert_eq!(origin.requests().len(), 1);
    }
}

#[test]
fn a_client_that_closes_its_side_behind_its_request_has_left() {
    let origin = Origin::start(|c| c.hang());
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    client.write("POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
    origin.wait_for_requests(1);
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.is_closed());
    assert_eq!(gateway.log_line(&["/half"])["status"], 499);
}

#[test]
fn a_slow_reader_gets_everything_and_one_that_stops_is_cut_off() {
    const SIZE: usize = 8 << 20;
    let body: String = (0..SIZE / 16).map(|n| format!("{n:015}\n")).collect();
    for framing in ["length", "chunked"] {
        let body = body.clone();
        let expected = body.clone();
        let origin = Origin::start(move |c| {
            if framing == "length" {
                c.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n{body}"));
            } else {
                c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                for piece in body.as_bytes().chunks(7_777) {
                    c.write(format!("{:x}\r\n", piece.len()));
                    c.write([piece, b"\r\n"].concat());
                }
                c.say("0\r\n\r\n");
            }
        });
        let gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\nwrite_timeout = \"300ms\"\n");
        let mut client = Client::connect(gateway.address);
        client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.wait_for("HTTP/1.1 200");
        // Shorter than the timeout of one write.
        let_time_pass(Duration::from_millis(100));
        let response = client.response("GET");
        assert!(response.complete && response.text() == expected, "{framing}: {} bytes", response.body.len());

        let mut client = Client::connect(gateway.address);
        client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.wait_for("HTTP/1.1 200");
        let_time_pass(Duration::from_millis(1500));
        let response = client.response("GET");
        assert!(!response.complete && response.body.len() < SIZE, "{framing}: {} bytes", response.body.len());
    }
}

// -- Early answers

/// An origin that refuses at once, and reads on.
fn refuses_early() -> Origin {
    Origin::start(|c| {
        if c.head.starts_with("POST") {
            c.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
            c.hang();
        } else {
            c.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnext");
        }
    })
}

#[test]
fn behind_an_early_answer_the_connection_goes_on_once_the_rest_of_the_body_has_come() {
    let gateway = GatewayUnderTest::in_front_of(refuses_early().address, STREAMED);
    for (framing, begin, rest) in [
        ("Content-Length: 100000", "x".repeat(10), "x".repeat(99_990)),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n".into(), format!("{:x}\r\n{}\r\n0\r\nX-T: v\r\n\r\n", 50_000, "x".repeat(50_000))),
    ] {
        let (mut client, response) = answered(&gateway, "POST", &format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{begin}"));
        assert_eq!((response.text().as_str(), response.header("connection")), ("early", None));
        client.write(rest);
        is_in_step(&mut client, "next");
    }
}

#[test]
fn behind_an_early_answer_a_large_rest_ends_the_connection_properly() {
    let gateway = GatewayUnderTest::in_front_of(refuses_early().address, STREAMED);
    let chunks = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(100);
    for (framing, begin, rest) in [
        ("Content-Length: 5000000", "begin", "x".repeat(4_999_995)),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n", format!("{chunks}0\r\n\r\n")),
    ] {
        let (mut client, response) = answered(&gateway, "POST", &format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{begin}"));
        assert_eq!(response.text(), "early");
        client.write(format!("{rest}{NEXT}"));
        assert!(client.read("GET").is_none(), "nothing behind a body that was not read is a request");
    }
}

#[test]
fn an_answered_upload_does_not_hold_up_the_shutdown() {
    let mut gateway = GatewayUnderTest::in_front_of(refuses_early().address, &format!("[listen]\ndrain_delay = \"off\"\n{STREAMED}"));
    let (mut client, response) = answered(&gateway, "POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nbegin");
    assert_eq!((response.text().as_str(), response.header("connection")), ("early", None));
    gateway.begin_stop();
    // The harness waits for the end for less time than the upload would be waited for.
    assert!(client.is_closed());
    assert!(gateway.stopped());
}

#[test]
fn nothing_behind_a_broken_body_is_a_request_after_an_early_answer_either() {
    let origin = refuses_early();
    let gateway = GatewayUnderTest::in_front_of(origin.address, STREAMED);
    let (mut client, response) =
        answered(&gateway, "POST", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    assert_eq!(response.text(), "early");
    client.write(format!("0\r\n X: y\r\n\r\n{NEXT}"));
    assert!(client.read("GET").is_none());
    assert!(origin.requests().iter().all(|head| !head.starts_with("GET /next")));
}

// -- Order and pieces

#[test]
fn a_thousand_pipelined_requests_with_bodies_are_answered_in_order() {
    let gateway = GatewayUnderTest::in_front_of(Origin::echo().address, "");
    let mut client = Client::connect(gateway.address);
    let all: String = (0..1000)
        .map(|n| match n % 4 {
            0 => format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"),
            1 => format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
            2 => format!("HEAD /{n} HTTP/1.1\r\nHost: a\r\n\r\n"),
            _ => format!("PUT /{n} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nX-T: v\r\n\r\n"),
        })
        .collect();
    let mut writer = client.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(all.as_bytes()));
    for n in 0..1000 {
        let method = ["GET", "POST", "HEAD", "PUT"][n % 4];
        let response = client.response(method);
        assert!(method == "HEAD" || response.text().starts_with(&format!("{method} /{n} ")), "{n}: {response:?}");
    }
    writing.join().unwrap().unwrap();
}

/// Sends a request cut at every byte, each on one connection behind the other.
fn cut_everywhere(request: &str, expected: &str) {
    let gateway = GatewayUnderTest::in_front_of(Origin::echo().address, STREAMED);
    let mut client = Client::connect(gateway.address);
    client.stream.set_nodelay(true).unwrap();
    for cut in 1..request.len() {
        client.write(&request[..cut]);
        let_time_pass(Duration::from_micros(500));
        client.write(&request[cut..]);
        let response = client.response("POST");
        assert!(response.status == 200 && response.text().ends_with(expected), "{cut}: {response:?}");
    }
    for byte in request.as_bytes() {
        client.write([*byte]);
    }
    assert!(client.response("POST").text().ends_with(expected));
    is_in_step(&mut client, "GET /next");
}

#[test]
fn a_request_may_be_cut_at_every_byte() {
    cut_everywhere("POST /a?b=c HTTP/1.1\r\nHost: shop.example\r\nX-A: b\r\nContent-Length: 11\r\n\r\nhello world", "hello world");
    cut_everywhere(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6;ext=\"1\"\r\nhello \r\n05\r\nworld\r\n0\r\nX-T: v\r\n\r\n",
        "hello world",
    );
}

#[test]
fn a_response_may_be_cut_at_every_byte() {
    for response in [
        "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 11\r\n\r\nhello world",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n6;e=1\r\nhello \r\n05 \r\nworld\r\n0\r\nX-T: v\r\n\r\n",
    ] {
        let cut = std::sync::atomic::AtomicUsize::new(0);
        let origin = Origin::start(move |c| {
            c.stream.set_nodelay(true).unwrap();
            loop {
                let at = 1 + cut.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                if at < response.len() {
                    c.write(&response[..at]);
                    let_time_pass(Duration::from_micros(500));
                    c.write(&response[at..]);
                } else {
                    for byte in response.as_bytes() {
                        c.write([*byte]);
                    }
                }
                if !c.next_head() {
                    return;
                }
            }
        });
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        let mut client = Client::connect(gateway.address);
        for n in 0..response.len() {
            client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let seen = client.response("GET");
            assert_eq!((seen.status, seen.header("x-a"), seen.text().as_str()), (200, Some("b"), "hello world"), "{n}");
        }
        assert_eq!(origin.connections(), 1);
    }
}

// -- Trailers

#[test]
fn trailers_of_a_request_are_dropped_and_are_no_request() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, STREAMED);
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: v\r\nContent-Length: 99\r\nHost: evil\r\n\r\n";
    let (mut client, response) = answered(&gateway, "POST", request);
    let text = response.text().to_ascii_lowercase();
    assert!(text.ends_with("ok") && !text.contains("x-t: v") && !text.contains("evil"), "{text}");
    is_in_step(&mut client, "GET /next");
}

#[test]
fn trailers_of_a_response_pass_if_they_are_announced_and_wanted() {
    let said = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nX-Other: 8\r\nContent-Length: 1\r\n\r\n";
    let origin = keeps_saying(said);
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let (mut client, response) = answered(&gateway, "GET", "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\r\n");
    assert_eq!((response.text().as_str(), response.trailers), ("ok", vec![("x-sum".to_owned(), "7".to_owned())]));
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response("GET");
    assert_eq!((response.text().as_str(), response.trailers.len()), ("ok", 0));
    assert_eq!(origin.connections(), 1);
}

// -- Versions and persistence

#[test]
fn http_1_0_is_spoken_to_clients() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let known = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for (said, asks, kept) in [(known, "keep-alive", true), (known, "close", false), (known, "x", false), (chunked, "keep-alive", false)] {
        let gateway = GatewayUnderTest::in_front_of(keeps_saying(said).address, "");
        let (mut client, response) = answered(&gateway, "GET", &format!("GET / HTTP/1.0\r\nConnection: {asks}\r\n\r\n"));
        let connection = if kept { "keep-alive" } else { "close" };
        assert_eq!((response.text().as_str(), response.header("connection")), ("ok", Some(connection)), "{asks}");
        assert_eq!(response.header("transfer-encoding"), None);
        match kept {
            true => is_in_step(&mut client, "ok"),
            false => assert!(client.is_closed()),
        }
    }
}

#[test]
fn http_1_0_is_spoken_by_upstreams() {
    for said in ["HTTP/1.0 200 OK\r\n\r\nok", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\n\r\nok"] {
        let origin = Origin::says(said);
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        let (mut client, response) = answered(&gateway, "GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(response.complete && response.text() == "ok", "{said:?}: {response:?}");
        is_in_step(&mut client, "ok");
        // A body without a length ends with the connection for a client of HTTP/1.0.
        assert_eq!(send(gateway.address, "GET / HTTP/1.0\r\n\r\n").text(), "ok");
    }
}

#[test]
fn close_is_answered_with_close() {
    let gateway = GatewayUnderTest::in_front_of(Origin::echo().address, "");
    for connection in ["close", "Close", "TE, close", "close\r\nConnection: keep-alive"] {
        let request = format!("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
        let (mut client, response) = answered(&gateway, "GET", &request);
        assert!(response.text().starts_with("GET /1 ") && response.header("connection") == Some("close"), "{response:?}");
        assert!(client.read("GET").is_none(), "{connection}");
    }
    let (mut client, response) = answered(&gateway, "GET", "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(response.header("connection"), None);
    is_in_step(&mut client, "GET /next");
}

#[test]
fn an_absolute_target_with_the_default_port_agrees_with_a_host_without_it() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let ask = |target: &str, host: &str| get_absolute(&gateway, target, host);
    let response = ask("http://shop.example:80/", "shop.example");
    assert!(response.status == 200 && response.text().starts_with("GET / HTTP/1.1"), "{response:?}");
    assert_eq!(ask("http://shop.example/", "shop.example:80").status, 200);
    assert_eq!(ask("http://shop.example:8080/", "shop.example").status, 400);
    assert_eq!(ask("http://shop.example:80/", "other.example").status, 400);
}

fn get_absolute(gateway: &GatewayUnderTest, target: &str, host: &str) -> Response {
    send(gateway.address, format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

// -- Attacks

#[test]
fn what_two_parsers_could_frame_differently_never_reaches_an_upstream() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\nheader_timeout = \"1s\"\n");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for head in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Transfer-Encoding: chun\0ked",
        "Transfer-Encoding: chunked\0",
        "Content-Length: 0\r\nContent-Length: 44",
        "Content-Length: 0, 44",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: \x0c5",
        "Content-Length\0: 5",
    ] {
        let mut client = Client::connect(gateway.address);
        client.write(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n0\r\n\r\n{smuggled}"));
        let response = client.response("POST");
        assert!(matches!(response.status, 400 | 501), "{head:?}: {response:?}");
        assert!(client.read("GET").is_none(), "{head:?}");
    }
    for body in [
        "0\n\n",
        "0\r\n\n",
        "0 \r\n\r\n",
        "-0\r\n\r\n",
        "0x0\r\n\r\n",
        "0;\n\r\n\r\n",
        "0;a\0\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "10000000000000000\r\n",
    ] {
        let mut client = Client::connect(gateway.address);
        client.write(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{smuggled}"));
        let response = client.response("POST");
        assert_eq!(response.status, 400, "{body:?}");
        assert!(client.read("GET").is_none(), "{body:?}");
    }
    assert!(origin.requests().iter().all(|head| !head.contains("smuggled")));
}

#[test]
fn a_head_that_could_split_a_response_is_refused() {
    for head in [
        "X: a\rSet-Cookie: b",
        "X: a\0b",
        "X\r: a",
        "Content-Length\x0c: 2",
        "X: a\r\n folded",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Content-Length: 1e1",
    ] {
        let origin = Origin::says(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nleak-me"));
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        let response = get(gateway.address, "/");
        assert_eq!(response.status, 502, "{head:?}");
        assert_contract("GET", &response);
        assert!(!response.everything().contains("leak-me"), "{head:?}");
    }
}
