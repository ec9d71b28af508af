//! Tests the export of traces: the spans that a collector gets, and what becomes of requests when it misbehaves.

pub mod collector;
mod proto;
pub mod secure;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use self::collector::Collector;
use self::proto::{Span, attribute};
use crate::harness::contract::assert_contract;
use crate::harness::{Client, GatewayUnderTest, Origin, Temporary, get, send};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// One `GET` with these further header lines.
fn ask(gateway: &GatewayUnderTest, target: &str, headers: &str) -> crate::harness::Response {
    send(gateway.address, format!("GET {target} HTTP/1.1\r\nHost: shop.example:81\r\n{headers}Connection: close\r\n\r\n"))
}

/// The value of a header in a head.
fn header(head: &str, name: &str) -> Option<String> {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Takes the server spans out of these.
fn split(spans: Vec<Span>) -> (Vec<Span>, Vec<Span>) {
    spans.into_iter().partition(Span::is_server)
}

#[test]
fn a_request_is_a_server_span_and_its_attempt_a_client_span() {
    let (origin, collector) = (Origin::echo(), Collector::start());
    let gateway = GatewayUnderTest::in_front_of(origin.address, &collector.table("sample = 1\n"));
    let response = ask(&gateway, "/orders/7?token=hunter2&page=2", "User-Agent: curl/8\r\n");
    assert_eq!(response.status, 200);

    let (servers, clients) = split(collector.spans(2));
    let ([server], [client]) = (&servers[..], &clients[..]) else { panic!("{servers:#?} {clients:#?}") };
    assert_eq!((server.name.as_str(), client.name.as_str(), server.parent().as_str()), ("GET /*", "GET", ""));
    assert_eq!((client.parent(), client.trace(), client.kind), (server.id(), server.trace(), 3));
    let port = origin.address.port().to_string();
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.scheme", "http"),
        ("url.path", "/orders/7"),
        ("url.query", "token=***&page=***"),
        ("server.address", "shop.example"),
        ("server.port", "81"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "curl/8"),
        ("http.route", "/*"),
        ("http.response.status_code", "200"),
        ("lockgate.request_id", response.header("x-request-id").unwrap()),
        ("lockgate.route", "all"),
        ("lockgate.backend", "o"),
    ] {
        assert_eq!(server.get(key).as_deref(), Some(value), "{key} in {server:#?}");
    }
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.scheme", "http"),
        ("server.address", "127.0.0.1"),
        ("server.port", port.as_str()),
        ("network.protocol.version", "1.1"),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(client.get(key).as_deref(), Some(value), "{key} in {client:#?}");
    }
    for absent in ["error.type", "http.request.resend_count", "lockgate.code"] {
        assert_eq!((server.get(absent), client.get(absent)), (None, None), "{absent}");
    }
    assert!(server.start <= client.start && client.start <= client.end && client.end <= server.end, "{server:#?} {client:#?}");
    assert!(!server.is_error() && !client.is_error() && server.events.is_empty());
    // Sampled and random; the parent of the client span is here.
    assert_eq!((server.flags, client.flags), (0x103, 0x103));

    let seen = header(&origin.requests()[0], "traceparent").unwrap();
    assert_eq!(seen, format!("00-{}-{}-03", client.trace(), client.id()), "the upstream's parent is the client span");
    assert_eq!(gateway.log_line(&["\"path\":\"/orders/7\""])["traceId"], server.trace());
    gateway.wait_for_metric("lockgate_trace_spans_exported_total 2");
}

