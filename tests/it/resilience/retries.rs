//! Tests which requests are retried and which are not.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::{Named, closed_port, gateway, quoted, reply};
use crate::harness::contract::assert_contract;
use crate::harness::{Client, Origin, get, send};

fn post(path: &str, more: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n{more}Connection: close\r\n\r\n{body}", body.len())
}

#[test]
fn a_stale_connection_is_replayed_for_idempotent_requests_only() {
    // Answers once per connection and closes it when the next request has been written.
    let origin = Origin::start(|c| {
        let body = c.body();
        reply(c, 200, "", &format!("{}{}", c.head.lines().next().unwrap(), String::from_utf8_lossy(&body)));
        c.next_head();
    });
    let gateway = gateway(&[format!("\"http://{}\"", origin.address)], "", "", "");
    assert_eq!(get(gateway.address, "/first").status, 200);
    let second = get(gateway.address, "/second?x=1");
    assert_eq!((second.status, second.text()), (200, "GET /second?x=1 HTTP/1.1".to_owned()), "{second:?}");
    gateway.log_line(&["/second", "\"attempts\":2"]);
    let heads = origin.requests();
    let twice: Vec<_> = heads.iter().filter(|head| head.contains("/second")).collect();
    assert_eq!(twice.len(), 2);
    assert_eq!(twice[0], twice[1], "the same request, byte for byte");
    // A POST might have been done: it is not repeated.
    let third = send(gateway.address, post("/third", "", "x"));
    assert_eq!((third.status, assert_contract("POST", &third)), (502, "UPSTREAM_CONNECTION_LOST".into()));
    assert_eq!(origin.requests().iter().filter(|head| head.contains("/third")).count(), 1);
}

#[test]
fn what_was_never_sent_goes_elsewhere_whatever_its_method() {
    let good = Named::start("good");
    let gateway = gateway(&[closed_port(), quoted(&good)], "balance = \"round-robin\"", "", "");
    for _ in 0..6 {
        let response = send(gateway.address, post("/", "", "!"));
        assert_eq!((response.status, response.text()), (200, "good!".to_owned()));
    }
    gateway.wait_for_metric("lockgate_retries_total{backend=\"o\",reason=\"unsent\",outcome=\"success\"} 3");
    gateway.wait_for_metric("lockgate_retries_total{backend=\"o\",reason=\"connect\",outcome=\"success\"} 0");
}

#[test]
fn a_status_is_retried_elsewhere_when_the_route_says_so_and_the_request_may_be_repeated() {
    let (bad, good) = (Named::start("bad"), Named::start("good"));
    bad.answers(503);
    let retry = "retry = { attempts = 2, on = [\"503\"], budget = \"100%\", idempotency_key = true }";
    let gateway = gateway(&[quoted(&bad), quoted(&good)], "balance = \"round-robin\"", retry, "");
    for _ in 0..6 {
        assert_eq!(get(gateway.address, "/").text(), "good");
    }
    let put = send(gateway.address, post("/", "", "body").replace("POST", "PUT"));
    assert_eq!((put.status, put.text()), (200, "goodbody".to_owned()));
    // Round robin: of two plain POSTs one meets the bad endpoint, and is told so.
    let posts: Vec<_> = (0..2).map(|_| send(gateway.address, post("/", "", "x"))).collect();
    assert_eq!(posts.iter().filter(|response| response.status == 200).count(), 1);
    let refused = posts.iter().find(|response| response.status == 503).unwrap();
    assert_eq!(assert_contract("POST", refused), "UPSTREAM_UNAVAILABLE");
    let keyed: Vec<_> = (0..4).map(|_| send(gateway.address, post("/", "Idempotency-Key: 7\r\n", "k")).text()).collect();
    assert!(keyed.iter().all(|text| text == "goodk"), "{keyed:?}");
}

