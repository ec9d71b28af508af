//! Tests load balancing: weights, round robin, hash keys, drained endpoints, and names with several addresses.

use std::collections::HashMap;
use std::time::Duration;

use lockgate::upstream::choose::backend::EndpointQuery;
use lockgate::upstream::choose::endpoint::AttemptOutcome;

use super::{Named, count, gateway, quoted};
use crate::harness::contract::assert_contract;
use crate::harness::{Response, get, send};

fn weighted(named: &Named, more: &str) -> String {
    format!("{{ url = \"{}\", {more} }}", named.url())
}

#[test]
fn turns_follow_the_weights() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    let gateway = gateway(&[weighted(&a, "weight = 3"), quoted(&b)], "balance = \"round-robin\"", "", "");
    let answers: Vec<Response> = (0..20).map(|_| get(gateway.address, "/")).collect();
    assert_eq!((count(&answers, "a"), count(&answers, "b")), (15, 5));
}

#[test]
fn least_requests_keeps_the_weights_of_idle_endpoints() {
    let text = "[backends.o]\nendpoints = [{ url = \"http://10.0.0.1\", weight = 3 }, \"http://10.0.0.2\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n";
    let plan = lockgate::plan::compile::from_text(text, &|_| None).unwrap();
    let wish = EndpointQuery { now: tokio::time::Instant::now(), key: None, tried: &[], only_good: false };
    let lighter = (0..4000).filter(|_| plan.backends[0].choose(wish).unwrap().endpoint.target.url.ends_with(".2")).count();
    assert!((850..1150).contains(&lighter), "{lighter} of 4000 at a weight of 1 to 3");
}

#[test]
fn least_requests_keeps_the_weights_of_endpoints_at_work() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    let gateway = gateway(&[weighted(&a, "weight = 180"), weighted(&b, "weight = 20")], "", "", "");
    let answers: Vec<Response> = (0..400).map(|_| get(gateway.address, "/")).collect();
    let light = count(&answers, "b");
    assert!((15..70).contains(&light) && count(&answers, "a") == 400 - light, "{light} of 400 at a weight of 1 to 9");
}

#[test]
fn an_endpoint_that_fails_at_once_is_not_taken_for_a_fast_one() {
    let text = "[backends.o]\nendpoints = [\"http://10.0.0.1\", \"http://10.0.0.2\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n";
    let plan = lockgate::plan::compile::from_text(text, &|_| None).unwrap();
    let now = tokio::time::Instant::now();
    let query = EndpointQuery { now, key: None, tried: &[], only_good: false };
    let mut failed = 0;
    for _ in 0..100 {
        let mut permit = plan.backends[0].choose(query).unwrap();
        if permit.endpoint.target.url.ends_with(".2") {
            failed += 1;
            permit.record(AttemptOutcome::Answered(500), Duration::from_millis(1), now);
        } else {
            permit.record(AttemptOutcome::Answered(200), Duration::from_millis(100), now);
        }
    }
    // It is asked until it has failed; then a success after a tenth of a second is better.
    assert_eq!(failed, 1, "of 100 requests");
}

#[test]
fn a_key_stays_with_its_endpoint_and_moves_only_when_that_is_lost() {
    let origins = [Named::start("a"), Named::start("b"), Named::start("c")];
    let ask = |lost: Option<usize>| {
        let endpoint = |(at, named): (usize, &Named)| weighted(named, if lost == Some(at) { "drain = true" } else { "weight = 1" });
        let endpoints: Vec<String> = origins.iter().enumerate().map(endpoint).collect();
        let gateway = gateway(&endpoints, "balance = \"hash:header:X-Session\"", "", "");
        let one =
            |n: u32| send(gateway.address, format!("GET / HTTP/1.1\r\nHost: a\r\nX-Session: s{n}\r\nConnection: close\r\n\r\n")).text();
        (0..40).map(|n| (n, one(n))).collect::<HashMap<u32, String>>()
    };
    let (all, again, without_b) = (ask(None), ask(None), ask(Some(1)));
    assert_eq!(all, again, "another process chooses the same");
    assert!(["a", "b", "c"].iter().all(|name| all.values().any(|found| found == name)), "{all:?}");
    for (key, before) in &all {
        let after = &without_b[key];
        assert!(if before == "b" { after != "b" } else { after == before }, "{key}: {before} to {after}");
    }
}

#[test]
fn a_drained_endpoint_gets_no_new_request_and_a_backend_of_them_answers_503() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    let gateway_ = gateway(&[weighted(&a, "drain = true"), quoted(&b)], "", "", "");
    let answers: Vec<Response> = (0..10).map(|_| get(gateway_.address, "/")).collect();
    assert_eq!((count(&answers, "b"), a.asked()), (10, 0));
    let gateway_ = gateway(&[weighted(&a, "drain = true")], "", "", "");
    let response = get(gateway_.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (503, "UPSTREAM_UNAVAILABLE".into()));
    assert_eq!(response.header("proxy-status"), Some("lockgate; error=destination_unavailable"));
}

#[test]
fn an_endpoint_cannot_be_there_twice() {
    let text = "[backends.o]\nendpoints = [\"http://10.0.0.1\", \"http://10.0.0.1\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n";
    let problems = lockgate::plan::compile::from_text(text, &|_| None).unwrap_err();
    assert!(problems.iter().any(|problem| problem.title.contains("twice")), "{problems:?}");
}

#[test]
fn every_address_of_a_name_is_an_endpoint() {
    let a = Named::start("a");
    let url = format!("http://localhost:{}", a.origin.address.port());
    let gateway = gateway(&[format!("\"{url}\"")], "dns_refresh = \"1s\"", "", "");
    // Where the name has an IPv6 address too, nobody listens there: requests go to the other.
    for _ in 0..8 {
        assert_eq!(get(gateway.address, "/").text(), "a");
    }
    gateway.wait_for_metric(&format!("lockgate_endpoint_up{{backend=\"o\",endpoint=\"{url} (127.0.0.1)\"}} 1"));
}
