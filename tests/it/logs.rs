//! Tests log and metrics: one line per request, with the details that the client does not get.

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, get, send};

#[test]
fn one_line_tells_the_whole_visit() {
    let origin = Origin::says("HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nbusy");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = send(
        gateway.address,
        "POST /orders?token=hunter2&page= HTTP/1.1\r\nHost: Shop.example:81\r\nUser-Agent: curl/8 \"x\"\r\nContent-Length: 3\r\n\r\nabc",
    );
    assert_contract("POST", &response);
    let line = gateway.log_line(&[response.header("x-request-id").unwrap()]);
    for (key, value) in [
        ("method", "POST"),
        ("host", "Shop.example:81"),
        ("path", "/orders"),
        ("query", "token=***&***"),
        ("protocol", "HTTP/1.1"),
        ("userAgent", "curl/8 \"x\""),
        ("route", "all"),
        ("backend", "o"),
        ("client", "127.0.0.1"),
        ("code", "UPSTREAM_UNAVAILABLE"),
        ("original", "busy"),
        ("level", "WARN"),
        ("message", "request"),
    ] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
    for (key, value) in [("status", 503), ("received", 503), ("attempts", 1), ("bytesIn", 3)] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
    assert_eq!(line["endpoint"], format!("http://{}", origin.address));
    assert_eq!(line["bytesOut"].as_u64(), Some(response.body.len() as u64));
    assert!(line["durationMs"].is_number() && line["upstreamMs"].is_number() && line["timestamp"].is_string());
    assert_eq!(line["traceId"].as_str().map(str::len), Some(32));
    assert!(!line.to_string().contains("hunter2"), "queries carry secrets: {line}");
    assert!(line.get("tls").is_none(), "{line}");
}

/// Whatever a client calls itself, its line stays short and is one line.
#[test]
fn what_a_client_says_of_itself_is_bounded() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let long = "u".repeat(9000);
    let query = "name=1&".repeat(1000);
    let request = format!("GET /?{query} HTTP/1.1\r\nHost: a\r\nUser-Agent: \u{e9}\t{long}\r\n\r\n");
    let response = send(gateway.address, request);
    let line = gateway.log_line(&[response.header("x-request-id").unwrap()]);
    assert!(line["userAgent"].as_str().unwrap().starts_with("\u{e9}\tuuu"), "{line}");
    assert!(line["userAgent"].as_str().unwrap().len() <= 256 && line.to_string().len() < 2048, "{line}");
    // A request without host and user agent says nothing of either.
    let response = send(gateway.address, "GET / HTTP/1.0\r\n\r\n");
    let line = gateway.log_line(&[response.header("x-request-id").unwrap()]);
    assert!(line.get("host").is_none() && line.get("userAgent").is_none() && line.get("query").is_none(), "{line}");
    assert_eq!(line["protocol"], "HTTP/1.0");
}

/// The code in the line is the one that the client received, whoever chose it; an error that passes has that of its status.
#[test]
fn every_error_has_a_code_in_the_log() {
    let line_of = |head: &'static str, keys: &str| {
        let origin = Origin::says(head);
        let gateway = GatewayUnderTest::in_front_of(origin.address, keys);
        let response = get(gateway.address, "/");
        gateway.log_line(&[response.header("x-request-id").unwrap()])
    };
    let own =
        "HTTP/1.1 409 X\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n{\"code\":\"ORDER_LOCKED\",\"message\":\"No.\"}";
    assert_eq!(line_of(own, "")["code"], "ORDER_LOCKED");
    let plain = "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(line_of(plain, "")["code"], "NOT_FOUND");
    assert_eq!(line_of(plain, "client_errors = \"pass\"\n")["code"], "NOT_FOUND");
    assert!(line_of("HTTP/1.1 204 X\r\n\r\n", "").get("code").is_none());
}

#[test]
fn attacker_bytes_are_escaped() {
    let origin = Origin::says("HTTP/1.1 500 X\r\nContent-Length: 28\r\n\r\nline\n{\"level\":\"forged\"}\x1b[31m");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = get(gateway.address, "/a%22forged");
    let line = gateway.log_line(&[response.header("x-request-id").unwrap()]);
    assert!(line["original"].as_str().unwrap().contains("forged"));
    assert_eq!(line["level"], "WARN");
}