#[test]
fn a_batch_is_protobuf_with_gzip_and_says_whose_it_is() {
    let (origin, collector) = (Origin::echo(), Collector::start());
    let token = Temporary::file("otlp-token", "Bearer hunter2\n");
    let more = "sample = 1\nservice_name = \"shop-gateway\"\nresource = { \"deployment.environment.name\" = \"test\" }\n\
                ";
    let headers = format!("headers = {{ authorization = \"file:{}\" }}\n", token.display());
    let table = format!("[telemetry]\notlp = \"http://{}/base/\"\n{more}{headers}", collector.address());
    let gateway = GatewayUnderTest::in_front_of(origin.address, &table);
    get(gateway.address, "/");
    let batch = collector.wait_for_batches(1).remove(0);
    assert!(batch.head.starts_with("POST /base/v1/traces HTTP/1.1\r\n"), "{}", batch.head);
    let of = |name| header(&batch.head, name).unwrap_or_default();
    assert_eq!((of("content-type"), of("content-encoding")), ("application/x-protobuf".to_owned(), "gzip".to_owned()));
    assert_eq!(of("host"), collector.address().to_string());
    assert_eq!((of("authorization"), of("user-agent")), ("Bearer hunter2".to_owned(), format!("lockgate/{}", env!("CARGO_PKG_VERSION"))));
    let [resource] = &batch.request.resource_spans[..] else { panic!("{:#?}", batch.request) };
    let attributes = &resource.resource.as_ref().unwrap().attributes;
    let expected =
        [("service.name", "shop-gateway"), ("service.version", env!("CARGO_PKG_VERSION")), ("deployment.environment.name", "test")];
    for (key, value) in expected {
        assert_eq!(attribute(attributes, key).as_deref(), Some(value), "{key}");
    }
    let scope = resource.scope_spans[0].scope.as_ref().unwrap();
    assert_eq!((scope.name.as_str(), scope.version.as_str()), ("lockgate", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_parent_of_a_client_is_continued() {
    let (origin, collector) = (Origin::echo(), Collector::start());
    let gateway = GatewayUnderTest::in_front_of(origin.address, &collector.table("sample = 0\n"));
    ask(&gateway, "/", &format!("traceparent: {PARENT}\r\ntracestate: vendor=1\r\n"));
    let (servers, clients) = split(collector.spans(2));
    assert_eq!((servers[0].trace().as_str(), servers[0].parent().as_str()), (&PARENT[3..35], &PARENT[36..52]));
    assert_eq!(servers[0].flags, 0x301, "sampled; the parent is elsewhere");
    let head = &origin.requests()[0];
    assert_eq!(header(head, "traceparent").unwrap(), format!("00-{}-{}-01", &PARENT[3..35], clients[0].id()));
    assert_eq!(header(head, "tracestate").as_deref(), Some("vendor=1"));
}

#[test]
fn the_client_decides_whether_its_trace_is_recorded() {
    let (origin, collector) = (Origin::echo(), Collector::start());
    let gateway = GatewayUnderTest::in_front_of(origin.address, &collector.table("sample = 1\nerrors_always = false\n"));
    ask(&gateway, "/quiet", &format!("traceparent: {UNSAMPLED}\r\n"));
    assert_eq!(header(&origin.requests()[0], "traceparent").as_deref(), Some(UNSAMPLED), "not touched");
    ask(&gateway, "/told", "");
    let (servers, _) = split(collector.spans(2));
    assert_eq!(servers[0].get("url.path").as_deref(), Some("/told"));
    assert_eq!(collector.now().len(), 2);
}

#[test]
fn a_parent_that_is_not_valid_begins_a_new_trace() {
    let (origin, collector) = (Origin::echo(), Collector::start());
    let gateway = GatewayUnderTest::in_front_of(origin.address, &collector.table("sample = 1\n"));
    let wrong = ["00-0-0-01".to_owned(), PARENT.to_uppercase(), format!("{PARENT}\r\ntraceparent: {PARENT}")];
    for wrong in &wrong {
        ask(&gateway, "/", &format!("traceparent: {wrong}\r\ntracestate: vendor=1\r\n"));
    }
    // And a client cannot take the trace away from what the gateway asks on its behalf.
    send(gateway.address, format!("GET / HTTP/1.1\r\nHost: a\r\ntraceparent: {PARENT}\r\nConnection: close, traceparent\r\n\r\n"));
    let (servers, clients) = split(collector.spans(8));
    for (number, head) in origin.requests().iter().enumerate() {
        let seen: Vec<&str> = head.lines().filter(|line| line.to_ascii_lowercase().starts_with("traceparent:")).collect();
        assert_eq!(seen.len(), 1, "{head}");
        let seen = header(head, "traceparent").unwrap();
        let client = clients.iter().find(|client| client.id() == seen[36..52]).unwrap();
        let server = servers.iter().find(|server| server.id() == client.parent()).unwrap();
        assert_eq!((server.parent().is_empty(), header(head, "tracestate")), (number < 3, None), "{head}");
    }
}

#[test]
fn every_attempt_has_a_span_whose_id_its_upstream_sees() {
    let (origin, collector) = (
        Origin::start(|conversation| {
            let fails = conversation.number == 0;
            conversation.say(if fails {
                "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n"
            } else {
                "HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n"
            });
        }),
        Collector::start(),
    );
    let toml = format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \"/orders/*\"\nbackend = \"o\"\nretry = {{ attempts = 2, on = [\"503\"] }}\n{}",
        origin.address,
        collector.table("sample = 1\n")
    );
    let gateway = GatewayUnderTest::start(&toml);
    assert_eq!(get(gateway.address, "/orders/1").status, 200);
    let (servers, clients) = split(collector.spans(3));
    assert_eq!((servers[0].name.as_str(), servers[0].events()), ("GET /orders/*", vec!["retry"]));
    let statuses: Vec<_> =
        clients.iter().map(|span| span.all(&["http.response.status_code", "http.request.resend_count", "error.type"])).collect();
    assert_eq!(statuses, [["503", "", "503"], ["200", "1", ""]]);
    assert!(clients[0].is_error() && !clients[1].is_error() && clients[0].end <= clients[1].start);
    let seen: Vec<String> = origin.requests().iter().map(|head| header(head, "traceparent").unwrap()[36..52].to_owned()).collect();
    assert_eq!(seen, [clients[0].id(), clients[1].id()]);
}

#[test]
fn a_request_that_fails_is_exported_whatever_was_decided() {
    let (origin, collector) = (Origin::start(|conversation| conversation.reset()), Collector::start());
    let gateway = GatewayUnderTest::in_front_of(
        origin.address,
        &format!("[[routes]]\npath = \"/gone\"\nrespond = {{ status = 410 }}\n{}", collector.table("sample = 0\n")),
    );
    // Neither an error of the client nor a success.
    assert_eq!(ask(&gateway, "/gone", "").status, 410);
    let response = ask(&gateway, "/lost", &format!("traceparent: {UNSAMPLED}\r\n"));
    assert_eq!((response.status, assert_contract("GET", &response).as_str()), (502, "UPSTREAM_CONNECTION_LOST"));
    let (servers, clients) = split(collector.spans(2));
    let ([server], [client]) = (&servers[..], &clients[..]) else { panic!("{servers:#?} {clients:#?}") };
    assert_eq!((server.trace().as_str(), server.flags & 1), (&UNSAMPLED[3..35], 0), "the decision for others stays");
    assert!(server.is_error() && client.is_error());
    assert_eq!(
        server.all(&["http.response.status_code", "error.type", "lockgate.code"]),
        ["502", "connection_terminated", "UPSTREAM_CONNECTION_LOST"]
    );
    assert_eq!(client.get("error.type").as_deref(), Some("connection_terminated"));
    let cause = gateway.log_line(&["\"path\":\"/lost\""])["cause"].as_str().unwrap_or_default().to_owned();
    assert_eq!(server.status.as_ref().unwrap().message, cause, "what the log says");
    assert_eq!(header(&origin.requests()[0], "traceparent").unwrap(), format!("00-{}-{}-00", server.trace(), client.id()));
}

#[test]
fn an_error_that_is_told_anew_is_an_event_and_nothing_of_it_is_in_the_span() {
    let body = "java.lang.IllegalStateException: hunter2\n\tat com.acme.Orders.find(Orders.java:7)\n";
    let answer = format!("HTTP/1.1 500 x\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nX-Debug: hunter2\r\n\r\n{body}", body.len());
    let (origin, collector) = (Origin::says(answer), Collector::start());
    let toml = format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \"/users/{{id}}\"\nbackend = \"o\"\nrewrite = \"/find/{{id}}\"\n{}",
        origin.address,
        collector.table("sample = 1\n")
    );
    let gateway = GatewayUnderTest::start(&toml);
    let headers = "Authorization: Bearer hunter2\r\nCookie: session=hunter2\r\nX-Api-Key: hunter2\r\n";
    ask(&gateway, "/users/7?password=hunter2&hunter2", headers);
    let (servers, _) = split(collector.spans(2));
    assert_eq!((servers[0].events(), servers[0].get("error.type").as_deref()), (vec!["redaction"], Some("502")));
    assert_eq!(servers[0].get("http.route").as_deref(), Some("/users/{id}"));
    let plain = collector.batches()[0].plain.clone();
    for secret in ["hunter2", "Orders.java"] {
        assert!(!plain.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret} in {servers:#?}");
    }
}

#[test]
fn internals_that_the_leak_guard_removes_are_an_event() {
    let body =
        "fine\njava.lang.IllegalStateException: x\n\tat com.acme.Orders.find(Orders.java:7)\n\tat com.acme.Orders.all(Orders.java:9)\n";
    let answer = format!("HTTP/1.1 200 x\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (origin, collector) = (Origin::says(answer), Collector::start());
    let toml = format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\nleak_guard = true\n{}",
        origin.address,
        collector.table("sample = 1\n")
    );
    let gateway = GatewayUnderTest::start(&toml);
    get(gateway.address, "/");
    let (servers, _) = split(collector.spans(2));
    assert_eq!(servers[0].events(), ["redaction"]);
}

#[test]
fn an_endpoint_that_is_ejected_is_an_event() {
    let collector = Collector::start();
    let origin = Origin::says("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n");
    let toml = format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\nbreaker = {{ open_after = \"50% of 2\" }}\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n{}",
        origin.address,
        collector.table("sample = 1\n")
    );
    let gateway = GatewayUnderTest::start(&toml);
    for _ in 0..3 {
        get(gateway.address, "/");
    }
    // The other requests find no endpoint, so they have no attempt.
    let (servers, clients) = split(collector.spans(4));
    assert_eq!((servers.len(), clients.len()), (3, 1), "{servers:#?}");
    assert_eq!(servers.iter().filter(|span| span.events().contains(&"ejection")).count(), 1, "{servers:#?}");
}

#[test]
fn what_reaches_no_upstream_is_traced_too() {
    let collector = Collector::start();
    let toml = format!(
        "[[routes]]\nname = \"hello\"\npath = [\"/hello\", \"/hi\"]\nrespond = {{ status = 200, body = \"hi\" }}\n{}",
        collector.table("sample = 1\n")
    );
    let gateway = GatewayUnderTest::start(&toml);
    get(gateway.address, "/hello");
    let response = send(gateway.address, "PROPFIND /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!((response.status, assert_contract("PROPFIND", &response).as_str()), (404, "ROUTE_NOT_FOUND"));
    let spans = collector.spans(2);
    let of = |path: &str| spans.iter().find(|span| span.get("url.path").as_deref() == Some(path)).unwrap();
    assert_eq!((of("/hello").name.as_str(), of("/none").name.as_str()), ("GET /hello, /hi", "HTTP"), "no name of a client's choice");
    let method = ["http.request.method", "http.request.method_original", "http.route", "lockgate.route", "lockgate.backend", "error.type"];
    assert_eq!(of("/none").all(&method), ["_OTHER", "PROPFIND", "", "-", "", "destination_not_found"]);
    assert!(!of("/none").is_error(), "an error of the client is none of the server");
    assert_eq!(gateway.log_line(&["/none"])["traceId"], of("/none").trace());
}

#[test]
fn an_operator_may_take_a_request_out_of_its_trace() {
    let (origin, collector) = (Origin::echo(), Collector::start());
    let toml = format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\nrequest_headers = {{ remove = [\"traceparent\"] }}\n{}",
        origin.address,
        collector.table("sample = 1\n")
    );
    let gateway = GatewayUnderTest::start(&toml);
    get(gateway.address, "/");
    assert_eq!(collector.spans(2).len(), 2);
    assert_eq!(header(&origin.requests()[0], "traceparent"), None);
}

#[test]
fn a_client_that_leaves_is_no_error() {
    let (origin, collector) = (Origin::start(|conversation| conversation.hang()), Collector::start());
    let gateway = GatewayUnderTest::in_front_of(origin.address, &collector.table("sample = 1\n"));
    let mut client = Client::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    drop(client);
    let (servers, clients) = split(collector.spans(2));
    assert_eq!(servers[0].all(&["http.response.status_code", "error.type", "lockgate.code"]), ["", "client_closed", "CLIENT_CLOSED"]);
    assert!(!servers[0].is_error() && clients[0].get("lockgate.abandoned").is_some());
    assert_eq!(clients[0].end, servers[0].end);
}

#[test]
fn a_hedge_is_a_span_beside_the_one_that_it_overtakes() {
    let slow = Arc::new(AtomicUsize::new(0));
    let origin = |slow: &Arc<AtomicUsize>| {
        let slow = Arc::clone(slow);
        Origin::start(move |conversation| {
            loop {
                if conversation.head.contains("/slow") && slow.fetch_add(1, Ordering::SeqCst) == 0 {
                    return conversation.hang();
                }
                conversation.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                if !conversation.next_head() {
                    return;
                }
            }
        })
    };
    let (collector, one, other) = (Collector::start(), origin(&slow), origin(&slow));
    let toml = format!(
        "[backends.o]\nendpoints = [\"http://{}\", \"http://{}\"]\nbalance = \"round-robin\"\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n\
         retry = {{ hedge = \"p95\" }}\n{}",
        one.address,
        other.address,
        collector.table("sample = 0\n")
    );
    let gateway = GatewayUnderTest::start(&toml);
    let mut client = Client::connect(gateway.address);
    for _ in 0..40 {
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response("GET").status, 200);
    }
    assert_eq!(ask(&gateway, "/slow", &format!("traceparent: {PARENT}\r\n")).status, 200);
    let (servers, clients) = split(collector.spans(3));
    assert_eq!(servers[0].events(), ["hedge"]);
    let [first, second] = &clients[..] else { panic!("{clients:#?}") };
    let keys = ["http.response.status_code", "lockgate.abandoned", "lockgate.hedge", "http.request.resend_count"];
    assert_eq!((first.all(&keys), second.all(&keys)), (words(["", "true", "", ""]), words(["200", "", "true", "1"])));
    assert!(first.start < second.start && first.end >= second.end && !first.is_error());
    let seen = one.requests().into_iter().chain(other.requests()).filter(|head| head.contains("/slow"));
    let mut seen: Vec<String> = seen.map(|head| header(&head, "traceparent").unwrap()[36..52].to_owned()).collect();
    let mut ids = vec![first.id(), second.id()];
    seen.sort();
    ids.sort();
    assert_eq!(seen, ids);
}

fn words(words: [&str; 4]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

#[test]
fn a_span_has_the_host_without_credentials() {
    let (origin, collector) = (Origin::echo(), Collector::start());
    let gateway = GatewayUnderTest::in_front_of(origin.address, &collector.table("sample = 1\n"));
    for head in
        ["GET /x HTTP/1.1\r\nHost: u:hunter2@h.example:81\r\n", "GET http://u:hunter2@h.example:81/x HTTP/1.1\r\nHost: h.example:81\r\n"]
    {
        send(gateway.address, format!("{head}Connection: close\r\n\r\n"));
    }
    for span in collector.spans(2) {
        assert_eq!(
            (span.get("server.address").as_deref(), span.get("server.port").as_deref()),
            (Some("h.example"), Some("81")),
            "{span:#?}"
        );
        assert!(!format!("{span:?}").contains("hunter2"), "{span:#?}");
    }
}
