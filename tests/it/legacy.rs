//! Tests what applications behind a proxy need without a key: the host, the scheme, the port and the address that the client used; and that
//! nothing they say of their own address reaches the client.

use std::io::Read as _;

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, Response, get, send};

/// The head that the backend got for a request with these header lines.
fn head(origin: &Origin, more: &str, lines: &str) -> Vec<String> {
    let gateway = GatewayUnderTest::in_front_of(origin.address, more);
    let before = origin.requests().len();
    send(gateway.address, format!("GET /login HTTP/1.1\r\n{lines}Connection: close\r\n\r\n"));
    origin.requests()[before].lines().map(str::to_ascii_lowercase).collect()
}

fn has(head: &[String], line: &str) -> bool {
    head.iter().any(|known| known == line)
}

#[test]
fn the_host_of_the_client_goes_through_to_http_endpoints() {
    let origin = Origin::echo();
    let lines = "Host: shop.example:8080\r\n";
    let got = head(&origin, "", lines);
    for line in [
        "host: shop.example:8080",
        "x-forwarded-host: shop.example:8080",
        "x-forwarded-proto: http",
        "x-forwarded-port: 8080",
        "x-forwarded-for: 127.0.0.1",
        "x-real-ip: 127.0.0.1",
    ] {
        assert!(has(&got, line), "{line} in {got:#?}");
    }
    assert!(has(&head(&origin, "", "Host: shop.example\r\n"), "x-forwarded-port: 80"));
    let own = format!("host: {}", origin.address);
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\nhost_header = \"upstream\"\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        origin.address
    ));
    assert!(get(gateway.address, "/").text().to_ascii_lowercase().contains(&own));
}

#[test]
fn a_trusted_balancer_tells_scheme_port_and_address() {
    let origin = Origin::echo();
    let trusted = "[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let got = head(&origin, trusted, "Host: shop.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.9\r\n");
    for line in ["x-forwarded-proto: https", "x-forwarded-port: 443", "x-real-ip: 203.0.113.9", "x-forwarded-for: 203.0.113.9, 127.0.0.1"] {
        assert!(has(&got, line), "{line} in {got:#?}");
    }
    let told = head(&origin, trusted, "Host: shop.example\r\nX-Forwarded-Port: 8443\r\nX-Real-IP: 203.0.113.8\r\n");
    assert!(has(&told, "x-forwarded-port: 8443") && has(&told, "x-real-ip: 203.0.113.8"));
}

#[test]
fn strangers_cannot_tell_an_address() {
    let origin = Origin::echo();
    let names = [
        "Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Cluster-Client-IP",
        "X-Client-IP",
        "X-Real-IP",
        "X_Real_IP",
        "X-Forwarded-Port",
    ];
    let lines: String = names.iter().map(|name| format!("{name}: 6.6.6.6\r\n")).collect();
    let got = head(&origin, "", &format!("Host: a\r\n{lines}"));
    assert!(!got.iter().any(|line| line.contains("6.6.6.6")), "{got:#?}");
}

