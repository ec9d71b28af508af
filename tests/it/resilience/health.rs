//! Tests health probes: unhealthy endpoints, their return, and panic mode when too many endpoints are unhealthy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{gateway, reply};
use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, eventually, get};

struct Probed {
    origin: Origin,
    well: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
}

impl Probed {
    fn start() -> Self {
        let (well, served) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let (tells, counts) = (Arc::clone(&well), Arc::clone(&served));
        let origin = Origin::start(move |c| {
            loop {
                if c.head.starts_with("GET /health ") {
                    assert!(c.head.contains("lockgate-probe"), "{}", c.head);
                    reply(c, if tells.load(Ordering::SeqCst) { 204 } else { 500 }, "", "");
                } else {
                    counts.fetch_add(1, Ordering::SeqCst);
                    reply(c, 200, "", "ok");
                }
                if !c.next_head() {
                    return;
                }
            }
        });
        Self { origin, well, served }
    }

    fn is(&self, well: bool) {
        self.well.store(well, Ordering::SeqCst);
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

fn start(origins: &[&Probed], more: &str) -> GatewayUnderTest {
    let endpoints: Vec<String> = origins.iter().map(|probed| format!("\"http://{}\"", probed.origin.address)).collect();
    let health = format!(
        "slow_start = \"off\"\n[backends.o.health]\npath = \"/health\"\nevery = \"20ms\"\nunhealthy_after = 2\nhealthy_after = 2\n{more}"
    );
    gateway(&endpoints, &health, "", "")
}

fn wait_until(gateway: &GatewayUnderTest, probed: &Probed, up: u8) {
    gateway.wait_for_metric(&format!("lockgate_endpoint_up{{backend=\"o\",endpoint=\"http://{}\"}} {up}", probed.origin.address));
}

/// Requests until an endpoint has served one more than `before`.
fn served_again(gateway: &GatewayUnderTest, probed: &Probed, before: usize) {
    eventually("the endpoint gets requests again", || {
        assert_eq!(get(gateway.address, "/").status, 200);
        probed.served() > before
    });
}

#[test]
fn an_unhealthy_endpoint_gets_nothing_until_it_is_back() {
    let (a, b) = (Probed::start(), Probed::start());
    let gateway = start(&[&a, &b], "");
    a.is(false);
    wait_until(&gateway, &a, 0);
    let before = a.served();
    assert!((0..20).all(|_| get(gateway.address, "/").status == 200));
    assert_eq!(a.served(), before);
    a.is(true);
    wait_until(&gateway, &a, 1);
    served_again(&gateway, &a, before);
}

#[test]
fn without_a_healthy_endpoint_the_answer_is_503() {
    let a = Probed::start();
    let gateway = start(&[&a], "");
    assert_eq!(get(gateway.address, "/").status, 200);
    a.is(false);
    wait_until(&gateway, &a, 0);
    let response = get(gateway.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (503, "UPSTREAM_UNAVAILABLE".into()));
    a.is(true);
    wait_until(&gateway, &a, 1);
    assert_eq!(get(gateway.address, "/").status, 200);
}

#[test]
fn when_too_many_are_out_all_are_used() {
    let (a, b, c) = (Probed::start(), Probed::start(), Probed::start());
    let gateway = start(&[&a, &b, &c], "panic_below = \"50%\"");
    a.is(false);
    wait_until(&gateway, &a, 0);
    let before = a.served();
    assert!((0..20).all(|_| get(gateway.address, "/").status == 200));
    assert_eq!(a.served(), before, "two of three are enough");
    b.is(false);
    wait_until(&gateway, &b, 0);
    served_again(&gateway, &a, before);
}

#[test]
fn what_is_expected_can_be_said() {
    let a = Probed::start();
    let gateway = start(&[&a], "expect = \"500\"");
    wait_until(&gateway, &a, 0);
    a.is(false);
    wait_until(&gateway, &a, 1);
}
