//! Tests parked connections, which are idle for so long that the gateway has freed their parser: they resume, they end, and connections
//! that are not idle are not parked. The tests wait in real time, because the gateway parks after a second.

use std::time::Duration;

use crate::harness::contract::assert_contract;
use crate::harness::wait::let_time_pass;
use crate::harness::{Client, GatewayUnderTest, Origin};

/// Longer than the gateway keeps the parser of an idle connection, shorter than a pool keeps its own.
fn until_it_is_parked() {
    let_time_pass(Duration::from_millis(1600));
}

fn asked(gateway: &GatewayUnderTest) -> Client {
    let mut client = Client::connect(gateway.address);
    client.write("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response("GET").status, 200);
    client
}

#[test]
fn a_parked_connection_serves_again_and_its_clocks_run() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\nheader_timeout = \"3s\"\n");
    let mut client = asked(&gateway);
    until_it_is_parked();
    // Two at once, the second in two pieces.
    client.write("GET /second HTTP/1.1\r\nHost: a\r\n\r\nGET /third HTTP/1.1\r\nHo");
    assert!(client.response("GET").text().contains("/second"));
    client.write("st: a\r\n\r\n");
    assert!(client.response("GET").text().contains("/third"));
    until_it_is_parked();
    client.write("GET /never HTTP/1.1\r\nHo");
    let late = client.response("GET");
    assert_eq!((late.status, assert_contract("GET", &late)), (408, "REQUEST_TIMEOUT".into()));
    assert!(client.is_closed());
}

#[test]
fn a_parked_connection_ends_at_its_idle_timeout_and_by_its_client() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\nidle_timeout = \"1800ms\"\n");
    let mut client = asked(&gateway);
    assert!(client.is_closed());
    let client = asked(&gateway);
    until_it_is_parked();
    drop(client);
    gateway.wait_for_metric("lockgate_connections_open 0");
}

#[test]
fn a_parked_connection_is_drained_at_once() {
    let origin = Origin::echo();
    let mut gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\ndrain_delay = \"off\"\n");
    let mut client = asked(&gateway);
    until_it_is_parked();
    gateway.begin_stop();
    assert!(client.is_closed());
    assert!(gateway.stopped());
}

/// An origin that answers before it has the body, and takes the body all the same.
fn hasty() -> Origin {
    Origin::start(|c| {
        loop {
            let asked = c.head.lines().next().unwrap_or_default().to_owned();
            c.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{asked}", asked.len()));
            c.body();
            if !c.next_head() {
                return;
            }
        }
    })
}

#[test]
fn a_body_that_goes_on_after_its_answer_is_no_new_request() {
    const TRICK: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (head, piece, rest) in [
        ("Content-Length: 100", "ten bytes.".to_owned(), format!("{TRICK}{}", "x".repeat(90 - TRICK.len()))),
        ("Transfer-Encoding: chunked", "a\r\nten bytes.\r\n".to_owned(), format!("{:x}\r\n{TRICK}\r\n0\r\n\r\n", TRICK.len())),
    ] {
        let origin = hasty();
        let gateway = GatewayUnderTest::in_front_of(origin.address, "[defaults]\nbuffer_request = \"off\"\n");
        let mut client = Client::connect(gateway.address);
        client.write(format!("POST /upload HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{piece}"));
        assert_eq!(client.response("POST").status, 200);
        until_it_is_parked();
        client.write(format!("{rest}GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        assert_eq!(client.response("GET").text(), "GET /next HTTP/1.1", "{head}");
        assert!(client.read("GET").is_none(), "{head}");
        let heads = origin.requests();
        assert!(heads.iter().all(|head| !head.starts_with("GET /smuggled")), "{head}: {heads:#?}");
    }
}

#[test]
fn an_answered_upload_that_stalls_ends_at_the_idle_timeout() {
    let origin = hasty();
    let gateway = GatewayUnderTest::start(&format!(
        "[listen]\nidle_timeout = \"700ms\"\nbody_timeout = \"60s\"\n[backends.o]\nendpoints = [\"http://{}\"]\npool = {{ idle_timeout = \"60s\" }}\n\
         [defaults]\nbuffer_request = \"off\"\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\n",
        origin.address
    ));
    let mut client = Client::connect(gateway.address);
    client.write("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nten bytes.");
    assert_eq!(client.response("POST").status, 200);
    assert!(client.is_closed());
}
