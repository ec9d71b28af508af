//! Tests fair limits per client, deadlines, and routes under maintenance.

use std::time::{Duration, SystemTime};

use super::{Named, gateway, quoted};
use crate::harness::contract::assert_contract;
use crate::harness::{Client, GatewayUnderTest, Origin, eventually, get, send};

fn limited(named: &Named, limits: &str, route: &str) -> GatewayUnderTest {
    gateway(&[quoted(named)], "", route, limits)
}

#[test]
fn every_window_of_a_limit_counts() {
    let a = Named::start("a");
    let gateway = limited(&a, "[limits.l]\nrate = [\"5/d\", \"3/h\"]\nkey = \"global\"", "limits = [\"l\"]\nrate_limit_headers = true");
    let first = get(gateway.address, "/");
    assert_eq!(first.header("ratelimit"), Some("\"l\";r=2;t=3600"), "the window with the least left");
    assert!((0..2).all(|_| get(gateway.address, "/").status == 200));
    let refused = get(gateway.address, "/");
    assert_eq!((refused.status, assert_contract("GET", &refused)), (429, "RATE_LIMITED".into()));
    let violated = &refused.json()["error"]["details"]["violatedPolicies"][0];
    assert_eq!(
        (violated["limit"].as_u64(), violated["window"].as_u64().or(violated["windowSeconds"].as_u64())),
        (Some(3), Some(3600)),
        "{violated}"
    );
}

#[test]
fn a_request_may_cost_more_than_one() {
    let a = Named::start("a");
    let gateway = limited(&a, "[limits.l]\nrate = \"10/h\"\nkey = \"global\"", "limits = [{ name = \"l\", cost = 4 }]");
    let statuses: Vec<u16> = (0..4).map(|_| get(gateway.address, "/").status).collect();
    assert_eq!(statuses, [200, 200, 429, 429]);
}

#[test]
fn requests_in_flight_are_counted_by_key() {
    let origin = Origin::start(|c| if c.head.contains("/hold") { c.hang() } else { super::reply(c, 200, "", "ok") });
    let limits = "[limits.l]\nmax_in_flight = 1\nkey = \"header:X-Key\"";
    let gateway = gateway(&[format!("\"http://{}\"", origin.address)], "", "limits = [\"l\"]", limits);
    let request = |path: &str, key: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Key: {key}\r\nConnection: close\r\n\r\n");
    let mut holder = Client::connect(gateway.address);
    holder.write(request("/hold", "a"));
    origin.wait_for_requests(1);
    let refused = send(gateway.address, request("/", "a"));
    assert_eq!((refused.status, assert_contract("GET", &refused)), (429, "RATE_LIMITED".into()));
    assert_eq!(send(gateway.address, request("/", "b")).status, 200);
    drop(holder);
    eventually("the key has room again", || send(gateway.address, request("/", "a")).status != 429);
}

#[test]
fn lists_of_clients_allow_and_deny() {
    let a = Named::start("a");
    let gateway = limited(&a, "[limits.l]\nrate = \"1/d\"\nexempt = [\"127.0.0.0/8\"]", "limits = [\"l\"]");
    assert!((0..5).all(|_| get(gateway.address, "/").status == 200));
    let gateway = limited(&a, "[limits.l]\nrate = \"1/d\"\nexempt = [\"127.0.0.0/8\"]\ndeny = \"127.0.0.1\"", "limits = [\"l\"]");
    let denied = get(gateway.address, "/");
    assert_eq!((denied.status, assert_contract("GET", &denied)), (403, "FORBIDDEN".into()));
    assert_eq!(denied.header("proxy-status"), Some("lockgate; error=http_request_denied"));
}

/// The last request that an origin got, by this header.
fn forwarded(origin: &Named, name: &str) -> Option<String> {
    let head = origin.origin.requests().pop().unwrap();
    head.lines().find_map(|line| line.strip_prefix(name).map(|value| value.trim_start_matches(": ").to_owned()))
}

fn asked_with(header: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{header}\r\nConnection: close\r\n\r\n")
}

