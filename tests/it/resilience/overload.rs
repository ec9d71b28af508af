//! Tests overload: permits, queues and the memory for bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Named, gateway, quoted, reply};
use crate::harness::contract::assert_contract;
use crate::harness::{Client, Origin, Process, Temporary, eventually, get, send};

/// Answers `/hold` when it is told to.
fn holding() -> (Origin, Arc<AtomicBool>) {
    let go = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&go);
    let origin = Origin::start(move |c| {
        if c.head.contains("/hold") {
            eventually("the test lets the request go on", || told.load(Ordering::SeqCst));
        }
        reply(c, 200, "", "ok");
    });
    (origin, go)
}

fn ask(gateway: std::net::SocketAddr, path: &str) -> Client {
    let mut client = Client::connect(gateway);
    client.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    client
}

#[test]
fn a_few_wait_for_a_place_and_the_rest_is_told_at_once() {
    let (origin, go) = holding();
    let endpoints = [format!("\"http://{}\"", origin.address)];
    let gateway = gateway(&endpoints, "max_in_flight = 1\nqueue = { max = 1, timeout = \"10s\" }", "", "");
    let mut holder = ask(gateway.address, "/hold");
    gateway.wait_for_metric("lockgate_backend_in_flight{backend=\"o\"} 1");
    let mut waiter = ask(gateway.address, "/waits");
    gateway.wait_for_metric("lockgate_backend_waiting{backend=\"o\"} 1");
    let refused = get(gateway.address, "/");
    assert_eq!((refused.status, assert_contract("GET", &refused)), (503, "OVERLOADED".into()));
    go.store(true, Ordering::SeqCst);
    assert_eq!((holder.response("GET").status, waiter.response("GET").status), (200, 200));
    gateway.wait_for_metric("lockgate_backend_in_flight{backend=\"o\"} 0");
    gateway.wait_for_metric("lockgate_backend_waiting{backend=\"o\"} 0");
}

#[test]
fn who_waits_longer_than_its_deadline_is_told_that() {
    let (origin, go) = holding();
    let endpoints = [format!("\"http://{}\"", origin.address)];
    let gateway = gateway(&endpoints, "max_in_flight = 1\nqueue = { max = 5, timeout = \"20s\" }", "", "");
    let mut holder = ask(gateway.address, "/hold");
    gateway.wait_for_metric("lockgate_backend_in_flight{backend=\"o\"} 1");
    let deadline = jiff::Timestamp::try_from(std::time::SystemTime::now() + std::time::Duration::from_millis(200)).unwrap();
    let waited = send(gateway.address, format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Deadline: {deadline}\r\nConnection: close\r\n\r\n"));
    assert_eq!((waited.status, assert_contract("GET", &waited)), (504, "UPSTREAM_TIMEOUT".into()));
    assert_eq!(origin.requests().len(), 1, "it was never sent");
    go.store(true, Ordering::SeqCst);
    assert_eq!(holder.response("GET").status, 200);
}

#[test]
fn all_requests_together_are_limited_too() {
    let (origin, go) = holding();
    let endpoints = [format!("\"http://{}\"", origin.address)];
    let gateway = gateway(&endpoints, "", "", "[listen]\nmax_in_flight = 1");
    let mut holder = ask(gateway.address, "/hold");
    origin.wait_for_requests(1);
    let refused = get(gateway.address, "/");
    assert_eq!((refused.status, assert_contract("GET", &refused)), (503, "OVERLOADED".into()));
    go.store(true, Ordering::SeqCst);
    assert_eq!(holder.response("GET").status, 200);
}

#[test]
fn an_adaptive_limit_begins_low_and_serves() {
    let a = Named::start("a");
    let gateway = gateway(&[quoted(&a)], "max_in_flight = 100\nadaptive = true", "", "");
    gateway.wait_for_metric("lockgate_backend_in_flight_limit{backend=\"o\"} 4");
    assert!((0..50).all(|_| get(gateway.address, "/").status == 200));
}

#[test]
fn a_slow_body_holds_no_permit() {
    let a = Named::start("a");
    let gateway = gateway(&[quoted(&a)], "max_in_flight = 1\nqueue = { max = 0 }", "buffer_request = \"64KiB\"", "");
    let mut slow = Client::connect(gateway.address);
    // Its length is known: it is waited for, however long it takes.
    slow.write("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\none");
    gateway.wait_for_metric("lockgate_requests_in_progress 1");
    assert_eq!(get(gateway.address, "/").status, 200, "the only permit is free");
    assert!(a.origin.requests().iter().all(|head| !head.contains("/slow")));
    // A permit is free a moment after the client has the last byte.
    gateway.wait_for_metric("lockgate_backend_in_flight{backend=\"o\"} 0");
    slow.write("two");
    assert_eq!(slow.response("POST").text(), "aonetwo");
    gateway.wait_for_metric("lockgate_buffered_bytes 0");
}

#[test]
fn a_body_in_chunks_that_is_held_goes_out_with_its_length() {
    let a = Named::start("a");
    let gateway = gateway(&[quoted(&a)], "", "buffer_request = \"64KiB\"", "");
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n";
    assert_eq!(send(gateway.address, request).text(), "aonetwo");
    let head = a.origin.requests().remove(0);
    assert!(head.contains("content-length: 6") && !head.contains("transfer-encoding"), "{head}");
    gateway.wait_for_metric("lockgate_buffered_bytes 0");
}

#[test]
fn a_body_over_the_bound_streams_on_from_there() {
    let a = Named::start("");
    let gateway = gateway(&[quoted(&a)], "", "buffer_request = \"1KiB\"", "");
    let body = "0123456789".repeat(30_000);
    let response =
        send(gateway.address, format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()));
    assert!(response.status == 200 && response.text() == body, "{}", response.body.len());
}

