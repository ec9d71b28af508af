//! Tests the level of the log at run time: `GET /log` and `PUT /log` of the admin listener.

use std::net::SocketAddr;

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Process, Response, Temporary, eventually, get, send, until};

const QUIET: &str = "[log]\naccess = false\nlevel = \"error\"\nformat = \"json\"\n";

fn put(admin: SocketAddr, body: &str) -> Response {
    let length = body.len();
    send(admin, format!("PUT /log HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"))
}

/// The level also decides which failures have a line without access lines.
#[test]
fn the_level_changes_what_is_logged() {
    let gateway = GatewayUnderTest::start(&format!(
        "{QUIET}[backends.o]\nendpoints = [\"http://127.0.0.1:9\"]\n[[routes]]\npath = \"/a\"\nbackend = \"o\"\n"
    ));
    assert_eq!(get(gateway.admin, "/log").text(), "{\"level\":\"error\",\"configured\":\"error\"}\n");
    assert_eq!(get(gateway.address, "/unseen").status, 404);
    let response = put(gateway.admin, "info");
    assert_eq!((response.status, response.text().as_str()), (200, "{\"level\":\"info\",\"configured\":\"error\"}\n"));
    assert_eq!(response.header("content-type"), Some("application/json"));
    get(gateway.address, "/seen");
    gateway.log_line(&["/seen", "ROUTE_NOT_FOUND"]);
    assert!(!gateway.log_text().contains("/unseen"), "{}", gateway.log_text());
}

#[test]
fn a_level_can_be_set_for_a_while() {
    let gateway = GatewayUnderTest::in_front_of("127.0.0.1:9".parse().unwrap(), QUIET);
    let shown = put(gateway.admin, "{\"level\":\"debug\",\"for\":\"10m\"}").json();
    assert_eq!((shown["level"].as_str(), shown["configured"].as_str()), (Some("debug"), Some("error")));
    assert!(shown["until"].as_str().is_some_and(|until| until.ends_with('Z')), "{shown}");
    assert!(put(gateway.admin, "debug").json().get("until").is_none(), "a level without an end replaces one with an end");
    put(gateway.admin, "{\"level\":\"trace\",\"for\":\"1ms\"}");
    eventually("the level returns", || get(gateway.admin, "/log").json()["level"] == "error");
}

#[test]
fn what_is_no_level_changes_nothing() {
    let gateway = GatewayUnderTest::in_front_of("127.0.0.1:9".parse().unwrap(), QUIET);
    let (long, none) = ("x".repeat(2000), String::new());
    for body in ["loud", "{\"level\":\"debug\",\"for\":\"1y\"}", "{\"level\":1}", "{", long.as_str(), none.as_str()] {
        let response = put(gateway.admin, body);
        assert_eq!((response.status, assert_contract("PUT", &response)), (400, "BAD_REQUEST".into()), "{body}");
    }
    assert!(put(gateway.admin, "loud").text().contains("error, warn, info, debug, trace"));
    let response = send(gateway.admin, "DELETE /log HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!((response.status, assert_contract("DELETE", &response)), (405, "METHOD_NOT_ALLOWED".into()));
    assert_eq!(response.header("allow"), Some("GET, HEAD, PUT"));
    let response = send(gateway.admin, "PUT /log HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 5\r\nConnection: close\r\n\r\ndebug");
    assert_eq!(response.status, 421);
    assert_eq!(get(gateway.admin, "/log").json()["level"], "error");
}

#[test]
fn the_level_is_changed_with_the_token_only() {
    let gateway = GatewayUnderTest::start(
        "[listen]\nadmin_token = \"file:tests/it/harness/token\"\n[backends.o]\nendpoints = [\"http://127.0.0.1:9\"]\n\
         [[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
    );
    assert_eq!((get(gateway.admin, "/log").status, put(gateway.admin, "debug").status), (401, 401));
    let with = |method: &str, body: &str| {
        let length = body.len();
        let head = format!("{method} /log HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t0ken-of-a-test\r\n");
        send(gateway.admin, format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"))
    };
    assert_eq!(with("GET", "").json()["level"], "info");
    assert_eq!(with("PUT", "debug").json()["level"], "debug");
}

/// The events of the process follow the level at once.
#[test]
fn events_follow_the_level() {
    let config = Temporary::file(
        "level.toml",
        "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndrain_delay = \"off\"\n[backends.o]\nendpoints = \
         [\"http://127.0.0.1:9\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n[log]\nformat = \"json\"\n",
    );
    let mut process = Process::start(&["run", "--config", config.to_str().unwrap()]);
    for level in ["error", "info", "error"] {
        assert_eq!(put(process.admin, level).status, 200);
        process.signal("-HUP");
    }
    process.signal("-TERM");
    until(|| process.child.try_wait().unwrap().ok_or_else(|| "the process does not end".to_owned()));
    let events: Vec<String> = process.lines.by_ref().map_while(Result::ok).collect();
    assert_eq!(events.iter().filter(|line| line.contains("the level of the log changes")).count(), 3, "{events:#?}");
    assert!(!events.iter().any(|line| line.contains("\"drained\"")), "an event of the level info: {events:#?}");
}
