//! Tests circuit breakers: when they open, the responses while they are open, and how they close.

use super::{Named, gateway, quoted};
use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, eventually, get};

const BREAKER: &str = "[backends.o.breaker]\nopen_after = \"50% of 8\"\nopen_for = \"600s\"\ntrials = 1";

fn status(gateway: &GatewayUnderTest) -> u16 {
    get(gateway.address, "/").status
}

#[test]
fn it_opens_and_answers_for_the_endpoint() {
    let a = Named::start("a");
    let gateway = gateway(&[quoted(&a)], BREAKER, "", "");
    a.answers(500);
    for _ in 0..4 {
        assert_eq!(status(&gateway), 502);
    }
    let asked = a.asked();
    let response = get(gateway.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (503, "UPSTREAM_UNAVAILABLE".into()));
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=600).contains(&wait), "{wait} seconds, until it tries again");
    assert_eq!(a.asked(), asked, "an open breaker asks nobody");
    gateway.wait_for_metric(&format!("lockgate_endpoint_up{{backend=\"o\",endpoint=\"{}\"}} 0", a.url()));
}

#[test]
fn it_tries_again_after_its_time_and_closes() {
    let a = Named::start("a");
    let gateway = gateway(&[quoted(&a)], &BREAKER.replace("600s", "300ms"), "", "");
    a.answers(500);
    eventually("the breaker opens", || status(&gateway) == 503);
    a.answers(200);
    eventually("the breaker tries again", || status(&gateway) == 200);
    assert!((0..20).all(|_| status(&gateway) == 200));
}

#[test]
fn client_errors_and_clients_that_leave_have_no_weight() {
    let a = Named::start("a");
    let gateway = gateway(&[quoted(&a)], BREAKER, "", "");
    for answer in [404, 429, 401, 422] {
        a.answers(answer);
        for _ in 0..10 {
            assert_eq!(status(&gateway), answer);
        }
    }
}

#[test]
fn one_open_breaker_leaves_the_work_to_the_others() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    let gateway = gateway(&[quoted(&a), quoted(&b)], &format!("balance = \"round-robin\"\n{BREAKER}"), "", "");
    a.answers(503);
    let statuses: Vec<u16> = (0..40).map(|_| status(&gateway)).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 4, "{statuses:?}");
}

#[test]
fn a_response_that_breaks_off_counts_against_its_endpoint() {
    let origin = Origin::start(|c| c.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes."));
    let gateway = gateway(&[format!("\"http://{}\"", origin.address)], BREAKER, "", "");
    // Each counts twice: its head was good, its body was not. Half of eight is bad.
    for _ in 0..4 {
        let response = get(gateway.address, "/");
        assert_eq!((response.status, response.complete), (200, false));
    }
    let response = get(gateway.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (503, "UPSTREAM_UNAVAILABLE".into()));
    assert_eq!(origin.requests().len(), 4, "an open breaker asks nobody");
}