#[test]
fn a_deadline_goes_upstream_and_a_past_one_does_not() {
    let a = Named::start("a");
    let gateway = gateway(&[quoted(&a)], "", "", "");
    let late = send(gateway.address, asked_with("X-Request-Deadline: 2020-01-01T00:00:00Z"));
    assert_eq!((late.status, assert_contract("GET", &late)), (504, "UPSTREAM_TIMEOUT".into()));
    assert_eq!(a.asked(), 0);
    let at = jiff::Timestamp::try_from(SystemTime::now() + Duration::from_secs(60)).unwrap();
    assert_eq!(send(gateway.address, asked_with(&format!("X-Request-Deadline: {at}"))).status, 200);
    let told: jiff::Timestamp = forwarded(&a, "x-request-deadline").unwrap().parse().unwrap();
    assert!((told.as_millisecond() - at.as_millisecond()).abs() <= 1, "{told} {at}");
    assert_eq!(get(gateway.address, "/").status, 200);
    assert_eq!(forwarded(&a, "x-request-deadline"), None, "nobody named one");
    assert_eq!(send(gateway.address, asked_with("Content-Type: application/grpc\r\ngrpc-timeout: 60S")).status, 200);
    assert!(forwarded(&a, "grpc-timeout").unwrap().ends_with(['u', 'm']), "what is left of it");
}

/// What the client sent would pass as any header does: here the gateway has a deadline of its own.
#[test]
fn the_deadline_of_a_route_goes_upstream_when_it_is_the_first() {
    let a = Named::start("a");
    let gateway = gateway(&[quoted(&a)], "", "total_timeout = \"2h\"", "");
    let moment = |seconds: u64| jiff::Timestamp::try_from(SystemTime::now() + Duration::from_secs(seconds)).unwrap();
    // The gateway's clock may be a moment behind this one.
    let told_between = |sent: &str, first: u64, last: u64| {
        let earliest = moment(first);
        assert_eq!(send(gateway.address, sent).status, 200);
        let told: jiff::Timestamp = forwarded(&a, "x-request-deadline").expect("the upstream is told").parse().unwrap();
        assert!((earliest..=moment(last)).contains(&told), "{told} is not between {first} and {last} seconds from now");
    };
    told_between("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 7100, 7300);
    told_between(&asked_with(&format!("X-Request-Deadline: {}", moment(36_000))), 7100, 7300);
    told_between(&asked_with(&format!("X-Request-Deadline: {}", moment(3600))), 3500, 3700);
}

#[test]
fn a_client_deadline_ends_a_slow_answer() {
    let origin = Origin::start(|c| c.hang());
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let at = jiff::Timestamp::try_from(SystemTime::now() + Duration::from_millis(300)).unwrap();
    let response = send(gateway.address, asked_with(&format!("X-Request-Deadline: {at}")));
    assert_eq!((response.status, assert_contract("GET", &response)), (504, "UPSTREAM_TIMEOUT".into()));
}

#[test]
fn a_route_under_maintenance_answers_for_its_backend() {
    let a = Named::start("a");
    let gateway_ = gateway(&[quoted(&a)], "", "maintenance = true", "[errors]\nretry_after = \"90s\"");
    let response = get(gateway_.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (503, "UPSTREAM_UNAVAILABLE".into()));
    assert_eq!(response.header("retry-after"), Some("90"));
    let end = jiff::Timestamp::try_from(SystemTime::now() + Duration::from_secs(7200)).unwrap();
    let gateway_ = gateway(&[quoted(&a)], "", &format!("maintenance = \"{end}\""), "");
    let wait: u64 = get(gateway_.address, "/").header("retry-after").unwrap().parse().unwrap();
    assert!((6600..=7200).contains(&wait), "{wait}");
    assert_eq!(a.asked(), 0);
    let gateway_ = gateway(&[quoted(&a)], "", "maintenance = \"2020-01-01T00:00:00Z\"", "");
    assert_eq!(get(gateway_.address, "/").status, 200);
}
