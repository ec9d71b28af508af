//! Tests how requests and responses are forwarded: headers, bodies, connections.

use std::io::{Read, Write};

use crate::harness::contract::assert_contract;
use crate::harness::wait::PATIENCE;
use crate::harness::{Client, GatewayUnderTest, Origin, get, send};

/// The request as the upstream saw it.
fn seen(gateway: &GatewayUnderTest, request: &str) -> String {
    let response = send(gateway.address, request);
    assert_eq!(response.status, 200, "{response:?}");
    response.text().to_ascii_lowercase()
}

#[test]
fn the_gateway_adds_identity_and_removes_hop_by_hop() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let text = seen(
        &gateway,
        "GET /a?b=%2F HTTP/1.1\r\nHost: shop\r\nConnection: keep-alive, X-Hop, x-request-id\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy: evil\r\nTE: gzip\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: x\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Request-Id: spoofed\r\nAccept: */*\r\n\r\n",
    );
    assert!(text.starts_with("get /a?b=%2f http/1.1"), "{text}");
    for present in [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: shop",
        "via: 1.1 lockgate-",
        "traceparent: 00-",
        "x-request-id: ",
        "accept: */*",
    ] {
        assert!(text.contains(present), "{present} in {text}");
    }
    for absent in ["x-hop", "keep-alive", "proxy: evil", "te: ", "upgrade", "http2-settings", "6.6.6.6", "spoofed"] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
    assert!(text.contains("\nhost: shop\r"), "{text}");
}

#[test]
fn trusted_peers_may_speak_for_others() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\ntrusted_proxies = [\"127.0.0.0/8\"]\n");
    let response = send(
        gateway.address,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine-1\r\n\r\n",
    );
    assert!(
        response.text().contains("198.51.100.7, 127.0.0.1") && response.text().to_ascii_lowercase().contains("x-forwarded-proto: https"),
        "{}",
        response.text()
    );
    assert_eq!(response.header("x-request-id"), Some("mine-1"));
    assert_eq!(gateway.log_line(&["mine-1"])["client"], "198.51.100.7");
}

