//! Tests limits: which requests are rejected, their error responses, and when permits are freed.

use crate::harness::contract::assert_contract;
use crate::harness::{Client, GatewayUnderTest, Origin, get, send};

fn gateway(origin: &Origin, limits: &str, route: &str) -> GatewayUnderTest {
    GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\n{limits}\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n{route}\n",
        origin.address
    ))
}

#[test]
fn a_rate_limit_answers_429_with_the_whole_story() {
    let origin = Origin::echo();
    let gateway =
        gateway(&origin, "[limits.per_client]\nrate = \"1/h\"\nburst = 2", "limits = [\"per_client\"]\nrate_limit_headers = true");
    for left in [1, 0] {
        let response = get(gateway.address, "/");
        assert_eq!(response.status, 200);
        assert_eq!(response.header("ratelimit"), Some(format!("\"per_client\";r={left};t=3600").as_str()));
        assert_eq!(response.header("ratelimit-policy"), Some("\"per_client\";q=1;w=3600"));
    }
    let response = get(gateway.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (429, "RATE_LIMITED".into()));
    assert_eq!(response.header("proxy-status"), Some("lockgate; error=http_request_error"));
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&wait), "{wait}");
    let details = &response.json()["error"]["details"];
    assert_eq!(details["retryAfterSeconds"], wait);
    assert_eq!(details["violatedPolicies"][0]["name"], "per_client");
    assert!(response.header("ratelimit").unwrap().starts_with("\"per_client\";r=0;t="));
    assert_eq!(origin.requests().len(), 2);
    gateway.wait_for_metric("lockgate_rate_limited_total{limit=\"per_client\"} 1");
}

#[test]
fn keys_tell_clients_apart() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "[limits.by_key]\nrate = \"1/h\"\nkey = \"header:X-Api-Key\"", "limits = [\"by_key\"]");
    let ask = |key: &str| send(gateway.address, format!("GET / HTTP/1.1\r\nHost: a\r\n{key}\r\n")).status;
    assert_eq!([ask("X-Api-Key: a\r\n"), ask("X-Api-Key: a\r\n"), ask("X-Api-Key: b\r\n")], [200, 429, 200]);
    assert_eq!([ask(""), ask("")], [200, 429], "to leave the header out is no way round");
}

/// A gateway that trusts its clients to say who they are.
fn keyed(origin: &Origin, key: &str) -> GatewayUnderTest {
    let limits = format!("[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n[limits.l]\nrate = \"1/d\"\nkey = {key}");
    gateway(origin, &limits, "limits = [\"l\"]")
}

#[test]
fn cookies_and_parameters_are_keys_and_the_address_stands_in_for_them() {
    let origin = Origin::echo();
    let ask = |gateway: &GatewayUnderTest, target: &str, client: &str, more: &str| {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n{more}Connection: close\r\n\r\n");
        send(gateway.address, head).status
    };
    let (one, two) = ("192.0.2.1", "192.0.2.2");
    let by_cookie = keyed(&origin, "\"cookie:session\"");
    for (client, cookie, status) in [
        (one, "Cookie: a=1; session=x\r\n", 200),
        (two, "Cookie: session=x; session2=y\r\n", 429),
        (one, "Cookie: session=y\r\n", 200),
        (one, "", 200),
        (one, "Cookie: session=\r\n", 429),
        (one, "Cookie: session=z; session=w\r\n", 429),
        (two, "", 200),
    ] {
        assert_eq!(ask(&by_cookie, "/", client, cookie), status, "{client} {cookie}");
    }
    let by_query = keyed(&origin, "\"query:api key\"");
    for (client, target, status) in [
        (one, "/?api+key=a%2Fb", 200),
        (two, "/?x=1&api%20key=a/b", 429),
        (one, "/?api+key=c", 200),
        (one, "/", 200),
        (one, "/?api+key=d&api+key=e", 429),
        (two, "/?api+key=", 200),
    ] {
        assert_eq!(ask(&by_query, target, client, ""), status, "{client} {target}");
    }
    let combined = keyed(&origin, "[\"header:X-Api-Key\", \"client-ip\"]");
    for (client, key, status) in [
        (one, "X-Api-Key: a\r\n", 200),
        (one, "X-Api-Key: a\r\n", 429),
        (two, "X-Api-Key: a\r\n", 200),
        (one, "X-Api-Key: b\r\n", 200),
        (one, "", 200),
        (one, "X-Api-Key: c\r\nX-Api-Key: d\r\n", 429),
    ] {
        assert_eq!(ask(&combined, "/", client, key), status, "{client} {key}");
    }
}

