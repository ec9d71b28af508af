//! Tests `leak_guard`, which removes internals from successful responses.

use std::io::Write;

use crate::harness::contract::{MARKERS, assert_contract};
use crate::harness::{GatewayUnderTest, Origin, Response, get};

const TRACE: &str = "Warning: mysqli_connect(): refused in /srv/app/db.php on line 12\nStack trace:\n#0 /srv/app/index.php(3): connect('hunter2')\n#1 {main}\n";

fn origin(content_type: &str, more: &str, body: &[u8]) -> Origin {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{more}Content-Length: {}\r\n\r\n", body.len());
    Origin::says([head.as_bytes(), body].concat())
}

fn guarded(origin: &Origin) -> (GatewayUnderTest, Response) {
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\nleak_guard = true\n",
        origin.address
    ));
    let response = get(gateway.address, "/");
    (gateway, response)
}

fn assert_clean(response: &Response) {
    for marker in MARKERS {
        assert!(!response.everything().contains(marker), "{marker} in {}", response.everything());
    }
}

#[test]
fn a_small_page_keeps_all_but_the_trace() {
    let page = format!("<html><body><h1>Orders</h1>\n<pre>{TRACE}</pre><p>3 orders</p></body></html>");
    let (gateway, response) =
        guarded(&origin("text/html", "X-Cause: at com.acme.OrderDao.find(OrderDao.java:3)\r\nETag: \"1\"\r\n", page.as_bytes()));
    assert_clean(&response);
    assert!(response.status == 200 && response.complete && response.text().contains("<p>3 orders</p>"), "{response:?}");
    assert_eq!(
        (response.header("content-length").map(str::to_owned), response.header("etag")),
        (Some(response.body.len().to_string()), None)
    );
    gateway.wait_for_metric("lockgate_masked_responses_total{route=\"all\",backend=\"o\"} 1");
}

#[test]
fn json_stays_json() {
    let body = serde_json::json!({ "orders": [1, 2], "debug": { "trace": TRACE } }).to_string();
    let (_gateway, response) = guarded(&origin("application/json", "", body.as_bytes()));
    assert_clean(&response);
    assert_eq!(response.json()["orders"], serde_json::json!([1, 2]));
}

#[test]
fn a_long_body_streams_and_keeps_its_length() {
    let line = "order;7;19.90;shipped\n".repeat(20_000);
    let body = format!("{line}{TRACE}{line}");
    let (_gateway, response) = guarded(&origin("text/csv", "", body.as_bytes()));
    assert_clean(&response);
    assert!(response.complete && response.body.len() == body.len(), "{} of {}", response.body.len(), body.len());
    assert!(response.text().starts_with("order;7;19.90;shipped\n") && response.text().ends_with("order;7;19.90;shipped\n"));
}

#[test]
fn a_coded_body_is_looked_through_too() {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    coder.write_all(format!("3 orders\n{TRACE}").as_bytes()).unwrap();
    let (_gateway, response) = guarded(&origin("text/plain", "Content-Encoding: gzip\r\n", &coder.finish().unwrap()));
    assert_clean(&response);
    assert_eq!((response.status, response.header("content-encoding")), (200, None));
    assert!(response.text().contains("3 orders"));
    let (_gateway, broken) = guarded(&origin("text/plain", "Content-Encoding: gzip\r\n", b"\x1f\x8b\x08\x00 this is \x00 no gzip"));
    assert_eq!((broken.status, assert_contract("GET", &broken)), (502, "UPSTREAM_ERROR".into()));
}

#[test]
fn what_is_clean_or_no_text_passes_untouched() {
    for (content_type, body) in [
        ("text/plain", "See /usr/bin/env and the NullPointerException of chapter 3.".as_bytes()),
        ("application/json", br#"{"a":  [1, 2],"b":"x"}"#),
        ("image/png", b"\x89PNG at com.acme.X.y(X.java:1) at com.acme.X.y(X.java:2)"),
    ] {
        let (_gateway, response) = guarded(&origin(content_type, "ETag: \"1\"\r\n", body));
        assert_eq!((response.status, response.body.as_slice(), response.header("etag")), (200, body, Some("\"1\"")), "{content_type}");
    }
}

#[test]
fn a_guarded_route_asks_for_plain_bodies_and_others_do_not_change_the_question() {
    let echo = Origin::echo();
    let (_gateway, response) = guarded(&echo);
    assert!(response.text().to_ascii_lowercase().contains("accept-encoding: identity"), "{}", response.text());
    let open = origin("text/plain", "", TRACE.as_bytes());
    let gateway = GatewayUnderTest::in_front_of(open.address, "");
    assert_eq!(get(gateway.address, "/").text(), TRACE, "a route that is not guarded passes what it gets");
}