#[test]
fn a_lost_answer_is_retried_within_the_attempts() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let origin = Origin::start(move |c| {
        if counted.fetch_add(1, Ordering::SeqCst) < 2 {
            c.reset();
        } else {
            c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let endpoints = [format!("\"http://{}\"", origin.address)];
    let gateway = gateway(&endpoints, "", "retry = { attempts = 3, on = [\"lost\"], backoff = \"1ms\" }", "");
    assert_eq!(get(gateway.address, "/").status, 200);
    assert_eq!(tries.load(Ordering::SeqCst), 3);
    for outcome in ["failure", "success"] {
        gateway.wait_for_metric(&format!("lockgate_retries_total{{backend=\"o\",reason=\"lost\",outcome=\"{outcome}\"}} 1"));
    }
}

#[test]
fn a_long_retry_after_is_the_clients_to_wait_for() {
    let origin = Origin::start(|c| reply(c, 503, "Retry-After: 60\r\n", "busy"));
    let endpoints = [format!("\"http://{}\"", origin.address)];
    let gateway = gateway(&endpoints, "", "retry = { attempts = 5, on = [\"503\"] }", "");
    let response = get(gateway.address, "/");
    assert_eq!((response.status, response.header("retry-after")), (503, Some("60")));
    assert_contract("GET", &response);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn retries_stay_within_the_budget() {
    let bad = Named::start("bad");
    bad.answers(503);
    let gateway = gateway(&[quoted(&bad)], "", "retry = { attempts = 3, on = [\"503\"], budget = \"20%\", backoff = \"1ms\" }", "");
    for _ in 0..100 {
        assert_contract("GET", &get(gateway.address, "/"));
    }
    // A fifth of the requests, and the ten that were saved.
    assert!((120..=130).contains(&bad.asked()), "{}", bad.asked());
}

#[test]
fn a_retry_never_outlives_the_deadline() {
    let origin = Origin::start(|c| c.hang());
    let endpoints = [format!("\"http://{}\"", origin.address)];
    let route = "response_timeout = \"1s\"\ntotal_timeout = \"3s\"\nretry = { attempts = 10, on = [\"timeout\"], backoff = \"1ms\" }";
    let gateway = gateway(&endpoints, "", route, "");
    let response = get(gateway.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (504, "UPSTREAM_TIMEOUT".into()));
    // Ten tries are allowed. The deadline leaves time for three, each as long as the response clock, and for the beginning of a fourth.
    assert!((2..=4).contains(&origin.requests().len()), "{}", origin.requests().len());
}

#[test]
fn a_hedge_answers_for_a_slow_try() {
    let slow = Arc::new(AtomicUsize::new(0));
    let origin = |name: &'static str, slow: &Arc<AtomicUsize>| {
        let slow = Arc::clone(slow);
        Origin::start(move |c| {
            loop {
                if c.head.contains("/slow") && slow.fetch_add(1, Ordering::SeqCst) == 0 {
                    c.hang();
                    return;
                }
                reply(c, 200, "", name);
                if !c.next_head() {
                    return;
                }
            }
        })
    };
    let (a, b) = (origin("a", &slow), origin("b", &slow));
    let endpoints = [format!("\"http://{}\"", a.address), format!("\"http://{}\"", b.address)];
    let gateway = gateway(&endpoints, "balance = \"round-robin\"", "retry = { hedge = \"p95\" }", "");
    let mut client = Client::connect(gateway.address);
    for _ in 0..40 {
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response("GET").status, 200);
    }
    assert_eq!(get(gateway.address, "/slow").status, 200);
    assert_eq!(slow.load(Ordering::SeqCst), 2, "both endpoints were asked");
    gateway.log_line(&["/slow", "\"attempts\":2", "\"status\":200"]);
}

/// A hedge is a retry that the budget pays: where most answers are slow, not each of them is asked for twice.
#[test]
fn hedges_stay_within_the_budget() {
    const SLOW: usize = 15;
    // The first of the two endpoints that is asked for a slow path never answers, the other answers at once.
    let asked: Arc<Mutex<HashSet<String>>> = Arc::default();
    let origin = |asked: &Arc<Mutex<HashSet<String>>>| {
        let asked = Arc::clone(asked);
        Origin::start(move |c| {
            loop {
                let path = c.head.split(' ').nth(1).unwrap().to_owned();
                if path.starts_with("/slow") && asked.lock().unwrap().insert(path) {
                    return c.hang();
                }
                reply(c, 200, "", "ok");
                if !c.next_head() {
                    return;
                }
            }
        })
    };
    let (a, b) = (origin(&asked), origin(&asked));
    let endpoints = [format!("\"http://{}\"", a.address), format!("\"http://{}\"", b.address)];
    let gateway = gateway(&endpoints, "balance = \"round-robin\"", "retry = { hedge = \"p95\", budget = \"1%\" }", "");
    for _ in 0..40 {
        assert_eq!(get(gateway.address, "/").status, 200);
    }
    let answered = (0..SLOW)
        .filter(|n| {
            // Without a second try it is answered at its deadline.
            let deadline = jiff::Timestamp::try_from(SystemTime::now() + Duration::from_secs(2)).unwrap();
            let request = format!("GET /slow{n} HTTP/1.1\r\nHost: a\r\nX-Request-Deadline: {deadline}\r\nConnection: close\r\n\r\n");
            let response = send(gateway.address, request);
            assert!(response.status == 200 || assert_contract("GET", &response) == "UPSTREAM_TIMEOUT", "{response:?}");
            response.status == 200
        })
        .count();
    // Ten were saved, and a hundredth of the requests is none.
    assert!((1..=10).contains(&answered), "{answered} of {SLOW} were asked for twice");
}

#[test]
fn a_body_too_large_to_keep_is_sent_once() {
    let bad = Named::start("bad");
    bad.answers(503);
    let gateway = gateway(&[quoted(&bad)], "", "retry = { attempts = 3, on = [\"503\"], max_body = \"1KiB\", backoff = \"1ms\" }", "");
    let large = "x".repeat(2000);
    assert_eq!(send(gateway.address, post("/", "", &large).replace("POST", "PUT")).status, 503);
    assert_eq!(bad.asked(), 1);
    assert_eq!(send(gateway.address, post("/", "", "small").replace("POST", "PUT")).status, 503);
    assert_eq!(bad.asked(), 4);
}

#[test]
fn what_another_client_wrote_is_never_sent_in_a_requests_place() {
    // The first request of a connection is answered, the second is not.
    let origin = Origin::start(|c| {
        reply(c, 200, "", "ok");
        c.next_head();
    });
    let endpoints = [format!("\"http://{}\"", origin.address)];
    let gateway = gateway(&endpoints, "", "retry = { attempts = 3, on = [\"lost\", \"503\"] }", "");
    let mine = send(gateway.address, "GET /mine HTTP/1.1\r\nHost: a\r\nCookie: session=hunter2\r\nConnection: close\r\n\r\n");
    assert_eq!(mine.status, 200);
    // Authenticates its connection: it may not go out again.
    let theirs = send(gateway.address, "GET /theirs HTTP/1.1\r\nHost: a\r\nAuthorization: Negotiate abc\r\nConnection: close\r\n\r\n");
    assert_eq!((theirs.status, assert_contract("GET", &theirs)), (502, "UPSTREAM_CONNECTION_LOST".into()));
    let heads = origin.requests();
    assert_eq!(heads.iter().filter(|head| head.contains("/mine")).count(), 1, "{heads:?}");
    assert_eq!(heads.iter().filter(|head| head.contains("/theirs")).count(), 1, "{heads:?}");
}

#[test]
fn an_empty_body_is_told_as_empty_again() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let origin = Origin::start(move |c| {
        let status = if counted.fetch_add(1, Ordering::SeqCst) == 0 { 503 } else { 200 };
        reply(c, status, "", "ok");
    });
    let endpoints = [format!("\"http://{}\"", origin.address)];
    let gateway = gateway(&endpoints, "", "retry = { attempts = 2, on = [\"503\"], backoff = \"1ms\" }", "");
    assert_eq!(send(gateway.address, post("/", "", "").replace("POST", "PUT")).status, 200);
    assert!(origin.requests().iter().all(|head| head.contains("content-length: 0")), "{:?}", origin.requests());
}

/// A new connection that closes before anything was written is the endpoint's failure: the request goes elsewhere, and soon nobody asks
/// that endpoint first.
#[test]
fn an_endpoint_that_closes_new_connections_counts_as_failing() {
    let good = Named::start("good");
    let closes = Origin::start_on_connect(|_| {});
    let gateway = gateway(&[format!("\"http://{}\"", closes.address), quoted(&good)], "balance = \"round-robin\"", "", "");
    let failed = (0..60).filter(|_| send(gateway.address, post("/", "", "x")).status != 200).count();
    // Where the request was written before the end was seen, it may have been served: a POST is not sent again.
    // Three in a row eject the endpoint; then it is tried again after one second, two, four and so on.
    assert!(failed <= 10, "{failed} of 60 failed");
    assert!(closes.connections() <= 30, "{} connections to the endpoint that closes them", closes.connections());
}
