//! Tests faults of upstreams, each on a real socket, and the catalog row of the error response.

use crate::harness::contract::assert_contract;
use crate::harness::{Client, GatewayUnderTest, Origin, get, send};

const CLOCKS: &str = "[defaults]\nresponse_timeout = \"2s\"\nconnect_timeout = \"2s\"\nidle_timeout = \"2s\"\n";

/// Asks once and returns status, code and `Proxy-Status`.
fn fault(origin: &Origin) -> (u16, String, String) {
    let gateway = GatewayUnderTest::in_front_of(origin.address, CLOCKS);
    let response = get(gateway.address, "/orders?token=hunter2");
    let code = assert_contract("GET", &response);
    let line = gateway.log_line(&[response.header("x-request-id").unwrap()]);
    assert_eq!(line["status"], response.status, "{line}");
    assert_eq!(line["path"], "/orders", "{line}");
    (response.status, code, response.header("proxy-status").unwrap_or_default().to_owned())
}

fn expect(origin: &Origin, status: u16, code: &str, proxy_status: &str) {
    assert_eq!(fault(origin), (status, code.to_owned(), format!("lockgate; {proxy_status}")));
}

fn says(bytes: impl Into<Vec<u8>>) -> Origin {
    Origin::says(bytes)
}

#[test]
fn refused() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = GatewayUnderTest::in_front_of(nobody, "");
    let response = get(gateway.address, "/");
    assert_eq!(assert_contract("GET", &response), "UPSTREAM_UNREACHABLE");
    assert_eq!((response.status, response.header("proxy-status")), (502, Some("lockgate; error=connection_refused")));
}

#[test]
fn unknown_name() {
    let gateway = GatewayUnderTest::start(
        "[backends.o]\nendpoints = [\"http://does-not-exist.invalid\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
    );
    let response = get(gateway.address, "/");
    assert_eq!(assert_contract("GET", &response), "UPSTREAM_UNREACHABLE");
    assert_eq!(response.header("proxy-status"), Some("lockgate; error=dns_error"));
}

#[test]
fn full_backlog_is_a_connect_timeout() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // The queue of a listener that never accepts: connections beyond it get no answer to their SYN.
    let filler: Vec<_> = (0..4)
        .map(|_| {
            let filler = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            filler.set_nonblocking(true).unwrap();
            let _ = filler.connect(&address.into());
            filler
        })
        .collect();
    let gateway = GatewayUnderTest::in_front_of(address, CLOCKS);
    let response = get(gateway.address, "/");
    assert_eq!(assert_contract("GET", &response), "UPSTREAM_TIMEOUT");
    assert_eq!((response.status, response.header("proxy-status")), (504, Some("lockgate; error=connection_timeout")));
    drop(filler);
}

#[test]
fn closes_before_the_head() {
    expect(&Origin::start(|c| c.say("")), 502, "UPSTREAM_CONNECTION_LOST", "error=connection_terminated");
}

#[test]
fn resets_at_once() {
    expect(&Origin::start(|c| c.reset()), 502, "UPSTREAM_CONNECTION_LOST", "error=connection_terminated");
}

#[test]
fn never_answers() {
    expect(&Origin::start(|c| c.hang()), 504, "UPSTREAM_TIMEOUT", "error=connection_read_timeout");
}

#[test]
fn half_a_status_line_and_silence() {
    expect(
        &Origin::start(|c| {
            c.write("HTTP/1.1 20");
            c.hang()
        }),
        504,
        "UPSTREAM_TIMEOUT",
        "error=connection_read_timeout",
    );
}