#[test]
fn metrics_add_up_and_their_labels_are_bounded() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for n in 0..5 {
        get(gateway.address, &format!("/{n}"));
        send(gateway.address, format!("X{n} /weird HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    gateway.wait_for_metric("lockgate_received_total 10");
    gateway.wait_for_metric("lockgate_requests_total{route=\"all\",backend=\"o\",code=\"200\",reason=\"\"} 10");
    gateway.wait_for_metric("lockgate_requests_in_progress 0");
    gateway.wait_for_metric("lockgate_upstream_responses_total{backend=\"o\",code=\"200\"} 10");
    let text = get(gateway.admin, "/metrics").text();
    assert!(text.contains("lockgate_request_duration_seconds_bucket{") && !text.contains("# EOF"), "{text}");
    assert!(!text.contains("weird") && !text.contains("X1"), "{text}");
}

#[test]
fn a_rewritten_error_is_counted_as_what_was_sent() {
    let origin = Origin::says("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    get(gateway.address, "/");
    gateway.wait_for_metric("lockgate_requests_total{route=\"all\",backend=\"o\",code=\"502\",reason=\"upstream_response\"} 1");
    gateway.wait_for_metric("lockgate_upstream_responses_total{backend=\"o\",code=\"500\"} 1");
}

#[test]
fn idle_admin_connections_keep_no_probe_waiting() {
    let gateway = GatewayUnderTest::in_front_of("127.0.0.1:9".parse().unwrap(), "");
    let mut idle: Vec<_> = (0..200).map(|_| std::net::TcpStream::connect(gateway.admin).unwrap()).collect();
    assert_eq!(get(gateway.admin, "/livez").status, 200);
    // The oldest of them made room; none of the newest did.
    let mut byte = [0];
    idle[0].set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    assert!(matches!(std::io::Read::read(&mut idle[0], &mut byte), Ok(0) | Err(_)));
    assert_eq!(get(gateway.admin, "/readyz").status, 200);
}

#[test]
fn the_admin_token_is_asked_for() {
    let gateway = GatewayUnderTest::start(
        "[listen]\nadmin_token = \"file:tests/it/harness/token\"\n[backends.o]\nendpoints = [\"http://127.0.0.1:9\"]\n\
         [[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
    );
    for open in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(gateway.admin, open).status, 200, "{open}");
    }
    let with = |token: &str| send(gateway.admin, format!("GET /nope HTTP/1.1\r\nHost: localhost\r\n{token}Connection: close\r\n\r\n"));
    for token in
        ["", "Authorization: Bearer wrong\r\n", "Authorization: Bearer t0ken-of-a-tes\r\n", "Authorization: Basic t0ken-of-a-test\r\n"]
    {
        let response = with(token);
        assert_eq!((response.status, assert_contract("GET", &response)), (401, "UNAUTHORIZED".into()), "{token}");
        assert!(response.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    }
    let response = with("authorization: bearer t0ken-of-a-test\r\n");
    assert_eq!((response.status, assert_contract("GET", &response)), (404, "ROUTE_NOT_FOUND".into()));
}

#[test]
fn the_admin_listener_answers_only_its_own_pages() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    assert_eq!((get(gateway.admin, "/livez").status, get(gateway.admin, "/readyz").status), (200, 200));
    assert_eq!(assert_contract("GET", &get(gateway.admin, "/nope")), "ROUTE_NOT_FOUND");
    let response = send(gateway.admin, "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(assert_contract("POST", &response), "METHOD_NOT_ALLOWED");
    let response = send(gateway.admin, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert_eq!((response.status, assert_contract("GET", &response)), (421, "MISDIRECTED_REQUEST".into()));
    // From the data port it is not to be had, whatever the Host says.
    let response = send(gateway.address, format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.admin));
    assert!(response.text().starts_with("GET /metrics"), "the backend's own page");
}

#[test]
fn the_log_keeps_what_tells_of_a_long_error() {
    let frames: String =
        (0..300).map(|n| format!("  File \"/usr/lib/python3/site-packages/x/base.py\", line {n}, in inner\n    go()\n")).collect();
    let body = format!("Traceback (most recent call last):\n{frames}ledger.Error: postgres://shop:Secret99@db/x refused account 4711");
    let origin = || Origin::says(format!("HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let original = |log: &str| {
        let gateway = GatewayUnderTest::in_front_of(origin().address, log);
        let response = get(gateway.address, "/");
        assert_contract("GET", &response);
        gateway.log_line(&[response.header("x-request-id").unwrap()])["original"].as_str().map(str::to_owned)
    };
    for log in ["", "[log]\noriginal_max = \"512B\"\n"] {
        let kept = original(log).unwrap();
        assert!(kept.contains("refused account 4711") && !kept.contains("Secret99"), "{kept}");
        assert!(kept.len() <= if log.is_empty() { 8192 } else { 512 }, "{}", kept.len());
    }
    assert_eq!(original("[log]\noriginal_max = \"off\"\n"), None);
}
