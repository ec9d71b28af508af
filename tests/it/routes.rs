//! Tests what a route can match and what it can do: lists, conditions, captures, regular expressions, redirects, fixed responses, rewrites
//! and the division among backends.

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, Response, get, send};

/// A gateway whose backend `o` is the origin and `p` another one.
fn gateway(origin: &Origin, other: &Origin, routes: &str) -> GatewayUnderTest {
    let backends =
        format!("[backends.o]\nendpoints = [\"http://{}\"]\n[backends.p]\nendpoints = [\"http://{}\"]\n", origin.address, other.address);
    GatewayUnderTest::start(&format!("{backends}{routes}"))
}

fn says(word: &'static str) -> Origin {
    Origin::says(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{word}", word.len()))
}

fn asked(gateway: &GatewayUnderTest, target: &str, headers: &str) -> Response {
    send(gateway.address, format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n{headers}Connection: close\r\n\r\n"))
}

#[test]
fn hosts_and_paths_may_be_lists() {
    let (origin, other) = (says("one"), says("two"));
    let routes = "[[routes]]\nhost = [\"a.example\", \"*.b.example\"]\npath = [\"/x\", \"/y/*\"]\nbackend = \"o\"\n\
                  [[routes]]\npath = \"/*\"\nbackend = \"p\"\n";
    let gateway = gateway(&origin, &other, routes);
    let at =
        |host: &str, path: &str| send(gateway.address, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).text();
    for (host, path, want) in
        [("a.example", "/x", "one"), ("c.b.example", "/y/1", "one"), ("a.example", "/z", "two"), ("b.example", "/x", "two")]
    {
        assert_eq!(at(host, path), want, "{host}{path}");
    }
}

#[test]
fn headers_query_client_and_scheme_choose_and_fall_through() {
    let (origin, other) = (says("special"), says("usual"));
    let routes = "[[routes]]\npath = \"/h/*\"\nheaders = { X-Canary = \"1\", X-Any = \"*\" }\nbackend = \"o\"\n\
                  [[routes]]\npath = \"/q\"\nquery = { version = \"2 b\" }\nbackend = \"o\"\n\
                  [[routes]]\npath = \"/c\"\nclient = [\"127.0.0.0/8\"]\nbackend = \"o\"\n\
                  [[routes]]\npath = \"/d\"\nclient = \"10.0.0.0/8\"\nbackend = \"o\"\n\
                  [[routes]]\npath = \"/s\"\nscheme = \"https\"\nbackend = \"o\"\n\
                  [[routes]]\npath = \"/*\"\nbackend = \"p\"\n\
                  [listen]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let gateway = gateway(&origin, &other, routes);
    for (target, headers, want) in [
        ("/h/1", "X-Canary: 1\r\nX-Any: x\r\n", "special"),
        ("/h/1", "X-Canary: 1\r\n", "usual"),
        ("/h/1", "X-Canary: 2\r\nX-Any: x\r\n", "usual"),
        ("/q?a=1&version=2+b", "", "special"),
        ("/q?version=2%20b", "", "special"),
        ("/q?version=3", "", "usual"),
        ("/c", "", "special"),
        ("/d", "", "usual"),
        ("/d", "X-Forwarded-For: 10.1.2.3\r\n", "special"),
        ("/s", "", "usual"),
        ("/s", "X-Forwarded-Proto: https\r\n", "special"),
    ] {
        assert_eq!(asked(&gateway, target, headers).text(), want, "{target} {headers}");
    }
}

#[test]
fn captures_and_expressions_reach_the_backend_rewritten() {
    let origin = Origin::echo();
    let routes = "[[routes]]\npath = \"/users/{id}/orders\"\nbackend = \"o\"\nrewrite = \"/orders?user={id}\"\n\
                  [[routes]]\npath_regex = \"/v[12]/(?<page>[a-z]+)\\\\.php\"\nbackend = \"o\"\nrewrite = \"/pages/{page}\"\n\
                  [[routes]]\npath = \"/old/*\"\nbackend = \"o\"\nrewrite = \"/new/{rest}\"\n\
                  [[routes]]\npath = \"/v/*\"\nbackend = \"o\"\nstrip_prefix = \"/v\"\nadd_prefix = \"/app\"\n\
                  [[routes]]\npath = \"/w/*\"\nbackend = \"o\"\nrewrite = \"/v2{path}\"\n";
    let gateway = gateway(&origin, &origin, routes);
    for (target, upstream) in [
        ("/users/7/orders?x=1", "/orders?user=7"),
        ("/v1/about.php?x=%2F", "/pages/about?x=%2F"),
        ("/old/a/b%20c?q", "/new/a/b%20c?q"),
        ("/v/a?b", "/app/a?b"),
        ("/v", "/app/"),
        ("/w/a?b", "/v2/w/a?b"),
    ] {
        assert!(get(gateway.address, target).text().starts_with(&format!("GET {upstream} ")), "{target}");
    }
    assert_eq!(assert_contract("GET", &get(gateway.address, "/v3/about.php")), "ROUTE_NOT_FOUND");
}

#[test]
fn the_base_path_of_endpoints_is_added_and_mapped_back() {
    let origin = Origin::start(|c| {
        let own = c.stream.local_addr().unwrap();
        c.say(format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{own}/base/app/login\r\nContent-Location: /base/app/doc\r\n\
             Set-Cookie: s=1; Path=/base/app\r\nSet-Cookie: t=1; Path=/base/app/x\r\nContent-Length: 0\r\n\r\n"
        ));
    });
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}/base\"]\n[[routes]]\npath = \"/shop/*\"\nbackend = \"o\"\nstrip_prefix = \"/shop\"\nadd_prefix = \"/app\"\n",
        origin.address
    ));
    let response = get(gateway.address, "/shop/cart");
    assert!(origin.requests()[0].starts_with("GET /base/app/cart HTTP/1.1"), "{}", origin.requests()[0]);
    assert_eq!(response.header("location"), Some("/shop/login"));
    assert_eq!(response.header("content-location"), Some("/shop/doc"));
    assert_eq!(response.all("set-cookie"), ["s=1; Path=/shop", "t=1; Path=/shop/x"]);
}