#[test]
fn drips_headers_for_ever() {
    let origin = Origin::start(|c| {
        c.write("HTTP/1.1 200 OK\r\n");
        for n in 0.. {
            if !c.write(format!("X-{n}: leak-me\r\n")) {
                return;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    });
    expect(&origin, 504, "UPSTREAM_TIMEOUT", "error=connection_read_timeout");
}

#[test]
fn closes_within_the_head() {
    expect(&says("HTTP/1.1 200 OK\r\nContent-Le"), 502, "UPSTREAM_CONNECTION_LOST", "error=http_response_incomplete");
}

#[test]
fn malformed_heads() {
    for head in [
        "garbage leak-me\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\x15\x03\x01\x00\x02\x02\x46",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 999 High\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nNo colon leak-me\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded leak-me\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "<html>an HTTP/0.9 answer</html>",
    ] {
        expect(&says(head), 502, "UPSTREAM_PROTOCOL_ERROR", "error=http_protocol_error");
    }
}

#[test]
fn codings_and_chunks_that_cannot_be_read() {
    for (head, body) in [
        ("gzip", "x"),
        ("gzip, chunked", "0\r\n\r\n"),
        ("identity", "x"),
        ("chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("chunked", "ZZ\r\nleak-me"),
    ] {
        let origin = says(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {head}\r\n\r\n{body}"));
        expect(&origin, 502, "UPSTREAM_PROTOCOL_ERROR", "error=http_response_transfer_coding");
    }
    expect(&says("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc"), 502, "UPSTREAM_PROTOCOL_ERROR", "error=http_protocol_error");
}

#[test]
fn headers_that_are_too_large() {
    let one = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(70_000));
    expect(&says(one), 502, "UPSTREAM_PROTOCOL_ERROR", "error=http_response_header_size");
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(2_000_000));
    expect(&says(endless), 502, "UPSTREAM_PROTOCOL_ERROR", "error=http_response_header_section_size");
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: a\r\n".repeat(5_000));
    expect(&says(many), 502, "UPSTREAM_PROTOCOL_ERROR", "error=http_response_header_section_size");
}

#[test]
fn three_hundred_cookies_pass() {
    let origin = says(format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", "Set-Cookie: a=b\r\n".repeat(300)));
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = get(gateway.address, "/");
    assert_eq!((response.status, response.all("set-cookie").len()), (200, 300));
}

#[test]
fn five_thousand_interim_responses_are_skipped() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n".repeat(5_000);
    let origin = says(format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    assert_eq!(get(gateway.address, "/").text(), "ok");
}

#[test]
fn server_errors_are_rewritten_whole() {
    for (sent, got, code) in [
        (500, 502, "UPSTREAM_ERROR"),
        (501, 502, "UPSTREAM_ERROR"),
        (502, 502, "UPSTREAM_ERROR"),
        (503, 503, "UPSTREAM_UNAVAILABLE"),
        (504, 504, "UPSTREAM_TIMEOUT"),
        (505, 502, "UPSTREAM_ERROR"),
        (511, 502, "UPSTREAM_ERROR"),
        (599, 502, "UPSTREAM_ERROR"),
    ] {
        let body = "{\"message\":\"at com.acme.OrderDao.find(OrderDao.java:3)\",\"trace\":\"SELECT * FROM users\"}";
        let origin = says(format!(
            "HTTP/1.1 {sent} KeyError: leak-me at /srv/app\r\nServer: com.acme/1\r\nX-Debug-Token: leak-me\r\nX-Cause: hunter2\r\nSet-Cookie: a=b\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        expect(&origin, got, code, &format!("received-status={sent}"));
    }
}

#[test]
fn a_cut_or_endless_error_body_still_gives_a_clean_envelope() {
    expect(&says("HTTP/1.1 500 X\r\nContent-Length: 9000\r\n\r\nat com.acme"), 502, "UPSTREAM_ERROR", "received-status=500");
    expect(&says("HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n9000\r\nat com.acme"), 502, "UPSTREAM_ERROR", "received-status=500");
    expect(&says("HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nat com.acme"), 502, "UPSTREAM_ERROR", "received-status=500");
    let endless = Origin::start(|c| {
        c.write("HTTP/1.1 500 X\r\nContent-Type: text/plain\r\n\r\n");
        while c.write("at com.acme.OrderDao.find(OrderDao.java:3)\n".repeat(1_000)) {}
    });
    expect(&endless, 502, "UPSTREAM_ERROR", "received-status=500");
    let drip = Origin::start(|c| {
        c.write("HTTP/1.1 500 X\r\nContent-Length: 100000\r\n\r\n");
        while c.write("x") {
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    });
    expect(&drip, 502, "UPSTREAM_ERROR", "received-status=500");
    expect(
        &Origin::start(|c| {
            c.write("HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\nat");
            c.hang()
        }),
        502,
        "UPSTREAM_ERROR",
        "received-status=500",
    );
    expect(
        &Origin::start(|c| {
            c.write("HTTP/1.1 404 X\r\nContent-Length: 9\r\n\r\nat");
            c.reset()
        }),
        404,
        "NOT_FOUND",
        "received-status=404",
    );
}

#[test]
fn the_original_is_in_the_log_masked_and_bounded() {
    let body = format!("Traceback (most recent call last): password=hunter2 {}", "x".repeat(50_000));
    let origin = says(format!("HTTP/1.1 500 X\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = get(gateway.address, "/");
    assert_contract("GET", &response);
    let line = gateway.log_line(&[response.header("x-request-id").unwrap()]);
    let original = line["original"].as_str().unwrap();
    assert!(original.starts_with("Traceback") && !original.contains("hunter2") && original.len() <= 4_200, "{original}");
    assert_eq!(line["truncated"], true);
    assert_eq!(line["received"], 500);
}

#[test]
fn a_success_that_breaks_is_visibly_broken() {
    for (bytes, sent, reason) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", "hello", "http_response_incomplete"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "hello", "http_response_incomplete"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", "hello", "http_response_transfer_coding"),
    ] {
        let origin = says(bytes);
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        let response = get(gateway.address, "/");
        assert_eq!((response.status, response.complete), (200, false), "{bytes:?}");
        assert!(sent.starts_with(&response.text()), "{bytes:?}");
        let line = gateway.log_line(&["\"aborted\":true"]);
        assert_eq!(line["status"], 200, "{line}");
        gateway.wait_for_metric(&format!("lockgate_requests_total{{route=\"all\",backend=\"o\",code=\"200\",reason=\"{reason}\"}} 1"));
    }
}

#[test]
fn a_success_that_stalls_ends_by_the_idle_clock() {
    let origin = Origin::start(|c| {
        c.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
        c.hang()
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, CLOCKS);
    let response = get(gateway.address, "/");
    assert_eq!((response.status, response.complete, response.text().as_str()), (200, false, "hello"));
    assert_eq!(gateway.log_line(&["\"aborted\":true"])["code"], "UPSTREAM_TIMEOUT");
}

#[test]
fn an_aborted_answer_to_http_1_0_is_a_reset() {
    let origin = says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    client.write("GET / HTTP/1.0\r\n\r\n");
    let mut bytes = Vec::new();
    let ended = std::io::Read::read_to_end(&mut client.stream, &mut bytes);
    assert_eq!(ended.map_err(|e| e.kind()), Err(std::io::ErrorKind::ConnectionReset), "{:?}", String::from_utf8_lossy(&bytes));
}

#[test]
fn bodies_where_none_may_be_are_dropped() {
    for status in [204, 304] {
        let origin = says(format!("HTTP/1.1 {status} X\r\nX-A: b\r\n\r\nleak-me"));
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        let response = get(gateway.address, "/");
        assert_eq!((response.status, response.header("x-a"), response.body.len()), (status, Some("b"), 0));
    }
}

#[test]
fn extra_bytes_after_a_response_never_reach_the_next_client() {
    let origin = Origin::start(|c| {
        loop {
            c.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nleak-me");
            if !c.next_head() {
                return;
            }
        }
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for _ in 0..3 {
        let response = get(gateway.address, "/");
        assert!(response.text() == "ok" || response.status == 502, "{response:?}");
    }
}

#[test]
fn head_gets_the_head_of_the_envelope() {
    let origin = says("HTTP/1.1 500 X\r\nContent-Length: 9000\r\n\r\n");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = send(gateway.address, "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(response.status, 502);
    assert_contract("HEAD", &response);
    gateway.wait_for_metric("lockgate_requests_total{route=\"all\",backend=\"o\",code=\"502\",reason=\"upstream_response\"} 1");
}

#[test]
fn an_origin_that_closes_without_a_word_never_mixes_answers_up() {
    // Closes each connection right after its answer, without saying so: the pool holds dead connections.
    let origin = Origin::start(|c| {
        c.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    for n in 1..20 {
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response("GET");
        // The close may arrive while a request is on its way: then it is a clean 502, never a hang or a mix-up.
        assert!(response.text() == "ok" || (response.status == 502 && response.code() == "UPSTREAM_CONNECTION_LOST"), "{n}: {response:?}");
    }
}

#[test]
fn upstream_trailers_are_filtered() {
    let origin = says(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Cause, X-Debug-Sql, Set-Cookie\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nX-Cause: File \"/srv/app/main.py\", line 3\r\nX-Debug-Sql: SELECT 1\r\nSet-Cookie: a=leak-me\r\n\r\n",
    );
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = send(gateway.address, "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, te\r\n\r\n");
    assert_eq!(response.text(), "ok");
    assert_eq!(response.trailers, [("x-sum".to_owned(), "7".to_owned())]);
}

#[test]
fn retry_after_is_kept_and_capped() {
    for (sent, got) in [("7", "7"), ("999999999999", "60"), ("nonsense", "5"), ("-3", "5")] {
        let origin = says(format!("HTTP/1.1 503 X\r\nRetry-After: {sent}\r\nContent-Length: 0\r\n\r\n"));
        let gateway = GatewayUnderTest::in_front_of(origin.address, "[errors]\nretry_after_max = \"60s\"\n");
        let response = get(gateway.address, "/");
        assert_contract("GET", &response);
        assert_eq!(response.header("retry-after"), Some(got), "{sent}");
    }
}
