//! Tests circuit breakers: when they open, the responses while they are open, and how they close.

use std::time::{Duration, Instant};

use super::{Named, gateway, quoted};
use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, get};

const BREAKER: &str = "[backends.o.breaker]\nopen_after = \"50% of 8\"\nopen_for = \"300ms\"\ntrials = 1";

fn status(gateway: &GatewayUnderTest) -> u16 {
    get(gateway.address, "/").status
}

#[test]
fn it_opens_answers_for_the_endpoint_and_closes_again() {
    let a = Named::start("a");
    let gateway = gateway(&[quoted(&a)], BREAKER, "", "");
    a.answers(500);
    for _ in 0..4 {
        assert_eq!(status(&gateway), 502);
    }
    let asked = a.asked();
    let response = get(gateway.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (503, "UPSTREAM_UNAVAILABLE".into()));
    assert_eq!(response.header("retry-after"), Some("1"), "when it tries again, rounded up");
    assert_eq!(a.asked(), asked, "an open breaker asks nobody");
    gateway.wait_for_metric(&format!("lockgate_endpoint_up{{backend=\"o\",endpoint=\"{}\"}} 0", a.url()));
    a.answers(200);
    let deadline = Instant::now() + Duration::from_secs(10);
    while status(&gateway) != 200 {
        assert!(Instant::now() < deadline, "it never tried again");
    }
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
    let gateway = gateway(&[quoted(&a), quoted(&b)], &format!("balance = \"round-robin\"\n{}", BREAKER.replace("300ms", "60s")), "", "");
    a.answers(503);
    let statuses: Vec<u16> = (0..40).map(|_| status(&gateway)).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 4, "{statuses:?}");
}