#[test]
fn a_held_body_keeps_its_limit_and_its_clock() {
    let a = Named::start("a");
    let rest = "[listen]\nbody_timeout = \"200ms\"";
    let gateway = gateway(&[quoted(&a)], "", "buffer_request = \"64KiB\"\nrequest_body_limit = \"1KiB\"", rest);
    let chunk = format!("800\r\n{}\r\n0\r\n\r\n", "x".repeat(0x800));
    let large = send(gateway.address, format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"));
    assert_eq!((large.status, assert_contract("POST", &large)), (413, "PAYLOAD_TOO_LARGE".into()));
    let mut slow = Client::connect(gateway.address);
    slow.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx");
    let late = slow.response("POST");
    assert_eq!((late.status, assert_contract("POST", &late)), (408, "REQUEST_TIMEOUT".into()));
    assert_eq!(a.asked(), 0);
}

#[test]
fn where_memory_for_bodies_is_used_up_they_stream() {
    let a = Named::start("a");
    let gateway = gateway(&[quoted(&a)], "", "buffer_request = \"64KiB\"", "[listen]\nbuffer_memory = \"1KiB\"");
    let body = "x".repeat(3000);
    let request =
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nbb8\r\n{body}\r\n0\r\n\r\n");
    assert_eq!(send(gateway.address, request).text(), format!("a{body}"));
    assert!(a.origin.requests()[0].contains("transfer-encoding: chunked"), "{:?}", a.origin.requests());
    gateway.wait_for_metric("lockgate_buffered_bytes 0");
}

#[test]
fn where_memory_for_bodies_is_used_up_errors_are_told_by_their_head() {
    let origin = Origin::start(|c| reply(c, 404, "", &format!("{{\"message\":\"no such order\",\"more\":\"{}\"}}", "x".repeat(2000))));
    let endpoints = [format!("\"http://{}\"", origin.address)];
    let gateway_ = gateway(&endpoints, "", "", "[listen]\nbuffer_memory = \"1KiB\"");
    let response = get(gateway_.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (404, "NOT_FOUND".into()));
    let gateway_ = gateway(&endpoints, "", "", "");
    assert!(get(gateway_.address, "/").text().contains("no such order"), "with memory it is read");
}

#[test]
fn without_file_descriptors_accepting_pauses_and_goes_on() {
    let a = Named::start("a");
    let text = format!(
        "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = 1\n[backends.o]\nendpoints = [{}]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        quoted(&a)
    );
    let config = Temporary::file("fds.toml", &text);
    let process = Process::start_limited(48, &["run", "--config", config.to_str().unwrap()]);
    let mut held: Vec<Client> = (0..80).map(|_| Client::connect(process.address)).collect();
    // Those that were accepted are served still.
    held[0].write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let served = held[0].response("GET");
    assert!(served.status == 200 || assert_contract("GET", &served) == "OVERLOADED", "{served:?}");
    drop(held);
    assert_eq!(get(process.address, "/").status, 200);
}
