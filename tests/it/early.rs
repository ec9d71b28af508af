//! Tests requests that are rejected before routing, and the state of their connection afterwards.

use crate::harness::contract::assert_contract;
use crate::harness::{Client, GatewayUnderTest, Origin, send};

fn gateway() -> (Origin, GatewayUnderTest) {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\nheader_timeout = \"400ms\"\n");
    (origin, gateway)
}

fn refused(bytes: impl AsRef<[u8]>, method: &str) -> (u16, String) {
    let (origin, gateway) = gateway();
    let mut client = Client::connect(gateway.address);
    client.write(&bytes);
    let response = client.response(method);
    let code = assert_contract(method, &response);
    assert!(client.is_closed(), "the connection must end after {:?}", String::from_utf8_lossy(bytes.as_ref()));
    assert_eq!(origin.requests().len(), 0, "nothing may reach the upstream");
    (response.status, code)
}

#[test]
fn broken_heads_get_the_envelope() {
    for head in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: five\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let method = head.split(' ').next().unwrap();
        assert_eq!(refused(head, method), (400, "BAD_REQUEST".into()), "{head:?}");
    }
}

#[test]
fn bytes_of_other_protocols_get_the_envelope() {
    let (_origin, gateway) = gateway();
    for hello in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\x00\x01\x02", b"\x80\x2e\x01\x03\x01"] {
        let response = send(gateway.address, hello);
        assert_eq!(response.status, 400);
        assert_contract("-", &response);
    }
    let line = gateway.log_line(&["TLS hello"]);
    assert_eq!(line["status"], 400, "{line}");
}

#[test]
fn bounds_have_their_own_rows() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20_000));
    assert_eq!(refused(long, "GET"), (414, "URI_TOO_LONG".into()));
    let huge = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(40_000));
    assert_eq!(refused(huge, "GET"), (431, "HEADERS_TOO_LARGE".into()));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(200));
    assert_eq!(refused(many, "GET"), (431, "HEADERS_TOO_LARGE".into()));
    let endless = format!("GET /{}", "a".repeat(100_000));
    assert_eq!(refused(endless, "GET"), (414, "URI_TOO_LONG".into()));
    assert_eq!(refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "POST"), (501, "NOT_IMPLEMENTED".into()));
}

#[test]
fn a_slow_head_is_408() {
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: ", "GET"), (408, "REQUEST_TIMEOUT".into()));
}

#[test]
fn a_slow_second_head_is_408_too() {
    let (_origin, gateway) = gateway();
    let mut client = Client::connect(gateway.address);
    client.write("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response("GET").status, 200);
    client.write("GET /2 HTT");
    let response = client.response("GET");
    assert_eq!((response.status, assert_contract("GET", &response)), (408, "REQUEST_TIMEOUT".into()));
    assert!(client.is_closed());
}

#[test]
fn silence_is_closed_without_a_word() {
    let (_origin, gateway) = gateway();
    assert!(Client::connect(gateway.address).is_closed());
}

#[test]
fn earlier_pipelined_requests_are_answered_first() {
    let (origin, gateway) = gateway();
    let mut client = Client::connect(gateway.address);
    client.write("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\nHost: a\n\nGET /4 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.response("GET").text().starts_with("GET /1 "));
    assert!(client.response("POST").text().starts_with("POST /2 "));
    let response = client.response("GET");
    assert_eq!((response.status, assert_contract("GET", &response)), (400, "BAD_REQUEST".into()));
    assert!(client.is_closed());
    assert_eq!(origin.requests().len(), 2, "nothing after the refusal is a request");
}

#[test]
fn pipelined_errors_are_all_answered() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \"/known\"\nbackend = \"o\"\n",
        origin.address
    ));
    let mut client = Client::connect(gateway.address);
    client.write("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\nHEAD /c HTTP/1.1\r\nHost: a\r\n\r\nGET /known HTTP/1.1\r\nHost: a\r\n\r\n");
    for (method, path) in [("GET", "/a"), ("GET", "/b"), ("HEAD", "/c")] {
        let response = client.response(method);
        assert_eq!(response.status, 404, "{path}");
        assert_contract(method, &response);
    }
    assert_eq!(client.response("GET").status, 200);
}

#[test]
fn a_thousand_pipelined_requests_are_answered_in_order() {
    let (_origin, gateway) = gateway();
    let mut client = Client::connect(gateway.address);
    let all: String = (0..1000).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let mut writer = client.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, all.as_bytes()));
    for n in 0..1000 {
        assert!(client.response("GET").text().starts_with(&format!("GET /{n} ")));
    }
    writing.join().unwrap().unwrap();
}

#[test]
fn broken_chunks_end_the_exchange() {
    let long_trailers = format!("0\r\nX-Note: {}\r\n\r\n", "x".repeat(9_000));
    for body in [
        long_trailers.as_str(),
        "5\nhello\r\n0\r\n\r\n",
        "zz\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFFF\r\n",
        "1;a\nb\r\nx\r\n0\r\n\r\n",
    ] {
        let (_origin, gateway) = gateway();
        let mut client = Client::connect(gateway.address);
        client.write(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
        let response = client.response("POST");
        assert_eq!((response.status, assert_contract("POST", &response)), (400, "BAD_REQUEST".into()), "{body:?}");
        assert!(client.is_closed(), "{body:?}");
    }
}

#[test]
fn connect_and_trace_are_405() {
    let (origin, gateway) = gateway();
    for request in ["CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let response = send(gateway.address, request);
        assert_eq!(response.status, 405, "{request}");
        assert!(response.header("allow").is_some());
        assert_contract(request.split(' ').next().unwrap(), &response);
    }
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn hosts_must_agree() {
    let (origin, gateway) = gateway();
    for request in [
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let response = send(gateway.address, request);
        assert_eq!((response.status, assert_contract("GET", &response)), (400, "BAD_REQUEST".into()), "{request}");
    }
    assert_eq!(origin.requests().len(), 0);
    assert_eq!(send(gateway.address, "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    assert_eq!(send(gateway.address, "GET / HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn expectations_other_than_continue_are_417() {
    let (_origin, gateway) = gateway();
    let response = send(gateway.address, "POST / HTTP/1.1\r\nHost: a\r\nExpect: coffee\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
    assert_eq!((response.status, assert_contract("POST", &response)), (417, "EXPECTATION_FAILED".into()));
}

#[test]
fn early_errors_are_recorded_like_all_others() {
    let (_origin, gateway) = gateway();
    send(gateway.address, "BROKEN\r\n\r\n");
    gateway.wait_for_metric("lockgate_requests_total{route=\"-\",backend=\"-\",code=\"400\",reason=\"http_request_error\"} 1");
    gateway.wait_for_metric("lockgate_received_total 1");
}
