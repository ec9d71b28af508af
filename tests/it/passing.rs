//! Tests what an operator keeps of an upstream's errors: whole responses (`pass`), members (`keep_fields`), or everything for a while
//! (`dry_run`).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, Response, get, send};

const TRACE: &str = "Traceback (most recent call last):\n  File \"/srv/app/orders.py\", line 7, in find\nKeyError: 'leak-me'";

fn says(status: u16, headers: &str, body: &str) -> Origin {
    Origin::says(format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
}

fn json(status: u16, body: &str) -> Origin {
    says(status, "Content-Type: application/json\r\n", body)
}

/// A gateway whose only route has these keys.
fn with(origin: &Origin, keys: &str, more: &str) -> GatewayUnderTest {
    GatewayUnderTest::start(&format!(
        "{more}\n[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\n{keys}\n",
        origin.address
    ))
}

fn asked(origin: &Origin, keys: &str) -> Response {
    get(with(origin, keys, "").address, "/")
}

#[test]
fn listed_statuses_pass_and_others_do_not() {
    let keys = "pass = [503, \"4xx\", \"505-506\"]\nallow_leaks = true";
    for (status, passes) in
        [(400, true), (404, true), (429, true), (499, true), (503, true), (505, true), (506, true), (500, false), (502, false)]
    {
        let response = asked(&says(status, "X-Own: 1\r\n", "as it is"), keys);
        if passes {
            assert_eq!((response.status, response.text().as_str(), response.header("x-own")), (status, "as it is", Some("1")));
            assert!(response.header("x-request-id").is_some() && response.header("cache-control").is_none(), "{response:?}");
        } else {
            assert_contract("GET", &response);
        }
    }
    // Beside the keys that speak of all 4xx or 5xx.
    let both = "pass = [503]\nclient_errors = \"pass\"\nallow_leaks = true";
    assert_eq!((asked(&says(404, "", "x"), both).text(), asked(&says(503, "", "x"), both).text()), ("x".into(), "x".into()));
    assert_contract("GET", &asked(&says(500, "", "x"), both));
}

#[test]
fn a_list_replaces_the_list_of_the_backend_and_of_the_defaults() {
    let origin = says(409, "", "as it is");
    let gateway = GatewayUnderTest::start(&format!(
        "[defaults]\npass = [409]\n[backends.o]\nendpoints = [\"http://{0}\"]\n[backends.p]\nendpoints = [\"http://{0}\"]\npass = [410]\n\
         [[routes]]\npath = \"/a\"\nbackend = \"o\"\n[[routes]]\npath = \"/b\"\nbackend = \"p\"\n[[routes]]\npath = \"/c\"\nbackend = \"o\"\npass = []\n",
        origin.address
    ));
    assert_eq!(get(gateway.address, "/a").text(), "as it is");
    for path in ["/b", "/c"] {
        assert_contract("GET", &get(gateway.address, path));
    }
}

const BODY: &str = r#"{"message":"Not enough funds.","code":"NO_FUNDS","balance":30.10,"items":[{"sku":"A-7","left":0,"why":"/srv/app/stock.py"}],"id":12345678901234567890123,"query":"SELECT * FROM users WHERE id = 1","password":"hunter2","stack":["at com.acme.OrderDao.find(OrderDao.java:3)"],"host":"x"}"#;

#[test]
fn named_members_of_a_client_error_are_kept_where_they_are_clean() {
    let origin = json(402, BODY);
    let keys = "keep_fields = [\"balance\", \"items\", \"query\", \"id\", \"missing\"]";
    let kept = r#""upstream":{"balance":30.10,"items":[{"sku":"A-7","left":0}],"id":12345678901234567890123}"#;
    for (format, pointer) in [("envelope", "/error/details/upstream"), ("flat", "/details/upstream"), ("problem", "/upstream")] {
        let response = asked(&origin, &format!("{keys}\nerrors = {{ format = \"{format}\" }}"));
        assert_eq!((response.status, assert_contract("GET", &response)), (402, "NO_FUNDS".into()));
        assert!(response.text().contains(kept), "{}", response.text());
        assert_eq!(response.json().pointer(pointer).unwrap()["items"][0]["sku"], "A-7", "{format}");
    }
    let template = "errors = { format = \"template\", template = '{\"u\":{{upstream}},\"id\":{{requestId}}}' }";
    assert_eq!(asked(&origin, &format!("{keys}\n{template}")).json()["u"]["items"][0]["left"], 0);
    assert!(asked(&json(402, "{}"), &format!("{keys}\n{template}")).json()["u"].is_null());
    assert!(!asked(&origin, "").text().contains("upstream"));
}

#[test]
fn all_is_every_member_that_is_clean_and_not_told_already() {
    let response = asked(&json(402, BODY), "keep_fields = \"all\"");
    assert_contract("GET", &response);
    let kept = r#""details":{"upstream":{"balance":30.10,"items":[{"sku":"A-7","left":0}],"id":12345678901234567890123}}"#;
    assert!(response.text().contains(kept), "{}", response.text());
    let nested = json(409, r#"{"error":{"code":"SOLD_OUT","message":"It is sold out.","items":["A"]},"requestId":"x"}"#);
    assert_eq!(asked(&nested, "keep_fields = \"all\"").json()["error"]["details"]["upstream"], serde_json::json!({ "items": ["A"] }));
}

#[test]
fn what_is_kept_is_bounded_and_never_of_a_server_error() {
    let items: Vec<String> = (0..40).map(|at| format!("\"part{at}\":\"{}\"", "x".repeat(500))).collect();
    let response = asked(&json(409, &format!("{{\"message\":\"Too much.\",{}}}", items.join(","))), "keep_fields = \"all\"");
    assert_contract("GET", &response);
    let kept = response.json()["error"]["details"]["upstream"].to_string();
    assert!(kept.len() <= 8 * 1024 && kept.contains("part14"), "{} bytes", kept.len());
    for (status, body) in [(500, BODY), (409, "not JSON"), (409, "[1]"), (409, "{\"balance\":1")] {
        let response = asked(&json(status, body), "keep_fields = \"all\"");
        assert_contract("GET", &response);
        assert!(!response.text().contains("upstream\""), "{status} {body}: {}", response.text());
    }
    // An error inside of a success is one of the client as well.
    let rule = "errors = { errors_in_success = [{ pointer = \"/failed\", status = { \"*\" = 409 } }] }";
    let inside = asked(&json(200, r#"{"failed":true,"message":"Sold out.","items":["A"]}"#), &format!("keep_fields = [\"items\"]\n{rule}"));
    assert_contract("GET", &inside);
    assert_eq!((inside.status, inside.json()["error"]["details"]["upstream"]["items"][0].as_str()), (409, Some("A")));
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_it_would() {
    let origin = says(500, "Server: gunicorn\r\nX-Debug-Token: t\r\nContent-Type: text/plain\r\n", TRACE);
    let gateway = with(&origin, "dry_run = true", "");
    let response = get(gateway.address, "/orders");
    assert_eq!((response.status, response.text().as_str()), (500, TRACE));
    assert_eq!((response.header("server"), response.header("x-debug-token")), (Some("gunicorn"), Some("t")));
    let line = gateway.log_line(&[response.header("x-request-id").unwrap()]);
    let told = &line["dryRun"];
    assert_eq!((told["status"].as_u64(), told["code"].as_str()), (Some(502), Some("UPSTREAM_ERROR")), "{line}");
    assert_eq!(told["message"], "The service has a problem. Please try again later.");
    assert!(told["redactions"]["trace"].as_u64() >= Some(1), "{line}");
    assert_eq!((line["status"].as_u64(), line["received"].as_u64(), line["code"].as_str()), (Some(500), Some(500), Some("UPSTREAM_ERROR")));
    assert!(line["original"].as_str().unwrap().contains("KeyError"), "{line}");
    gateway.wait_for_metric("lockgate_dry_run_total{route=\"all\",backend=\"o\",code=\"502\",reason=\"upstream_response\"} 1");
    gateway.wait_for_metric("lockgate_requests_total{route=\"all\",backend=\"o\",code=\"500\",reason=\"upstream_response\"} 1");
}

#[test]
fn a_dry_run_passes_whatever_the_body_is() {
    let big = "x".repeat(300_000);
    let chunked = Origin::says(
        "HTTP/1.1 409 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1b\r\n{\"message\":\"It is locked.\"}\r\n0\r\n\r\n",
    );
    for (name, origin, length, message) in [
        ("large", says(404, "Content-Type: text/plain\r\n", &big), 300_000, "This was not found."),
        ("empty", says(403, "", ""), 0, "You are not allowed to do this."),
        ("chunked", chunked, 27, "It is locked."),
    ] {
        let gateway = with(&origin, "dry_run = true", "");
        let response = get(gateway.address, "/");
        assert!(response.complete && response.body.len() == length, "{name}: {} bytes", response.body.len());
        let line = gateway.log_line(&[response.header("x-request-id").unwrap()]);
        assert_eq!(line["dryRun"]["message"], message, "{name}: {line}");
        let head = send(gateway.address, "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!((head.status, head.body.len()), (response.status, 0), "{name}");
    }
    // An error inside of a success, and a page that would pass anyway.
    let failed = json(200, r#"{"success":false,"message":"Order 7 is locked."}"#);
    let gateway = with(&failed, "dry_run = true\nerrors = { errors_in_success = [\"success-flag\"] }", "");
    let response = get(gateway.address, "/");
    assert_eq!((response.status, response.text().as_str()), (200, r#"{"success":false,"message":"Order 7 is locked."}"#));
    assert!(gateway.log_line(&[response.header("x-request-id").unwrap()])["dryRun"]["status"].as_u64() >= Some(400));
    let page = says(404, "Content-Type: text/html\r\n", "<!doctype html><title>Shop</title><h1>Oh no</h1><p>This page is gone, sorry.</p>");
    let gateway = with(&page, "dry_run = true", "");
    let response = send(gateway.address, "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
    let line = gateway.log_line(&[response.header("x-request-id").unwrap()]);
    assert_eq!((line["dryRun"]["status"].as_u64(), line["dryRun"].get("code")), (Some(404), None), "{line}");
}

#[test]
fn failures_of_the_gateway_are_told_in_a_dry_run_too() {
    let refused = GatewayUnderTest::in_front_of("127.0.0.1:1".parse().unwrap(), "dry_run = true\n");
    assert_eq!(assert_contract("GET", &get(refused.address, "/")), "UPSTREAM_UNREACHABLE");
    let silent = Origin::start(|conversation| conversation.hang());
    let late = asked(&silent, "dry_run = true\nresponse_timeout = \"100ms\"");
    assert_eq!((late.status, assert_contract("GET", &late)), (504, "UPSTREAM_TIMEOUT".into()));
    let cut = Origin::says("HTTP/1.1 500 X\r\nContent-Length: 500\r\n\r\nat com.acme.OrderDao");
    let response = asked(&cut, "dry_run = true");
    assert_eq!((response.status, assert_contract("GET", &response)), (502, "UPSTREAM_CONNECTION_LOST".into()));
}

#[test]
fn a_body_that_takes_its_time_passes_in_a_dry_run() {
    let (client_has_the_first_part, first_part) = mpsc::channel::<()>();
    let first_part = Mutex::new(first_part);
    let origin = Origin::start(move |conversation| {
        conversation.write("HTTP/1.1 500 X\r\nContent-Length: 10\r\n\r\nfirst");
        first_part.lock().unwrap().recv().unwrap();
        conversation.say("later");
    });
    let gateway = with(&origin, "dry_run = true\nresponse_timeout = \"100ms\"", "");
    let mut client = TcpStream::connect(gateway.address).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = Vec::new();
    let mut piece = [0; 4096];
    while !response.windows(5).any(|part| part == b"first") {
        let read = client.read(&mut piece).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&response));
        response.extend_from_slice(&piece[..read]);
    }
    client_has_the_first_part.send(()).unwrap();
    client.read_to_end(&mut response).unwrap();
    let text = String::from_utf8_lossy(&response);
    assert!(text.starts_with("HTTP/1.1 500 ") && text.ends_with("5\r\nfirst\r\n5\r\nlater\r\n0\r\n\r\n"), "{text}");
}

#[test]
fn a_dry_run_in_production_is_a_warning() {
    const REST: &str = "[backends.o]\nendpoints = [\"http://127.0.0.1:9\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\ndry_run = true\n";
    let warnings = |mode: &str| lockgate::plan::compile::from_text(&format!("{mode}{REST}"), &|_| None).unwrap().warnings;
    let told = warnings("");
    assert!(told.len() == 1 && told[0].title.contains("no leak is removed") && told[0].span.is_some(), "{told:?}");
    assert!(warnings("mode = \"development\"\n").is_empty());
}

#[test]
fn keys_that_cannot_be_meant_are_errors() {
    const REST: &str = "[backends.o]\nendpoints = [\"http://127.0.0.1:9\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n";
    for (keys, words) in [
        ("pass = [503]", "`pass` with a 5xx would show upstream internals"),
        ("pass = [\"5xx\"]", "allow_leaks = true"),
        ("pass = [200]", "statuses of errors"),
        ("pass = [\"E1042\"]", "statuses of errors"),
        ("pass = [true]", "statuses of errors"),
        ("pass = \"4xx\"", "must be a list"),
        ("keep_fields = \"some\"", "expected \\\"all\\\""),
        ("keep_fields = [\"\"]", "1 to 128 bytes"),
        ("pass = [\"4xx\"]\nkeep_fields = [\"a\"]", "no effect where every 4xx passes"),
        ("client_errors = \"pass\"\nkeep_fields = \"all\"", "no effect where every 4xx passes"),
        ("dry_run = \"yes\"", "must be true or false"),
    ] {
        let problems = lockgate::plan::compile::from_text(&format!("{REST}{keys}\n"), &|_| None).map(|_| ()).expect_err(keys);
        let told = format!("{problems:?}");
        assert!(told.contains(words), "{keys}: {told}");
    }
    assert!(lockgate::plan::compile::from_text(&format!("{REST}pass = [409, \"4xx\"]\nkeep_fields = []\n"), &|_| None).is_ok());
}