#[test]
fn keys_that_say_nothing_are_errors() {
    for (key, part) in [
        ("[]", "`key` is empty"),
        ("\"cookie:a b\"", "`key` is not valid"),
        ("\"query:\"", "`key` is not valid"),
        ("[\"client-ip\", \"client-ip\"]", "listed twice"),
        ("[\"client-ip\", \"global\"]", "has no effect in a list"),
    ] {
        let text = format!("[limits.l]\nrate = \"1/s\"\nkey = {key}\n[[routes]]\npath = \"/\"\nrespond = {{ status = 200 }}\n");
        let found = lockgate::plan::compile::from_text(&text, &|_| None).unwrap_err();
        assert!(found.iter().any(|problem| problem.title.contains(part)), "{key}: {found:?}");
    }
}

#[test]
fn every_limit_of_a_route_counts() {
    let origin = Origin::echo();
    let limits = "[limits.short]\nrate = \"1/h\"\nkey = \"global\"\n[limits.long]\nrate = \"5/d\"\nkey = \"route\"";
    let gateway = gateway(&origin, limits, "limits = [\"long\", \"short\"]");
    assert_eq!(get(gateway.address, "/").status, 200);
    let response = get(gateway.address, "/");
    assert_eq!(response.json()["error"]["details"]["violatedPolicies"][0]["name"], "short");
}

#[test]
fn limits_hold_over_all_workers() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "[limits.l]\nrate = \"10/d\"\n[listen]\nworkers = 4", "limits = [\"l\"]");
    let statuses: Vec<u16> = (0..30).map(|_| get(gateway.address, "/").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10, "{statuses:?}");
}

#[test]
fn places_of_a_backend_are_limited_and_come_back() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::start(move |c| {
        if c.head.contains("/hold") {
            wait.lock().unwrap().recv().unwrap();
        }
        c.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\nmax_in_flight = 1\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        origin.address
    ));
    let mut holder = Client::connect(gateway.address);
    holder.write("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    let response = get(gateway.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (503, "OVERLOADED".into()));
    assert_eq!(response.header("proxy-status"), Some("lockgate; error=connection_limit_reached"));
    go.send(()).unwrap();
    assert_eq!(holder.response("GET").status, 200);
    gateway.wait_for_metric("lockgate_requests_total{route=\"/*\",backend=\"o\",code=\"200\",reason=\"\"} 1");
    assert_eq!(get(gateway.address, "/").status, 200);
}

#[test]
fn a_pool_at_its_bound_makes_requests_wait_their_turn() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::start(&format!(
        "[listen]\nworkers = 2\n[backends.o]\nendpoints = [\"http://{}\"]\npool = {{ max_connections = 1 }}\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        origin.address
    ));
    let address = gateway.address;
    let clients: Vec<_> =
        (0..8).map(|_| std::thread::spawn(move || (0..20).map(|_| get(address, "/").status).collect::<Vec<_>>())).collect();
    for client in clients {
        assert!(client.join().unwrap().iter().all(|status| *status == 200));
    }
}

#[test]
fn connections_over_the_limit_are_told_so() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[listen]\nmax_connections = 1\n");
    let mut first = Client::connect(gateway.address);
    first.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(first.response("GET").status, 200);
    let response = get(gateway.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (503, "OVERLOADED".into()));
}
