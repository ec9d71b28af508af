//! Collectors that are down, slow, busy or wrong: no request notices, and the spans are counted.

use std::net::TcpListener;

use prost::Message;

use super::collector::{Collector, says};
use super::proto::{ExportResponse, PartialSuccess};
use crate::harness::{Client, GatewayUnderTest, Origin, get, until};

/// A gateway that traces everything, in front of an echo.
fn gateway(collector: &Collector, more: &str) -> (GatewayUnderTest, Origin) {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, &collector.table(&format!("sample = 1\n{more}")));
    (gateway, origin)
}

fn asked(gateway: &GatewayUnderTest) {
    assert_eq!(get(gateway.address, "/").status, 200);
}

#[test]
fn a_collector_that_is_busy_gets_the_same_batch_again() {
    for busy in [says(429, "Retry-After: 0\r\n"), says(503, "Retry-After: 1\r\n"), says(502, ""), says(504, "Retry-After: soon\r\n")] {
        let collector = Collector::answers(vec![busy, says(200, "")]);
        let (gateway, _origin) = gateway(&collector, "");
        asked(&gateway);
        gateway.wait_for_metric("lockgate_trace_spans_exported_total 2");
        let batches = collector.batches();
        assert!(batches.len() == 2 && batches[0].plain == batches[1].plain);
        gateway.wait_for_metric("lockgate_trace_spans_failed_total 0");
    }
}

#[test]
fn a_collector_that_refuses_gets_the_next_batch() {
    for status in [400, 401, 404, 413, 500] {
        let collector = Collector::answers(vec![says(status, ""), says(200, "")]);
        let (gateway, _origin) = gateway(&collector, "");
        asked(&gateway);
        gateway.wait_for_metric("lockgate_trace_spans_failed_total 2");
        assert_eq!(collector.batches().len(), 1, "not sent again after {status}");
        asked(&gateway);
        gateway.wait_for_metric("lockgate_trace_spans_exported_total 2");
    }
}

#[test]
fn a_partial_success_is_counted_and_not_sent_again() {
    let partial_success = Some(PartialSuccess { rejected_spans: 1, error_message: "too old".to_owned() });
    let body = ExportResponse { partial_success }.encode_to_vec();
    let head = format!("HTTP/1.1 200 x\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n", body.len());
    let collector = Collector::answers(vec![[head.into_bytes(), body].concat()]);
    let (gateway, _origin) = gateway(&collector, "");
    asked(&gateway);
    gateway.wait_for_metric("lockgate_trace_spans_exported_total 1");
    gateway.wait_for_metric("lockgate_trace_spans_failed_total 1");
    assert_eq!(collector.batches().len(), 1);
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Collector::start();
    let collector = Collector::answers(vec![says(307, &format!("Location: http://{}/v1/traces\r\n", elsewhere.address()))]);
    let (gateway, _origin) = gateway(&collector, "");
    asked(&gateway);
    gateway.wait_for_metric("lockgate_trace_spans_failed_total 2");
    assert_eq!(elsewhere.batches().len(), 0);
}

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    let endless = [b"HTTP/1.1 200 x\r\nContent-Length: 999999999\r\n\r\n".to_vec(), vec![b'x'; 1 << 20]].concat();
    let collector = Collector::answers(vec![endless, says(200, "")]);
    let (gateway, _origin) = gateway(&collector, "");
    asked(&gateway);
    gateway.wait_for_metric("lockgate_trace_spans_exported_total 2");
    asked(&gateway);
    gateway.wait_for_metric("lockgate_trace_spans_exported_total 4");
    let batches = collector.batches();
    assert_ne!(batches[0].connection, batches[1].connection, "a connection with unread bytes serves no more");
}

#[test]
fn a_connection_is_kept_and_replaced_when_it_is_gone() {
    let closing = says(200, "Connection: close\r\n");
    let collector = Collector::answers(vec![says(200, ""), closing, says(200, "")]);
    let (gateway, _origin) = gateway(&collector, "");
    for count in 1..=3 {
        asked(&gateway);
        gateway.wait_for_metric(&format!("lockgate_trace_spans_exported_total {}", 2 * count));
    }
    let connections: Vec<usize> = collector.batches().iter().map(|batch| batch.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
}

#[test]
fn a_collector_that_never_answers_holds_no_request() {
    let collector = Collector::answers(vec![Vec::new(), says(200, "")]);
    let (gateway, _origin) = gateway(&collector, "timeout = \"200ms\"\n");
    asked(&gateway);
    collector.wait_for_batches(1);
    // While it hangs, requests are served.
    asked(&gateway);
    gateway.wait_for_metric("lockgate_trace_spans_exported_total 4");
}

#[test]
fn a_collector_that_is_down_holds_neither_requests_nor_the_shutdown() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let origin = Origin::echo();
    let table = format!("[listen]\ndrain_delay = \"off\"\n[telemetry]\notlp = \"http://{address}\"\nsample = 1\n");
    let mut gateway = GatewayUnderTest::in_front_of(origin.address, &table);
    asked(&gateway);
    gateway.begin_stop();
    assert!(gateway.stopped());
}

#[test]
fn a_collector_that_hangs_does_not_hold_the_shutdown() {
    let collector = Collector::answers(vec![Vec::new()]);
    let origin = Origin::echo();
    let table = format!("[listen]\ndrain_delay = \"off\"\n{}", collector.table("sample = 1\n"));
    let mut gateway = GatewayUnderTest::in_front_of(origin.address, &table);
    asked(&gateway);
    collector.wait_for_batches(1);
    gateway.begin_stop();
    assert!(gateway.stopped());
}

#[test]
fn the_last_spans_are_sent_at_the_shutdown() {
    let collector = Collector::start();
    let origin = Origin::echo();
    let table = format!("[listen]\ndrain_delay = \"off\"\n{}", collector.table("sample = 1\n"));
    let mut gateway = GatewayUnderTest::in_front_of(origin.address, &table);
    for _ in 0..5 {
        asked(&gateway);
    }
    gateway.begin_stop();
    assert!(gateway.stopped());
    assert_eq!(collector.now().len(), 10);
}

#[test]
fn more_spans_than_can_wait_are_dropped_and_counted() {
    let collector = Collector::answers(vec![Vec::new()]);
    let toml = format!("[[routes]]\npath = \"/*\"\nrespond = {{ status = 204 }}\n{}", collector.table("sample = 1\ntimeout = \"60s\"\n"));
    let gateway = GatewayUnderTest::start(&toml);
    let mut client = Client::connect(gateway.address);
    // What fits, and some batches more.
    for _ in 0..100 {
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100));
        for _ in 0..100 {
            assert_eq!(client.response("GET").status, 204);
        }
    }
    let dropped = until(|| {
        let text = get(gateway.admin, "/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix("lockgate_trace_spans_dropped_total "));
        value.and_then(|value| value.parse::<u32>().ok()).filter(|value| *value > 0).ok_or(text)
    });
    assert!((10_000 - 8_192 - 1_024..=10_000 - 8_192).contains(&dropped), "{dropped}");
}
