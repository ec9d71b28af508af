//! Tests that each timeout ends its own wait and has its own row in the catalog. A timeout that must elapse is short, and one that must not
//! elapse is long; no test measures time.

use crate::harness::contract::assert_contract;
use crate::harness::wait::{PATIENCE, let_time_pass};
use crate::harness::{Client, GatewayUnderTest, Origin, eventually, get, send};

#[test]
fn the_total_deadline_has_its_own_row() {
    let origin = Origin::start(|c| c.hang());
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[defaults]\ntotal_timeout = \"300ms\"\n");
    let response = get(gateway.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (504, "UPSTREAM_TIMEOUT".into()));
    assert_eq!(response.header("proxy-status"), Some("lockgate; error=http_response_timeout"));
}

#[test]
fn the_total_deadline_ends_a_body_too() {
    let origin = Origin::start(|c| {
        c.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while c.write("x") {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[defaults]\ntotal_timeout = \"3s\"\n");
    let response = get(gateway.address, "/");
    assert_eq!((response.status, response.complete), (200, false));
    assert_eq!(gateway.log_line(&["\"aborted\":true"])["reason"], "http_response_timeout");
}

#[test]
fn a_slow_body_of_the_client_is_408() {
    let origin = Origin::echo();
    let gateway =
        GatewayUnderTest::in_front_of(origin.address, "[listen]\nbody_timeout = \"300ms\"\n[defaults]\nresponse_timeout = \"200ms\"\n");
    let mut client = Client::connect(gateway.address);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    let response = client.response("POST");
    assert_eq!((response.status, assert_contract("POST", &response)), (408, "REQUEST_TIMEOUT".into()));
    assert!(client.is_closed());
}

#[test]
fn an_upstream_that_does_not_take_the_body_is_504_and_its_connection_ends() {
    // Reads the head and nothing more until it is told to: the kernel's buffers fill and the upload stands still.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (gone, ended) = std::sync::mpsc::channel();
    let both = std::sync::Mutex::new((wait, gone));
    let origin = Origin::start(move |c| {
        let both = both.lock().unwrap();
        both.0.recv().unwrap();
        c.hang();
        both.1.send(()).unwrap();
    });
    let gateway =
        GatewayUnderTest::in_front_of(origin.address, "[defaults]\nresponse_timeout = \"700ms\"\nrequest_body_limit = \"1GiB\"\n");
    let mut client = Client::connect(gateway.address);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let mut writer = client.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let piece = vec![b'x'; 1 << 20];
        while std::io::Write::write_all(&mut writer, &piece).is_ok() {}
    });
    let response = client.response("POST");
    assert_eq!((response.status, assert_contract("POST", &response)), (504, "UPSTREAM_TIMEOUT".into()));
    assert_eq!(response.header("proxy-status"), Some("lockgate; error=connection_write_timeout"));
    go.send(()).unwrap();
    ended.recv_timeout(PATIENCE).expect("nobody holds the upstream connection any more");
}

#[test]
fn a_request_that_begins_too_late_is_told_so() {
    let origin = Origin::echo();
    let mut gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\ndrain_delay = \"off\"\n");
    let mut client = Client::connect(gateway.address);
    client.write("GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /late HTTP/1.1\r\nHo");
    assert_eq!(client.response("GET").status, 200);
    gateway.begin_stop();
    let response = client.response("GET");
    assert_eq!((response.status, assert_contract("GET", &response)), (503, "SHUTTING_DOWN".into()));
    assert!(gateway.stopped());
}

#[test]
fn an_idle_connection_is_closed_in_order() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\nidle_timeout = \"300ms\"\n");
    let mut client = Client::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response("GET").status, 200);
    assert!(client.is_closed());
}

#[test]
fn an_idle_connection_to_an_upstream_is_closed_and_the_next_request_opens_another() {
    let (closed, ended) = std::sync::mpsc::channel();
    let closed = std::sync::Mutex::new(closed);
    let origin = Origin::start(move |c| {
        c.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        // No request comes: the gateway ends the connection.
        closed.lock().unwrap().send(c.next_head()).unwrap();
    });
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\npool = {{ idle_timeout = \"300ms\" }}\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        origin.address
    ));
    for asked in 1..3 {
        assert_eq!(get(gateway.address, "/").status, 200);
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(false), "it is closed while it is idle");
        assert_eq!(origin.connections(), asked);
    }
}