/// A response of a backend that names its own address in these header lines and this body.
fn response(status: &str, lines: &str, body: &str) -> Response {
    let (status, lines, body) = (status.to_owned(), lines.to_owned(), body.to_owned());
    let origin = Origin::start(move |c| {
        let own = c.stream.local_addr().unwrap().to_string();
        let (lines, body) = (lines.replace("OWN", &own), body.replace("OWN", &own));
        c.say(format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len()));
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    send(gateway.address, "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
}

#[test]
fn no_response_header_names_the_endpoint() {
    let lines = "Host: OWN\r\nX-Served-From: OWN\r\nX-Where: http://OWN/x\r\nX-Build: 1.2.3\r\nX-Time: 12:30\r\n";
    let got = response("200 OK", lines, "fine");
    assert_eq!(got.text(), "fine");
    for name in ["host", "x-served-from", "x-where"] {
        assert_eq!(got.header(name), None, "{name}");
    }
    assert_eq!((got.header("x-build"), got.header("x-time")), (Some("1.2.3"), Some("12:30")));
}

#[test]
fn no_page_of_a_redirect_names_the_endpoint() {
    let lines = "Location: http://OWN/login\r\nContent-Type: text/html\r\n";
    let got = response("302 Found", lines, "<a href=\"http://OWN/login\">here</a>");
    assert_eq!((got.status, got.header("location"), got.text().as_str()), (302, Some("/login"), ""));
    assert_eq!((got.header("content-type"), got.header("content-length")), (None, Some("0")));
    let clean = response("302 Found", lines, "<a href=\"/login\">here</a>");
    assert_eq!((clean.text().as_str(), clean.header("content-type")), ("<a href=\"/login\">here</a>", Some("text/html")));
    let apache = "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\"><a href=\"/login\">here</a>";
    assert_eq!(response("302 Found", lines, apache).text(), apache);
    let cached = response("301 Moved Permanently", &format!("{lines}Cache-Control: no-store\r\n"), "http://OWN/x");
    assert_eq!((cached.text().as_str(), cached.header("cache-control")), ("", Some("no-store")));
    assert_eq!(response("302 Found", &format!("{lines}Content-Encoding: gzip\r\n"), "xyz").text(), "");
}

#[test]
fn raw_bytes_of_a_query_reach_the_backend_as_they_came() {
    let origin = Origin::start_on_connect(|c| {
        // The bytes are no text.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if !c.stream.read(&mut byte).is_ok_and(|read| read == 1) {
                return;
            }
            head.push(byte[0]);
        }
        let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
        c.write([format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", line.len()).as_bytes(), line].concat());
    });
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{0}\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n\
         [[routes]]\npath = \"/app/*\"\nbackend = \"o\"\nstrip_prefix = \"/app\"\nadd_prefix = \"/v2\"\n",
        origin.address
    ));
    let line = |target: &[u8]| {
        let response = send(gateway.address, [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"].concat());
        assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(target));
        response.body
    };
    for query in [&b"q=\xed\x95\x9c"[..], b"q=\xc7\xd1\xb1\xdb", b"a=\"b\"", b"x=^`<y>|{z}"] {
        assert_eq!(line(&[b"/search?", query].concat()), [b"GET /search?", query, b" HTTP/1.1"].concat());
        assert_eq!(line(&[b"/app/x?", query].concat()), [b"GET /v2/x?", query, b" HTTP/1.1"].concat());
    }
}

#[test]
fn a_refused_target_names_its_byte_and_its_path() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\nstrict_target = true\n");
    for (target, told) in [("/a<b", "`<`"), ("/a?q=\"x\"", "`\"`"), ("/a?b#c", "`#`")] {
        let response = send(gateway.address, format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((response.status, assert_contract("GET", &response)), (400, "BAD_REQUEST".into()), "{target}");
        let line = gateway.log_line(&[response.header("x-request-id").unwrap()]);
        assert!(line["cause"].as_str().unwrap().contains(told), "{line}");
        assert!(line["path"].as_str().unwrap().starts_with("/a"), "{line}");
    }
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_redirect_does_not_wait_for_a_page_that_stalls() {
    let origin = Origin::start(|c| {
        c.write("HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 100\r\n\r\nabc");
        c.hang();
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[defaults]\nidle_timeout = \"off\"\nresponse_timeout = \"off\"\n");
    let response = send(gateway.address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!((response.status, response.header("location"), response.body.len()), (302, Some("/next"), 0));
}

#[test]
fn the_destination_of_webdav_is_what_the_backend_calls_it() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}/files\"]\n[[routes]]\npath = \"/dav/*\"\nstrip_prefix = \"/dav\"\nbackend = \"o\"\n\
         [[routes]]\npath = \"/dav/private/*\"\nstrip_prefix = \"/dav\"\nbackend = \"o\"\n",
        origin.address
    ));
    let send = |method: &str, destination: &str| {
        let before = origin.requests().len();
        let response = send(
            gateway.address,
            format!("{method} /dav/a HTTP/1.1\r\nHost: shop.example\r\nDestination: {destination}\r\nConnection: close\r\n\r\n"),
        );
        let head: Option<String> = origin.requests().get(before).cloned();
        (response, head.unwrap_or_default().to_ascii_lowercase())
    };
    for own in ["http://shop.example/dav/b%20c", "https://shop.example/dav/b%20c", "/dav/b%20c"] {
        let (_, head) = send("MOVE", own);
        assert!(head.starts_with("move /files/a http/1.1\r\n") && head.contains("\r\ndestination: /files/b%20c\r\n"), "{own}: {head}");
    }
    let (_, head) = send("COPY", "http://other.example/dav/b");
    assert!(head.contains("\r\ndestination: http://other.example/dav/b\r\n"), "{head}");
    let (_, head) = send("PUT", "http://shop.example/dav/b");
    assert!(head.contains("\r\ndestination: http://shop.example/dav/b\r\n"), "{head}");
    let others =
        ["http://shop.example/private/b", "/dav/private/b", "https://shop.example/dav/private", "/dav//private/b", "/dav/x/../private/b"];
    for refused in others.into_iter().chain(["/dav/b\r\nDestination: /dav/c"]) {
        let (response, head) = send("MOVE", refused);
        assert_eq!(assert_contract("MOVE", &response), "BAD_REQUEST", "{refused}");
        assert_eq!(head, "", "{refused}");
    }
}
