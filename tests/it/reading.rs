//! Tests which parts of an upstream error reach the client, and which are removed.

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, Response, get, send};

fn says(status: u16, content_type: &str, body: &str) -> Origin {
    Origin::says(format!("HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

fn asked(origin: &Origin, accept: &str, more: &str) -> Response {
    let gateway = GatewayUnderTest::in_front_of(origin.address, more);
    send(gateway.address, format!("GET / HTTP/1.1\r\nHost: a\r\n{accept}\r\n"))
}

#[test]
fn a_client_error_keeps_message_code_and_fields() {
    let body = r#"{"message":"The order is not valid.","code":"ORDER_INVALID","errors":[{"field":"items[0].qty","message":"must be at least 1"}]}"#;
    let response = asked(&says(422, "application/json", body), "", "");
    assert_eq!((response.status, assert_contract("GET", &response)), (422, "ORDER_INVALID".into()));
    let error = &response.json()["error"];
    assert_eq!(error["message"], "The order is not valid.");
    assert_eq!(error["details"]["fields"]["items[0].qty"][0], "must be at least 1");
    assert_eq!(response.header("content-language"), None, "the upstream's words have a language nobody told us");
}

#[test]
fn the_same_error_as_a_problem() {
    let body = r#"{"type":"https://errors.example.com/invalid","title":"Invalid","detail":"The order is not valid.","errors":{"email":["must be an email"]}}"#;
    let response = asked(&says(400, "application/problem+json", body), "Accept: application/problem+json\r\n", "");
    assert_contract("GET", &response);
    let problem = response.json();
    assert_eq!(problem["type"], "https://errors.example.com/invalid");
    assert_eq!(problem["errors"][0], serde_json::json!({ "detail": "must be an email", "pointer": "#/email" }));
    assert_eq!(problem["instance"], format!("urn:uuid:{}", response.header("x-request-id").unwrap()));
}

#[test]
fn dirty_client_errors_are_told_in_the_catalogues_words() {
    for body in [
        r#"{"message":"SELECT * FROM users failed at com.acme.OrderDao.find(OrderDao.java:3)"}"#,
        "File \"/srv/app/main.py\", line 3, in index",
        r#"{"code":"com.acme.orders.LockedException","trace":"at com.acme.OrderDao.find(OrderDao.java:3)"}"#,
        r#"{"errors":[{"field":"email","message":"duplicate key value violates unique constraint at db.corp.internal"}]}"#,
    ] {
        let response = asked(&says(409, "application/json", body), "", "");
        assert_eq!((response.status, assert_contract("GET", &response)), (409, "CONFLICT".into()), "{body}");
    }
}

#[test]
fn an_envelope_is_never_nested() {
    let body = r#"{"error":{"code":"ORDER_LOCKED","message":"The order is locked."},"statusCode":423,"requestId":"theirs","timestamp":"x","method":"GET","path":"/x"}"#;
    let response = asked(&says(423, "application/json", body), "", "");
    assert_eq!(assert_contract("GET", &response), "ORDER_LOCKED");
    assert_eq!(response.json()["error"]["message"], "The order is locked.");
    assert!(!response.text().contains("theirs"));
}

#[test]
fn headers_that_help_survive_and_headers_that_leak_do_not() {
    let origin = Origin::says(
        "HTTP/1.1 401 X\r\nWWW-Authenticate: Bearer realm=\"shop\"\r\nX-Ratelimit-Remaining: 3\r\nX-Team: shop\r\nX-Cause: at com.acme.OrderDao.find(OrderDao.java:3)\r\nETag: \"1\"\r\nContent-Length: 0\r\n\r\n",
    );
    let response = asked(&origin, "", "");
    assert_eq!(assert_contract("GET", &response), "UNAUTHORIZED");
    assert_eq!(response.header("www-authenticate"), Some("Bearer realm=\"shop\""));
    assert_eq!((response.header("x-ratelimit-remaining"), response.header("x-team")), (Some("3"), Some("shop")));
    assert_eq!((response.header("etag"), response.header("x-cause")), (None, None));
}

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

#[test]
fn a_browser_keeps_a_page_that_a_person_wrote() {
    let page = "<!doctype html><title>Sign in to the shop</title><h1>Sign in</h1><form method=post><input name=user></form>";
    let origin = says(401, "text/html; charset=utf-8", page);
    let response = asked(&origin, BROWSER, "");
    assert_eq!((response.status, response.text().as_str()), (401, page));
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(response.header("x-request-id").is_some());
    assert_eq!(assert_contract("GET", &asked(&origin, "Accept: application/json\r\n", "")), "UNAUTHORIZED");
}

#[test]
fn a_browser_gets_our_page_instead_of_a_frameworks_or_a_leaking_one() {
    for page in [
        "<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>",
        "<html><title>Oops, sorry</title><pre>at com.acme.OrderDao.find(OrderDao.java:3)</pre></html>",
    ] {
        let response = asked(&says(404, "text/html", page), BROWSER, "");
        assert_contract("GET", &response);
        assert!(response.text().contains("<main>"), "{}", response.text());
    }
}

#[test]
fn pages_and_documents_tell_their_sentence() {
    for (content_type, body, code, message) in [
        ("text/html", "<title>Error 409</title><h1>Conflict</h1><p>Order 5 is already paid.</p>", "CONFLICT", "Order 5 is already paid."),
        (
            "application/xml",
            "<Error><Code>OrderPaid</Code><Message>Order 5 is already paid.</Message></Error>",
            "OrderPaid",
            "Order 5 is already paid.",
        ),
        (
            "text/xml",
            "<f:Fault xmlns:f=\"x\"><faultcode>f:Client.Paid</faultcode><faultstring>Order 5 is already paid.</faultstring></f:Fault>",
            "Client.Paid",
            "Order 5 is already paid.",
        ),
    ] {
        let response = asked(&says(409, content_type, body), "", "");
        assert_eq!((response.status, assert_contract("GET", &response)), (409, code.to_owned()), "{body}");
        assert_eq!(response.json()["error"]["message"], message, "{body}");
    }
}

#[test]
fn legacy_charsets_are_read() {
    // "재고가 부족합니다." in EUC-KR, once declared and once not.
    let words = b"\xc0\xe7\xb0\xed\xb0\xa1 \xba\xce\xc1\xb7\xc7\xd5\xb4\xcf\xb4\xd9.";
    for content_type in ["text/plain; charset=euc-kr", "text/plain"] {
        let mut bytes = format!("HTTP/1.1 409 X\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n", words.len()).into_bytes();
        bytes.extend_from_slice(words);
        let response = asked(&Origin::says(bytes), "", "");
        assert_contract("GET", &response);
        assert_eq!(response.json()["error"]["message"], "재고가 부족합니다.", "{content_type}");
    }
}

#[test]
fn compressed_errors_are_read_and_sent_plain() {
    use std::io::Write;
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    coder.write_all(br#"{"message":"The order is locked."}"#).unwrap();
    let body = coder.finish().unwrap();
    let mut bytes =
        format!("HTTP/1.1 409 X\r\nContent-Encoding: gzip\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    bytes.extend(body);
    let response = asked(&Origin::says(bytes), "", "");
    assert_contract("GET", &response);
    assert_eq!(response.json()["error"]["message"], "The order is locked.");
}

#[test]
fn what_is_no_text_is_left_alone() {
    for (content_type, body, message) in [
        (
            "multipart/mixed; boundary=x",
            "--x\r\nContent-Type: text/plain\r\n\r\nThe order is locked.\r\n--x--\r\n",
            "The request conflicts with the current state.",
        ),
        ("image/png", "The order is locked.", "The request conflicts with the current state."),
        ("application/octet-stream", r#"{"message":"The order is locked."}"#, "The order is locked."),
    ] {
        let response = asked(&says(409, content_type, body), "", "");
        assert_contract("GET", &response);
        assert_eq!(response.json()["error"]["message"], message, "{content_type}");
    }
}

#[test]
fn policies_of_a_route_are_kept() {
    let pass = asked(&says(404, "text/plain", "gone fishing"), "", "[defaults]\nclient_errors = \"pass\"\n");
    assert_eq!((pass.status, pass.text().as_str()), (404, "gone fishing"));
    assert!(pass.header("x-request-id").is_some());
    let limited = asked(&says(429, "text/plain", ""), "", "[errors]\nupstream_429 = \"unavailable\"\n");
    assert_eq!((limited.status, assert_contract("GET", &limited)), (503, "UPSTREAM_RATE_LIMITED".into()));
    let edge = asked(&says(500, "text/plain", ""), "", "[errors]\nedge_safe = true\n");
    assert_eq!((edge.status, assert_contract("GET", &edge)), (503, "UPSTREAM_ERROR".into()));
    let quiet = asked(&says(500, "text/plain", ""), "", "[errors]\nproxy_status = false\n");
    assert_eq!(quiet.header("proxy-status"), None);
    let fixed = asked(&says(500, "text/plain", ""), BROWSER, "[errors]\nnegotiate = false\nformat = \"flat\"\n");
    assert_eq!((fixed.header("content-type"), fixed.json()["error"].as_str()), (Some("application/json"), Some("Bad Gateway")));
}

#[test]
fn development_shows_what_production_hides() {
    let body = r#"{"message":"boom at com.acme.OrderDao","exception":"java.lang.IllegalStateException","trace":"at com.acme.OrderDao.find(OrderDao.java:3)"}"#;
    let origin = Origin::says(format!(
        "HTTP/1.1 500 X\r\nServer: Jetty\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let gateway = GatewayUnderTest::start(&format!(
        "mode = \"development\"\n[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        origin.address
    ));
    let json = crate::harness::get(gateway.address, "/").json();
    assert_eq!(json["error"]["message"], "boom at com.acme.OrderDao");
    assert_eq!(json["debug"]["upstreamStatus"], 500);
    assert_eq!(json["debug"]["exception"], "java.lang.IllegalStateException");
    assert!(json["debug"]["stack"].as_str().unwrap().contains("OrderDao.java:3"));
    assert_eq!(json["debug"]["backend"], "o");
}

#[test]
fn errors_inside_a_success_become_errors_where_a_route_asks() {
    let opt_in = "[errors]\nerrors_in_success = [\"graphql\", \"jsonrpc\", \"success-flag\", \"soap\"]\n";
    let response = asked(
        &says(200, "application/json", r#"{"success":false,"code":"ORDER_NOT_FOUND","message":"There is no such order."}"#),
        "",
        opt_in,
    );
    assert_eq!((response.status, assert_contract("GET", &response)), (404, "ORDER_NOT_FOUND".into()));
    let fine = asked(&says(200, "application/json", r#"{"success":true,"n":1}"#), "", opt_in);
    assert_eq!((fine.status, fine.text().as_str()), (200, r#"{"success":true,"n":1}"#));
    let untouched = asked(&says(200, "application/json", r#"{"success":false}"#), "", "");
    assert_eq!(untouched.status, 200);
    let cut = Origin::says("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{\"success\":");
    let response = asked(&cut, "", opt_in);
    assert_eq!((response.status, assert_contract("GET", &response)), (502, "UPSTREAM_CONNECTION_LOST".into()));
}

/// What is said of a body's coding may be wrong: the body is read as it stands, and nothing is lost.
#[test]
fn a_coding_that_cannot_be_undone_loses_nothing() {
    const BODY: &str = r#"{"message":"no such order","code":"E7"}"#;
    for coding in ["gzip", "deflate", "br", "zstd", "UTF-8", "none", "7bit", "binary", "aws-chunked"] {
        let says = |status: &str, body: &str| {
            let text = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            Origin::says(text)
        };
        let gateway = GatewayUnderTest::in_front_of(says("404", BODY).address, "");
        let response = get(gateway.address, "/");
        assert_eq!((response.status, assert_contract("GET", &response)), (404, "E7".into()), "{coding}");
        assert_eq!(response.json()["error"]["message"], "no such order", "{coding}");
        let gateway = GatewayUnderTest::in_front_of(says("500", "boom: cannot reach ledger, job 4711").address, "");
        assert_contract("GET", &get(gateway.address, "/"));
        gateway.log_line(&["cannot reach ledger, job 4711"]);
        let gateway = GatewayUnderTest::in_front_of(says("200", r#"{"id":7}"#).address, "leak_guard = true\n");
        let response = get(gateway.address, "/");
        assert_eq!((response.status, response.text().as_str(), response.header("content-encoding")), (200, r#"{"id":7}"#, Some(coding)));
    }
    // Bytes that nobody can read: the log has them all the same, and a guarded route does not pass them as clean.
    let origin = |status: &str| {
        Origin::says(
            [
                format!("HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nContent-Encoding: compress\r\nContent-Length: 9\r\n\r\n")
                    .as_bytes(),
                b"\x1f\x9dab\x01\xffcd\x02",
            ]
            .concat(),
        )
    };
    let gateway = GatewayUnderTest::in_front_of(origin("500").address, "");
    assert_contract("GET", &get(gateway.address, "/"));
    let line = gateway.log_line(&["\"original\""]);
    assert!(line.to_string().contains("ab"), "{line}");
    let gateway = GatewayUnderTest::in_front_of(origin("200").address, "leak_guard = true\n");
    assert_eq!(get(gateway.address, "/").status, 502);
}
