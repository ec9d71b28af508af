//! Tests statements of `docs/robustness.md` that belong to no other file: spoofing, ways to the admin listener, forms of a leak.

use std::io::Write as _;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::harness::contract::assert_contract;
use crate::harness::wait::{PATIENCE, in_time};
use crate::harness::{Client, GatewayUnderTest, Origin, get, send};

const TRACE: &str =
    "Traceback (most recent call last):\n  File \"/srv/app/main.py\", line 3, in run\n    connect('hunter2')\nKeyError: 'leak-me'\n";

#[test]
fn an_upstream_cannot_speak_for_the_gateway() {
    for status in ["200 OK", "404 X", "500 X"] {
        let origin = Origin::says(format!(
            "HTTP/1.1 {status}\r\nX-Request-Id: theirs\r\nX_Request_Id: theirs\r\nProxy-Status: theirs\r\nRateLimit: theirs\r\n\
             RateLimit-Policy: theirs\r\nConnection: X-Request-Id, RateLimit\r\nContent-Length: 0\r\n\r\n"
        ));
        let gateway = GatewayUnderTest::start(&format!(
            "[backends.o]\nendpoints = [\"http://{}\"]\n[limits.each]\nrate = \"9/h\"\n\
             [[routes]]\npath = \"/*\"\nbackend = \"o\"\nlimits = [\"each\"]\nrate_limit_headers = true\n",
            origin.address
        ));
        let response = get(gateway.address, "/");
        assert!(!response.everything().contains("theirs"), "{response:?}");
        for name in ["x-request-id", "ratelimit", "ratelimit-policy"] {
            assert_eq!(response.all(name).len(), 1, "{name}: {response:?}");
        }
    }
}

/// The upstream of a challenge authenticates the connection: another client must not get it.
#[test]
fn a_connection_with_a_challenge_is_never_shared() {
    for scheme in ["NTLM", "Negotiate"] {
        let origin = Origin::start(move |c| {
            loop {
                c.write(format!("HTTP/1.1 401 X\r\nWWW-Authenticate: {scheme}\r\nX-On: {}\r\nContent-Length: 0\r\n\r\n", c.number));
                if !c.next_head() {
                    return;
                }
            }
        });
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        let mut clients = [Client::connect(gateway.address), Client::connect(gateway.address)];
        let seen: Vec<Option<String>> = (0..4)
            .map(|turn| {
                clients[turn % 2].write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                clients[turn % 2].response("GET").header("x-on").map(str::to_owned)
            })
            .collect();
        assert!(seen.iter().all(Option::is_some) && seen[0] != seen[1] && seen[1] != seen[2] && seen[2] != seen[3], "{scheme}: {seen:?}");
    }
}

