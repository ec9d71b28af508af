//! Tests the PROXY header of trusted proxies: who is taken for the client, and what happens without a valid header.

use std::io::Write;

use crate::harness::{Client, GatewayUnderTest, Origin, PATIENCE, get};

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x07\x7f\0\0\x01\x30\x39\0\x50";

fn gateway(origin: &Origin, trusted: &str) -> GatewayUnderTest {
    let listen = format!("[listen]\nproxy_protocol = true\ntrusted_proxies = [\"{trusted}\"]\nheader_timeout = \"1s\"\n");
    GatewayUnderTest::in_front_of(origin.address, &listen)
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn the_header_names_the_client() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "127.0.0.0/8");
    for (header, client) in
        [(b"PROXY TCP4 192.0.2.7 127.0.0.1 5 80\r\n".as_slice(), "192.0.2.7"), (V2, "198.51.100.7"), (b"PROXY UNKNOWN\r\n", "127.0.0.1")]
    {
        let mut connection = Client::connect(gateway.address);
        connection.write([header, REQUEST.as_bytes()].concat());
        let seen = connection.response("GET").text();
        assert!(seen.contains(&format!("x-forwarded-for: {client}")), "{seen}");
        gateway.log_line(&[&format!("\"client\":\"{client}\"")]);
    }
    // The client itself is not trusted, though its proxy is.
    let mut connection = Client::connect(gateway.address);
    connection.write([V2, b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n"].concat());
    let seen = connection.response("GET").text();
    assert!(seen.contains("x-forwarded-for: 198.51.100.7\n") || seen.contains("x-forwarded-for: 198.51.100.7\r\n"), "{seen}");
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "127.0.0.0/8");
    let mut connection = Client::connect(gateway.address);
    connection.stream.set_nodelay(true).unwrap();
    for byte in V2 {
        connection.write([*byte]);
    }
    connection.write(REQUEST);
    assert!(connection.response("GET").text().contains("x-forwarded-for: 198.51.100.7"));
}

#[test]
fn without_a_valid_header_a_connection_is_closed() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "127.0.0.0/8");
    // A wrong byte at each place of the part that is fixed, nothing at all, and a plain request.
    let mut wrong: Vec<Vec<u8>> = (0..14).map(|at| [&V2[..at], &[V2[at] ^ 0x40], &V2[at + 1..]].concat()).collect();
    wrong.extend([b"".to_vec(), REQUEST.as_bytes().to_vec(), b"PROXY TCP4 1.2.3.4 1.2.3.4 5\r\n".to_vec()]);
    for bytes in &wrong {
        let mut connection = Client::connect(gateway.address);
        connection.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = connection.stream.write_all(bytes);
        assert!(connection.is_closed(), "{bytes:?}");
    }
    gateway.wait_for_metric(&format!("lockgate_proxy_header_failures_total {}", wrong.len()));
    assert!(origin.requests().is_empty());
}

#[test]
fn a_stranger_cannot_name_another_client() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "203.0.113.0/24");
    // It needs no header, and one that it sends is no request.
    assert_eq!(get(gateway.address, "/").status, 200);
    let mut connection = Client::connect(gateway.address);
    connection.write([b"PROXY TCP4 192.0.2.7 127.0.0.1 5 80\r\n", REQUEST.as_bytes()].concat());
    assert_eq!(connection.response("GET").status, 400);
    let mut connection = Client::connect(gateway.address);
    connection.write([V2, REQUEST.as_bytes()].concat());
    assert_eq!(connection.response("GET").status, 400);
}

#[test]
fn a_switch_without_effect_is_an_error() {
    let text = "[listen]\nproxy_protocol = true\n[backends.o]\nendpoints = [\"http://a\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n";
    let problems = lockgate::plan::compile::from_text(text, &|_| None).unwrap_err();
    assert!(problems[0].title.contains("has no effect without `trusted_proxies`"), "{problems:?}");
}