#[test]
fn requests_in_flight_finish_during_the_drain_and_new_ones_are_served_before_it() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::start(move |c| {
        if c.head.contains("/hold") {
            wait.lock().unwrap().recv().unwrap();
        }
        c.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    });
    let mut gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\ndrain_delay = \"3s\"\ndrain_timeout = \"60s\"\n");
    let mut holder = Client::connect(gateway.address);
    holder.write("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    assert_eq!(get(gateway.admin, "/readyz").status, 200);
    gateway.begin_stop();
    eventually("the gateway is not ready any more", || get(gateway.admin, "/readyz").status != 200);
    assert_contract("GET", &get(gateway.admin, "/readyz"));
    let during = get(gateway.address, "/");
    assert_eq!((during.status, during.header("connection")), (200, Some("close")), "still served while not ready");
    go.send(()).unwrap();
    assert_eq!(holder.response("GET").text(), "ok");
    let address = gateway.address;
    assert!(gateway.stopped(), "everything finished in time");
    assert!(std::net::TcpStream::connect(address).is_err(), "the listener is closed");
}

#[test]
fn a_request_that_outlasts_the_drain_is_told_so() {
    let origin = Origin::start(|c| c.hang());
    let mut gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\ndrain_delay = \"off\"\ndrain_timeout = \"300ms\"\n");
    let mut client = Client::connect(gateway.address);
    client.write("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    gateway.begin_stop();
    let response = client.response("GET");
    assert_eq!((response.status, assert_contract("GET", &response)), (503, "SHUTTING_DOWN".into()));
    gateway.log_line(&["/stuck", "SHUTTING_DOWN", "drain_timeout"]);
    assert!(client.is_closed());
    assert!(!gateway.stopped(), "it did not drain");
}

#[test]
fn the_wait_for_a_connection_is_not_charged_to_the_response() {
    // The first answer's body takes longer than the response clock; the second request waits for its connection.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::start(move |c| {
        c.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1");
        wait.lock().unwrap().recv().unwrap();
        c.write("2");
        while c.next_head() {
            c.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = GatewayUnderTest::start(&format!(
        "[defaults]\nresponse_timeout = \"3s\"\nconnect_timeout = \"60s\"\n[backends.o]\nendpoints = [\"http://{}\"]\n\
         pool = {{ max_connections = 1 }}\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\n",
        origin.address
    ));
    let mut first = Client::connect(gateway.address);
    first.write("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    gateway.wait_for_metric("lockgate_upstream_responses_total{backend=\"o\",code=\"200\"} 1");
    let mut second = Client::connect(gateway.address);
    second.write("GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
    // Longer than the response clock, which would have ended the second request if it ran.
    let_time_pass(std::time::Duration::from_millis(3500));
    go.send(()).unwrap();
    assert_eq!(first.response("GET").text(), "12");
    assert_eq!(second.response("GET").text(), "ok");
}

/// The deadline may come at any moment between the upstream's head and the first byte of the answer: the client is told something.
#[test]
fn a_deadline_never_leaves_a_client_without_a_byte() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for wait in 0..150 {
        let deadline = std::time::SystemTime::now() + std::time::Duration::from_micros(500 + wait * 10);
        let deadline = jiff::Timestamp::try_from(deadline).unwrap();
        let response =
            send(gateway.address, format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Deadline: {deadline}\r\nConnection: close\r\n\r\n"));
        assert!(matches!(response.status, 200 | 504), "{response:?}");
        if response.status == 504 {
            assert_eq!(assert_contract("GET", &response), "UPSTREAM_TIMEOUT");
        }
    }
}

#[test]
fn a_client_that_drips_its_body_until_the_deadline_was_the_slow_one() {
    let origin = Origin::echo();
    for buffer in ["off", "64KiB"] {
        let gateway =
            GatewayUnderTest::in_front_of(origin.address, &format!("[defaults]\ntotal_timeout = \"2s\"\nbuffer_request = \"{buffer}\"\n"));
        let mut client = Client::connect(gateway.address);
        client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx");
        let response = client.response("POST");
        assert_eq!((response.status, assert_contract("POST", &response)), (408, "REQUEST_TIMEOUT".into()), "{buffer}");
    }
}