#[tokio::test]
async fn no_name_leads_from_the_data_listener_to_the_admin_listener() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for name in [gateway.admin.to_string(), format!("localhost:{}", gateway.admin.port())] {
        for target in ["/metrics".to_owned(), format!("http://{name}/metrics")] {
            let response = send(gateway.address, format!("GET {target} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"));
            assert!(response.text().starts_with("GET /metrics "), "{target}: {response:?}");
        }
        let stream = TokioIo::new(tokio::net::TcpStream::connect(gateway.address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get(format!("http://{name}/metrics")).body(Empty::<Bytes>::new()).unwrap();
        let response = in_time("the head of the response", sender.send_request(request)).await.unwrap();
        let body = in_time("the body of the response", response.into_body().collect()).await.unwrap().to_bytes();
        assert!(body.starts_with(b"GET /metrics "), "{name}: {body:?}");
    }
}

/// An error with this body, in pieces.
fn fails_with(status: u16, more: &'static str, body: Vec<u8>) -> Origin {
    Origin::start(move |c| {
        c.write(format!("HTTP/1.1 {status} X\r\n{more}\r\nContent-Length: {}\r\n\r\n", body.len()));
        for piece in body.chunks(1 + body.len() / 40) {
            c.write(piece);
        }
        c.say("");
    })
}

#[test]
fn no_form_of_a_trace_reaches_a_client() {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    coder.write_all(TRACE.as_bytes()).unwrap();
    let coded = coder.finish().unwrap();
    let cut = coded[..coded.len() - 12].to_vec();
    let attribute = format!("<p title=\"{}\">Sorry</p>", TRACE.replace('\n', "&#10;").replace('"', "&quot;"));
    let surrogate = format!(r#"{{"note":"\ud800","message":{}}}"#, serde_json::json!(TRACE));
    for (more, body) in [
        ("Content-Type: text/plain\r\nContent-Encoding: gzip", coded),
        ("Content-Type: text/plain\r\nContent-Encoding: gzip", cut),
        ("Content-Type: text/plain\r\nContent-Encoding: gzip", TRACE.into()),
        ("Content-Type: text/plain; charset=utf-16le", TRACE.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("Content-Type: text/plain; charset=utf-16", TRACE.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ("Content-Type: text/plain; charset=x-unknown", TRACE.into()),
        ("Content-Type: application/json", TRACE.into()),
        ("Content-Type: image/png", TRACE.into()),
        ("Content-Type: text/plain", format!("{}\n{TRACE}", "All is well here.\n".repeat(5_000)).into()),
        ("Content-Type: text/html", attribute.into()),
        ("Content-Type: application/json", surrogate.into()),
        ("Content-Type: application/json", serde_json::json!({ TRACE: "bad", "message": "A word." }).to_string().into()),
    ] {
        for status in [404, 500] {
            let origin = fails_with(status, more, body.clone());
            let gateway = GatewayUnderTest::in_front_of(origin.address, "");
            assert_contract("GET", &get(gateway.address, "/"));
        }
    }
}

/// The text in each coding, the last two without compression.
fn coded(text: &str) -> [(&'static str, Vec<u8>); 4] {
    let fast = flate2::Compression::fast();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), fast);
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), fast);
    gzip.write_all(text.as_bytes()).unwrap();
    deflate.write_all(text.as_bytes()).unwrap();
    let length = u32::from(u8::try_from(text.len()).unwrap());
    // RFC 7932 9.2: a window of 16 bits, one meta-block without compression, an empty last one.
    let br = [&((length - 1) << 4 | 1 << 20).to_le_bytes()[..3], text.as_bytes(), &[3]].concat();
    // RFC 8878 3.1.1: one segment, one raw block.
    let zstd = [b"\x28\xb5\x2f\xfd\x20", &length.to_le_bytes()[..1], &(length << 3 | 1).to_le_bytes()[..3], text.as_bytes()].concat();
    [("gzip", gzip.finish().unwrap()), ("deflate", deflate.finish().unwrap()), ("br", br), ("zstd", zstd)]
}

#[test]
fn every_content_coding_is_read_and_hides_nothing() {
    for (text, shown) in [("{\"message\":\"The order is locked.\"}", true), (TRACE, false)] {
        for (coding, body) in coded(text) {
            let head = format!("HTTP/1.1 409 X\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", body.len());
            let gateway = GatewayUnderTest::in_front_of(Origin::says([head.as_bytes(), &body].concat()).address, "");
            let response = get(gateway.address, "/");
            assert_contract("GET", &response);
            assert_eq!(response.text().contains("The order is locked."), shown, "{coding}: {response:?}");
        }
    }
}

#[test]
fn an_endless_error_gets_its_envelope_and_loses_its_connection() {
    let (gone, left) = std::sync::mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let origin = Origin::start(move |c| {
        c.write("HTTP/1.1 500 X\r\nContent-Type: text/plain\r\n\r\n");
        while c.write(TRACE.repeat(100)) {}
        gone.lock().unwrap().send(()).unwrap();
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = get(gateway.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (502, "UPSTREAM_ERROR".into()));
    left.recv_timeout(PATIENCE).expect("the upstream connection ends");
}

#[test]
fn a_crowd_of_slow_clients_keeps_nobody_waiting() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut crowd: Vec<Client> = (0..200).map(|_| Client::connect(gateway.address)).collect();
    for (at, client) in crowd.iter_mut().enumerate() {
        client.write(["", "GET /slow HTTP/1.1\r\nHo", "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"][at % 3]);
    }
    for _ in 0..50 {
        assert_eq!(get(gateway.address, "/victim").status, 200);
    }
    assert!(origin.requests().iter().all(|head| head.starts_with("GET /victim ")));
}