#[test]
fn redirects_keep_the_query_and_never_choose_the_host() {
    let origin = Origin::echo();
    let routes = "[[routes]]\npath = \"/*\"\nscheme = \"http\"\nredirect = { to = \"https://{host}{path}\" }\n\
                  [[routes]]\npath = \"/old/*\"\nredirect = { to = \"/new/{rest}\", status = 301 }\n\
                  [[routes]]\npath = \"/users/{id}\"\nredirect = { to = \"https://id.example/?user={id}\", status = 302 }\n\
                  [[routes]]\nhost = \"www.example\"\npath = \"/*\"\nredirect = { to = \"https://example{path}\" }\n\
                  [[routes]]\npath = \"/same/*\"\nredirect = { to = \"{path}/\" }\n";
    let gateway = gateway(&origin, &origin, routes);
    for (target, status, location) in [
        ("/a?b=1", 308, "https://a.example/a?b=1"),
        ("/old/a/b?c", 301, "/new/a/b?c"),
        ("/users/7?x", 302, "https://id.example/?user=7"),
        ("/same//evil.example", 308, "/same//evil.example/"),
    ] {
        let response = asked(&gateway, target, "");
        assert_eq!((response.status, response.header("location")), (status, Some(location)), "{target}");
        assert!(response.header("x-request-id").is_some());
    }
    let with_port = send(gateway.address, "GET /a HTTP/1.1\r\nHost: a.example:8080\r\nConnection: close\r\n\r\n");
    assert_eq!(with_port.header("location"), Some("https://a.example/a"), "the port of http is not that of https");
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_redirect_that_leads_to_itself_is_an_error() {
    let origin = Origin::echo();
    let routes = "[[routes]]\npath = \"/*\"\nredirect = { to = \"https://{host}{path}\" }\n[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let gateway = gateway(&origin, &origin, routes);
    assert_eq!(asked(&gateway, "/a", "").status, 308);
    let response = asked(&gateway, "/a", "X-Forwarded-Proto: https\r\n");
    assert_eq!((response.status, assert_contract("GET", &response)), (502, "LOOP_DETECTED".into()));
}

#[test]
fn routes_answer_by_themselves() {
    let origin = Origin::echo();
    let routes = "[[routes]]\npath = \"/robots.txt\"\nrespond = { status = 200, body = \"User-agent: *\\n\" }\n\
                  [[routes]]\npath = \"/health\"\nrespond = { status = 200, body = \"{}\", content_type = \"application/json\" }\n\
                  [[routes]]\npath = \"/empty\"\nrespond = { status = 204 }\n\
                  [[routes]]\npath = \"/.git/*\"\nrespond = { status = 404 }\n\
                  [[routes]]\npath = \"/gone\"\nrespond = { status = 410 }\nerrors = { format = \"problem\" }\n\
                  [[routes]]\npath = \"/teapot\"\nrespond = { status = 418, body = \"short and stout\" }\n\
                  [[routes]]\npath = \"/down\"\nrespond = { status = 503 }\n";
    let gateway = gateway(&origin, &origin, routes);
    let robots = asked(&gateway, "/robots.txt", "");
    assert_eq!((robots.status, robots.text().as_str()), (200, "User-agent: *\n"));
    assert_eq!(robots.header("content-type"), Some("text/plain; charset=utf-8"));
    let head = send(gateway.address, "HEAD /robots.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!((head.header("content-length"), head.body.len()), (Some("14"), 0));
    assert_eq!(asked(&gateway, "/health", "").header("content-type"), Some("application/json"));
    assert_eq!(asked(&gateway, "/empty", "").status, 204);
    let hidden = asked(&gateway, "/.git/config", "");
    assert_eq!((hidden.status, assert_contract("GET", &hidden)), (404, "NOT_FOUND".into()));
    let gone = asked(&gateway, "/gone", "");
    assert_eq!((gone.status, gone.header("content-type")), (410, Some("application/problem+json")));
    assert_eq!(asked(&gateway, "/teapot", "").text(), "short and stout");
    let down = asked(&gateway, "/down", "");
    assert_eq!((down.status, assert_contract("GET", &down).as_str(), down.header("retry-after")), (503, "UPSTREAM_UNAVAILABLE", Some("5")));
    assert_eq!(origin.requests().len(), 0);
}

const SPLIT: &str =
    "[[routes]]\nname = \"split\"\npath = \"/*\"\nbackend = [{ name = \"o\", weight = 90 }, { name = \"p\", weight = 10 }]\n";

#[test]
fn requests_are_divided_exactly_by_weight() {
    let (origin, other) = (says("stable"), says("canary"));
    let gateway = gateway(&origin, &other, SPLIT);
    let canary = (0..100).filter(|_| asked(&gateway, "/", "").text() == "canary").count();
    assert_eq!(canary, 10);
    gateway.wait_for_metric("lockgate_requests_total{route=\"split\",backend=\"o\",code=\"200\",reason=\"\"} 90");
    gateway.wait_for_metric("lockgate_requests_total{route=\"split\",backend=\"p\",code=\"200\",reason=\"\"} 10");
}

#[test]
fn a_cookie_a_header_or_the_address_keep_a_client_on_its_backend() {
    let (origin, other) = (says("stable"), says("canary"));
    let by_cookie = gateway(&origin, &other, &format!("{SPLIT}sticky = \"cookie:variant\"\n"));
    let mut marks = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let first = asked(&by_cookie, "/", "");
        let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        assert!(!cookie.contains("canary") && !cookie.contains("stable"), "{cookie}");
        let again = asked(&by_cookie, "/", &format!("Cookie: a=b; {cookie}\r\n"));
        assert_eq!((again.text(), again.header("set-cookie")), (first.text(), None));
        marks.insert(cookie);
    }
    assert_eq!(marks.len(), 2);
    assert!(asked(&by_cookie, "/", "Cookie: variant=unknown\r\n").header("set-cookie").is_some());
    let by_header = gateway(&origin, &other, &format!("{SPLIT}sticky = \"header:X-User\"\n"));
    let of = |user: usize| asked(&by_header, "/", &format!("X-User: {user}\r\n")).text();
    let canary = (0..200).filter(|user| of(*user) == "canary").count();
    assert!((8..40).contains(&canary), "{canary} of 200 users");
    assert!((0..20).all(|user| of(user) == of(user)));
}

/// What `check` says of a configuration with these routes.
fn problems(routes: &str) -> String {
    let text = format!(
        "[backends.o]\nendpoints = [\"http://127.0.0.1:1\"]\n[backends.p]\nendpoints = [\"http://127.0.0.1:1/a\", \"http://127.0.0.1:2\"]\n{routes}"
    );
    let found = lockgate::plan::compile::from_text(&text, &|_| None).err().unwrap_or_default();
    found.into_iter().map(|problem| format!("{} | {}\n", problem.title, problem.help)).collect()
}

#[test]
fn routes_that_cannot_work_are_refused() {
    let route = |rest: &str| problems(&format!("[[routes]]\npath = \"/a/*\"\n{rest}\n"));
    for (rest, complaint) in [
        ("", "redirect = { to"),
        ("backend = \"o\"\nrespond = { status = 200 }", "has one of"),
        ("backend = \"p\"", "different paths"),
        ("backend = \"o\"\nsticky = \"client-ip\"", "no effect with one backend"),
        ("backend = [{ name = \"o\", weight = 0 }]", "at least one backend"),
        ("backend = [{ name = \"o\" }]", "has no `weight`"),
        ("redirect = { to = \"/a/b\" }", "leads to itself"),
        ("redirect = { to = \"{path}\" }", "leads to itself"),
        ("redirect = { to = \"https://{rest}/x\" }", "no placeholder but {host}"),
        ("redirect = { to = \"https://x/{id}\" }", "there is no placeholder {id}"),
        ("redirect = { to = \"//x\" }", "not a URL"),
        ("redirect = { to = \"/x\", status = 304 }", "not the status of a redirect"),
        ("redirect = { to = \"/x\" }\nretry = { attempts = 2 }", "has no effect"),
        ("respond = { status = 204, body = \"x\" }", "has no body"),
        ("respond = { status = 200, content_type = \"text/plain\" }", "no effect without `body`"),
        ("respond = { status = 200, body = \"x\", content_type = \"text\" }", "media type"),
        ("backend = \"o\"\nrewrite = \"v2{path}\"", "not a path"),
        ("backend = \"o\"\nrewrite = \"/{what}\"", "there is no placeholder {what}"),
        ("backend = \"o\"\nadd_prefix = \"/*\"", "invalid `add_prefix`"),
        ("backend = \"o\"\nheaders = { \"a b\" = \"1\" }", "invalid name"),
        ("backend = \"o\"\nheaders = { Host = \"a\" }", "use `host`"),
        ("backend = \"o\"\nscheme = \"ftp\"", "not a known value"),
        ("backend = \"o\"\npath_regex = \"(\"", "invalid regular expression"),
        ("backend = \"o\"\npath_regex = \"(?:[a-z]{100}){100}\"", "too large"),
        ("backend = \"o\"\nhost = []", "`host` is empty"),
        ("backend = \"o\"\nrewrite = \"/../x{path}\"", "no dot segment"),
        ("backend = \"o\"\nrewrite = \"/%zz{path}\"", "not a path"),
        ("backend = \"o\"\nrewrite = \"/search/{query}\"", "behind a `?`"),
        ("backend = \"o\"\nheaders = { X-Real-IP = \"10.0.0.1\" }", "any client can send it"),
        (
            "backend = [{ name = \"o\", weight = 1 }, { name = \"p\", weight = 1 }]\nsticky = \"header:X-Forwarded-For\"",
            "any client can send it",
        ),
        ("redirect = { to = \"https:///{rest}\" }", "no placeholder but {host}"),
        (
            "backend = \"o\"\nmethods = [\"GET\"]\nheaders = { X-One = \"1\" }\n[[routes]]\npath = \"/a/*\"\nheaders = { X-Two = \"1\" }\nrespond = { status = 403 }",
            "an earlier one (`/a/*`)",
        ),
        ("backend = \"o\"\n[[routes]]\npath = [\"/b\", \"/a/*\"]\nbackend = \"o\"", "same requests as an earlier one"),
        ("backend = \"o\"\n[[routes]]\npath = [\"/b\", \"/b\"]\nbackend = \"o\"", "lists this path twice"),
    ] {
        let found = route(rest);
        assert!(found.contains(complaint), "{rest}: {complaint} in\n{found}");
    }
    assert_eq!(route("backend = \"o\"").lines().count(), 1, "only that of the backend `p`");
}

#[test]
fn captures_cannot_change_what_a_rewrite_means() {
    let origin = Origin::echo();
    let routes = "[[routes]]\npath = \"/users/{id}/orders\"\nbackend = \"o\"\nrewrite = \"/orders?user={id}\"\n\
                  [[routes]]\npath_regex = '/f/(?<a>[^-]+)-(?<b>.+)'\nbackend = \"o\"\nrewrite = \"/static/{a}/{b}\"\n\
                  [[routes]]\npath = \"/api/*\"\nbackend = \"o\"\nstrip_prefix = \"/api\"\n\
                  [[routes]]\npath = \"/to/*\"\nredirect = { to = \"https://{host}/{rest}#top\" }\n";
    let gateway = gateway(&origin, &origin, routes);
    let line = |target: &str| get(gateway.address, target).text().lines().next().unwrap_or_default().to_owned();
    assert!(line("/users/7&role=admin/orders").starts_with("GET /orders?user=7%26role%3Dadmin "));
    assert!(line("/api//evil.example/x").starts_with("GET /evil.example/x "));
    for dots in ["/f/..-etc/passwd", "/f/%2e%2e-etc/passwd"] {
        assert_eq!(assert_contract("GET", &get(gateway.address, dots)), "BAD_REQUEST", "{dots}");
    }
    assert_eq!(asked(&gateway, "/to/x?y=1", "").header("location"), Some("https://a.example/x?y=1#top"));
    let without_host = send(gateway.address, "GET /to/evil.example/x HTTP/1.0\r\n\r\n");
    assert_eq!((without_host.status, without_host.header("location")), (400, None));
}

#[test]
fn an_upgrade_is_redirected_like_any_request() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, &origin, "[[routes]]\npath = \"/*\"\nscheme = \"http\"\nredirect = { to = \"https://{host}{path}\" }\n");
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let response = send(gateway.address, format!("GET /chat HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n"));
    assert_eq!((response.status, response.header("location")), (308, Some("https://a.example/chat")));
}