#[test]
fn answers_lose_banners_and_gain_an_id() {
    let origin = Origin::says(
        "HTTP/1.1 200 Fine leak-me\r\nServer: Apache\r\nX-Powered-By: PHP\r\nX-Request-Id: theirs\r\nX-Useful: 1\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = get(gateway.address, "/");
    assert_eq!((response.status, response.reason.as_str(), response.header("x-useful")), (200, "OK", Some("1")));
    assert!(response.header("server").is_none() && response.header("x-powered-by").is_none());
    assert_ne!(response.header("x-request-id"), Some("theirs"));
    assert_eq!(response.all("x-request-id").len(), 1);
}

#[test]
fn operators_edit_headers() {
    let origin = Origin::echo();
    let edits = "[defaults]\nrequest_headers = { set = { X-Team = \"shop\" }, remove = [\"X-Secret\"] }\nresponse_headers = { set = { Strict-Transport-Security = \"max-age=1\" }, remove = [\"X-Useless\"] }\n";
    let gateway = GatewayUnderTest::in_front_of(origin.address, edits);
    let response = send(gateway.address, "GET / HTTP/1.1\r\nHost: a\r\nX-Secret: 1\r\n\r\n");
    let text = response.text().to_ascii_lowercase();
    assert!(text.contains("x-team: shop") && !text.contains("x-secret"), "{text}");
    assert_eq!(response.header("strict-transport-security"), Some("max-age=1"));
    let missing = GatewayUnderTest::start(&format!(
        "{edits}[backends.o]\nendpoints=[\"http://{}\"]\n[[routes]]\npath=\"/x\"\nbackend=\"o\"\n",
        origin.address
    ));
    let response = get(missing.address, "/y");
    assert_eq!(assert_contract("GET", &response), "ROUTE_NOT_FOUND");
    assert_eq!(response.header("strict-transport-security"), Some("max-age=1"), "errors carry them too");
}

#[test]
fn bodies_stream_both_ways_whatever_their_framing() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let body = "x".repeat(300_000);
    let response = send(gateway.address, format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert!(response.text().ends_with(&body), "{}", response.status);
    let response = send(
        gateway.address,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n",
    );
    assert!(response.text().ends_with("hello world"), "{}", response.text());
    assert!(!response.text().contains("ext=1"));
    gateway.wait_for_metric("lockgate_request_bytes_total 300011");
}

#[test]
fn a_success_is_never_held_back() {
    // The second half is sent only after the client has read the first.
    let (told, tell) = std::sync::mpsc::channel::<()>();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::start(move |c| {
        c.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        tell.lock().unwrap().recv().unwrap();
        c.say("again");
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"first") {
        let mut piece = [0; 1024];
        let read = client.stream.read(&mut piece).unwrap();
        bytes.extend_from_slice(&piece[..read]);
    }
    told.send(()).unwrap();
    let mut rest = [0; 5];
    client.stream.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"again");
}

#[test]
fn a_slow_reader_slows_the_upstream_down() {
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&sent);
    let origin = Origin::start(move |c| {
        c.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while c.write([b'x'; 65536]) {
            count.fetch_add(65536, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\nwrite_timeout = \"600ms\"\n");
    let mut client = Client::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // Reads nothing: the write clock ends it, and until then only the kernel's buffers were filled.
    let line = gateway.log_line(&["CLIENT_CLOSED"]);
    assert_eq!((line["code"].as_str(), line["status"].as_u64()), (Some("CLIENT_CLOSED"), Some(200)), "{line}");
    assert!(sent.load(std::sync::atomic::Ordering::SeqCst) < 50_000_000);
}

#[test]
fn connections_are_reused_and_bounded() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    for n in 0..50 {
        client.write(format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.response("GET").status, 200);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_error_leaves_the_upstream_connection_usable() {
    let origin = Origin::start(|c| {
        loop {
            c.write("HTTP/1.1 500 X\r\nContent-Length: 7\r\n\r\nleak-me");
            if !c.next_head() {
                return;
            }
        }
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    for _ in 0..20 {
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_contract("GET", &client.response("GET"));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn expect_continue_is_answered_once_and_only_when_the_body_is_wanted() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[defaults]\nrequest_body_limit = \"10B\"\n");
    let mut client = Client::connect(gateway.address);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.response("POST").status, 100);
    client.write("hello");
    let response = client.response("POST");
    assert!(response.text().ends_with("hello") && !response.text().to_ascii_lowercase().contains("expect"), "{}", response.text());
    client.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n");
    let response = client.response("POST");
    assert_eq!((response.status, assert_contract("POST", &response)), (413, "PAYLOAD_TOO_LARGE".into()));
}

#[test]
fn bodies_over_the_limit_are_413_also_when_chunked() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[defaults]\nrequest_body_limit = \"10B\"\n");
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n",
    ] {
        let response = send(gateway.address, request);
        assert_eq!((response.status, assert_contract("POST", &response)), (413, "PAYLOAD_TOO_LARGE".into()), "{request}");
    }
}

#[test]
fn an_upstream_that_answers_before_the_body_is_heard() {
    let origin = Origin::start(|c| c.say("HTTP/1.1 403 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[defaults]\nbuffer_request = \"off\"\n");
    let mut client = Client::connect(gateway.address);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin");
    let response = client.response("POST");
    assert_eq!((response.status, assert_contract("POST", &response)), (403, "FORBIDDEN".into()));
}

#[test]
fn an_early_answer_is_heard_also_when_the_upstream_closes_behind_it() {
    let origin = Origin::start(|c| {
        c.write("HTTP/1.1 413 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for _ in 0..20 {
        let mut client = Client::connect(gateway.address);
        client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n");
        client.write(vec![b'x'; 2_000_000]);
        let response = client.response("POST");
        assert_eq!((response.status, assert_contract("POST", &response)), (413, "PAYLOAD_TOO_LARGE".into()));
    }
}

#[test]
fn a_client_that_leaves_is_499_and_frees_the_upstream() {
    let (gone, left) = std::sync::mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let origin = Origin::start(move |c| {
        c.hang();
        gone.lock().unwrap().send(()).unwrap();
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    client.write("GET /left HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    drop(client);
    left.recv_timeout(PATIENCE).expect("the upstream connection ends with the client");
    assert_eq!(gateway.log_line(&["/left"])["status"], 499);
    gateway.wait_for_metric("lockgate_requests_total{route=\"all\",backend=\"o\",code=\"499\",reason=\"client_closed\"} 1");
}

#[test]
fn ntlm_connections_are_never_shared() {
    let origin = Origin::start(|c| {
        loop {
            let text = format!("connection {} saw {:?}", c.number, c.header("authorization"));
            let challenge = if c.header("authorization").is_none() { "" } else { "X-Auth: 1\r\n" };
            c.write(format!("HTTP/1.1 200 OK\r\n{challenge}Content-Length: {}\r\n\r\n{text}", text.len()));
            if !c.next_head() {
                return;
            }
        }
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let ask = |client: &mut Client, auth: &str| {
        client.write(format!("GET / HTTP/1.1\r\nHost: a\r\n{auth}\r\n"));
        client.response("GET").text().split_whitespace().nth(1).unwrap().to_owned()
    };
    let (mut alice, mut bob) = (Client::connect(gateway.address), Client::connect(gateway.address));
    let private = ask(&mut alice, "Authorization: NTLM abc\r\n");
    assert_ne!(ask(&mut bob, ""), private, "another client must not get an authenticated connection");
    assert_eq!(ask(&mut alice, ""), private, "the handshake goes on over the same connection");
    assert_ne!(ask(&mut bob, ""), private);
}

#[test]
fn a_loop_is_detected() {
    // The gateway's own address as its backend: a second visit names this instance in Via.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = listener.local_addr().unwrap();
    let gateway = GatewayUnderTest::in_front_of(relay, "");
    let target = gateway.address;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut back = std::net::TcpStream::connect(target).unwrap();
                let (mut from, mut to) = (stream.try_clone().unwrap(), back.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let _ = std::io::copy(&mut back, &mut { stream });
            });
        }
    });
    let response = get(gateway.address, "/");
    assert_eq!((response.status, response.code().as_str()), (502, "UPSTREAM_ERROR"));
    assert_eq!(gateway.log_line(&["LOOP_DETECTED"])["status"], 502);
}

#[test]
fn a_half_closed_client_has_left() {
    let origin = Origin::start(|c| c.hang());
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    client.write("GET /half HTTP/1.1\r\nHost: a\r\n\r\n");
    client.stream.flush().unwrap();
    origin.wait_for_requests(1);
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.is_closed());
    assert_eq!(gateway.log_line(&["/half"])["status"], 499);
}

/// A pipelined request waits, and the body of the answer before it looks like an answer of a parser that refuses: it is a body.
#[test]
fn a_body_that_looks_like_an_answer_is_a_body() {
    const TRICK: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::start(move |c| {
        loop {
            if c.head.starts_with("GET /first") {
                c.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nbegin", 5 + TRICK.len()));
                let _ = wait.lock().unwrap().recv();
                c.write(TRICK);
            } else {
                c.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
            }
            if !c.next_head() {
                return;
            }
        }
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    client.write("GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n");
    client.wait_for("begin");
    go_on.send(()).unwrap();
    assert_eq!(client.response("GET").text(), format!("begin{TRICK}"));
    assert_eq!(client.response("GET").text(), "second");
}

/// CGI, WSGI and PHP read `X_Auth_User` and `X.Auth.User` as `X-Auth-User`.
#[test]
fn twins_of_a_header_that_the_operator_edits_do_not_pass() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(
        origin.address,
        "[defaults]\nrequest_headers = { set = { \"X-Auth-User\" = \"gw\", \"x_odd\" = \"own\" }, remove = [\"X-Drop\"] }\n",
    );
    let twins = [
        "X_Auth_User",
        "X.Auth.User",
        "x-auth_user",
        "X_Drop",
        "X-Odd",
        "X.Forwarded.For",
        "X_Forwarded_For",
        "Content_Length",
        "X!Request~Id",
    ];
    let lines: String = twins.iter().map(|name| format!("{name}: 6.6.6.6\r\n")).collect();
    let response = send(gateway.address, format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}X_Other: kept\r\nConnection: close\r\n\r\n"));
    let text = response.text().to_ascii_lowercase();
    assert!(
        !text.contains("6.6.6.6") && text.contains("x-auth-user: gw") && text.contains("x_odd: own") && text.contains("x_other: kept"),
        "{text}"
    );
}

#[test]
fn the_prefix_that_was_removed_is_told() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::start(&format!(
        "[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n[backends.o]\nendpoints = [\"http://{}\"]\n\
         [[routes]]\npath = \"/orders/*\"\nbackend = \"o\"\nstrip_prefix = \"/orders\"\n",
        origin.address
    ));
    let told = |more: &str| {
        let response = send(gateway.address, format!("GET /orders/7 HTTP/1.1\r\nHost: a\r\n{more}Connection: close\r\n\r\n"));
        response.text().lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("x-forwarded-prefix: ").map(str::to_owned))
    };
    assert_eq!(told("").as_deref(), Some("/orders"));
    assert_eq!(told("X-Forwarded-Prefix: /shop/\r\n").as_deref(), Some("/shop/orders"));
}

#[test]
fn what_an_upstream_says_of_hosts_inside_does_not_pass() {
    for header in [
        "Location: http://10.0.0.5:8080/admin",
        "Content-Location: http://db.internal/x",
        "Refresh: 0; url=http://10.0.0.5/",
        "Link: <http://10.0.0.5/x>; rel=up",
        "X-Accel-Redirect: /protected/10.0.0.5",
        "X-Sendfile: /srv/10.0.0.5/file",
        "Alt-Svc: h2=\"10.0.0.5:443\"",
    ] {
        let origin = Origin::says(format!("HTTP/1.1 302 X\r\n{header}\r\nContent-Length: 0\r\nX-Other: kept\r\n\r\n"));
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        let response = send(gateway.address, "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
        assert!(response.status == 302 && response.header("x-other").is_some(), "{header}");
        let shown = response.everything();
        assert!(!shown.contains("10.0.0.5") && !shown.contains("db.internal"), "{header}: {shown}");
    }
}

#[test]
fn a_426_says_to_what() {
    let origin = Origin::says("HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = get(gateway.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (426, "UPGRADE_REQUIRED".into()));
    assert_eq!(response.header("upgrade"), Some("websocket"));
}

/// RFC 9110 9.3.1 and 9.3.2 allow content in any request: what is framed is forwarded, and what is framed wrongly is refused.
#[test]
fn content_is_forwarded_whatever_the_method() {
    let origin = Origin::start(|c| {
        let body = c.body();
        c.say(format!("HTTP/1.1 200 OK\r\nX-Seen: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", body.len()));
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
        let ask = |framed: &str| {
            let mut client = Client::connect(gateway.address);
            client.write(format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{framed}"));
            client.response(method)
        };
        let long = format!("{:x}\r\n{}\r\n", 50_000, "x".repeat(50_000)).repeat(3);
        for (framed, length) in [
            ("Content-Length: 5\r\n\r\nhello".to_owned(), "5"),
            ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned(), "5"),
            (format!("Transfer-Encoding: chunked\r\n\r\n{long}0\r\n\r\n"), "150000"),
        ] {
            let response = ask(&framed);
            assert_eq!((response.status, response.header("x-seen")), (200, Some(length)), "{method}");
        }
        let response = ask("Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n");
        assert_eq!(response.status, 400, "{method}");
        if method != "HEAD" {
            assert_eq!(assert_contract(method, &response), "BAD_REQUEST");
        }
    }
}

#[test]
fn a_field_of_a_response_with_a_blank_before_its_colon_is_repaired() {
    let origin = Origin::says("HTTP/1.1 200 OK\r\nX-Odd : 1\r\nContent-Length: 2\r\n\r\nok");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = get(gateway.address, "/");
    assert_eq!((response.status, response.header("x-odd"), response.text().as_str()), (200, Some("1"), "ok"));
}

#[test]
fn an_absolute_target_may_name_the_port_that_the_host_leaves_out() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let status = |target: &str, host: &str| {
        send(gateway.address, format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).status
    };
    assert_eq!(status("http://shop.example:80/x", "shop.example"), 200);
    assert_eq!(status("http://shop.example:81/x", "shop.example"), 400);
    assert_eq!((status("/x", "h,evil"), status("/x", ",")), (400, 400));
}
