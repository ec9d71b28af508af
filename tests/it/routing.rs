//! Tests routing, the mapping of addresses in responses, and CORS.

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, get, send};

fn two_routes(origin: &Origin) -> GatewayUnderTest {
    GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{0}\"]\n\
         [[routes]]\nname = \"orders\"\npath = \"/orders/*\"\nmethods = [\"GET\", \"POST\"]\nbackend = \"o\"\nstrip_prefix = \"/orders\"\n\
         [[routes]]\nname = \"shop\"\nhost = \"*.example.com\"\npath = \"/only\"\nbackend = \"o\"\n",
        origin.address
    ))
}

#[test]
fn prefixes_are_stripped_and_unknown_paths_are_404() {
    let origin = Origin::echo();
    let gateway = two_routes(&origin);
    assert!(get(gateway.address, "/orders/7?a=1").text().starts_with("GET /7?a=1 "));
    assert!(get(gateway.address, "/orders").text().starts_with("GET / "));
    for path in ["/ordersX", "/", "/only"] {
        let response = get(gateway.address, path);
        assert_eq!((response.status, assert_contract("GET", &response)), (404, "ROUTE_NOT_FOUND".into()), "{path}");
    }
    assert_eq!(send(gateway.address, "GET /only HTTP/1.1\r\nHost: a.example.com:80\r\n\r\n").status, 200);
}

#[test]
fn methods_that_are_not_allowed_are_405_with_allow() {
    let origin = Origin::echo();
    let gateway = two_routes(&origin);
    let response = send(gateway.address, "DELETE /orders/7 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((response.status, assert_contract("DELETE", &response)), (405, "METHOD_NOT_ALLOWED".into()));
    assert_eq!(response.header("allow"), Some("GET, POST, HEAD"));
    assert_eq!(send(gateway.address, "HEAD /orders/7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status, 200);
}

#[test]
fn ambiguous_paths_are_400() {
    let origin = Origin::echo();
    let gateway = two_routes(&origin);
    for path in ["/x/../orders/1", "/orders/%2e%2e/admin", "/orders/..%2fadmin", "/orders/%00", "//orders/1", "/orders/..;/x"] {
        let response = get(gateway.address, path);
        assert_eq!((response.status, assert_contract("GET", &response)), (400, "BAD_REQUEST".into()), "{path}");
    }
    assert_eq!(origin.requests().len(), 0);
    assert!(get(gateway.address, "/orders/a%2Fb//c;v=1").text().starts_with("GET /a%2Fb//c;v=1 "), "bytes are forwarded as they came");
}

#[test]
fn addresses_in_answers_are_the_clients() {
    let origin = Origin::start(|c| {
        let own = c.stream.local_addr().unwrap();
        c.say(format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{own}/login?next=1\r\nContent-Location: /doc\r\nRefresh: 5; url=http://{own}/r\r\nSet-Cookie: s=1; Path=/; Domain={}\r\nContent-Length: 0\r\n\r\n",
            own.ip()
        ));
    });
    let gateway = two_routes(&origin);
    let response = get(gateway.address, "/orders/7");
    assert_eq!(response.header("location"), Some("/orders/login?next=1"));
    assert_eq!(response.header("content-location"), Some("/orders/doc"));
    assert_eq!(response.header("refresh"), Some("5; url=/orders/r"));
    assert_eq!(response.header("set-cookie"), Some("s=1; Path=/orders"));
}

fn with_cors(origin: &Origin) -> GatewayUnderTest {
    GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\n[limits.none]\nrate = \"1/d\"\n\
         [[routes]]\npath = \"/*\"\nmethods = [\"GET\", \"PUT\"]\nbackend = \"o\"\nlimits = [\"none\"]\n\
         cors = {{ origins = [\"https://app.example.com\"], credentials = true, max_age = \"10m\" }}\n",
        origin.address
    ))
}

#[test]
fn preflights_are_answered_before_limits_and_upstreams() {
    let origin = Origin::echo();
    let gateway = with_cors(&origin);
    for _ in 0..3 {
        let response = send(
            gateway.address,
            "OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example.com\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-a\r\n\r\n",
        );
        assert_eq!(response.status, 204);
        assert_eq!(response.header("access-control-allow-origin"), Some("https://app.example.com"));
        assert_eq!(response.header("access-control-allow-methods"), Some("GET, PUT"));
        assert_eq!(response.header("access-control-allow-headers"), Some("x-a"));
        assert_eq!(response.header("access-control-max-age"), Some("600"));
        assert_eq!(response.header("access-control-allow-credentials"), Some("true"));
    }
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn errors_can_be_read_across_origins() {
    let origin = Origin::says("HTTP/1.1 500 X\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0\r\n\r\n");
    let gateway = with_cors(&origin);
    let ask = |from: &str| send(gateway.address, format!("GET / HTTP/1.1\r\nHost: a\r\nOrigin: {from}\r\n\r\n"));
    let response = ask("https://app.example.com");
    assert_contract("GET", &response);
    assert_eq!(response.all("access-control-allow-origin"), ["https://app.example.com"]);
    assert!(response.header("access-control-expose-headers").unwrap().contains("X-Request-Id"));
    assert!(response.all("vary").iter().any(|vary| vary.contains("Origin")));
    let limited = ask("https://app.example.com");
    assert_eq!((limited.status, limited.header("access-control-allow-origin")), (429, Some("https://app.example.com")));
    assert_eq!(ask("https://evil.example").header("access-control-allow-origin"), None);
}

/// A wildcard stands for subdomains at any depth, with the scheme and the port that it names.
#[test]
fn subdomains_are_allowed_by_a_wildcard() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(
        origin.address,
        "cors = { origins = [\"https://*.Example.com\", \"http://*.local.test:8443\"], credentials = true }\n",
    );
    let allowed = |from: &str| {
        let response = send(gateway.address, format!("GET / HTTP/1.1\r\nHost: a\r\nOrigin: {from}\r\n\r\n"));
        assert!(response.all("vary").iter().any(|vary| vary.contains("Origin")), "{from}");
        response.header("access-control-allow-origin").map(str::to_owned)
    };
    for from in ["https://app.example.com", "https://a.b-c.EXAMPLE.com", "http://x.local.test:8443"] {
        assert_eq!(allowed(from).as_deref(), Some(from));
    }
    for from in [
        "https://example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://appexample.com",
        "https://.example.com",
        "https://a..example.com",
        "https://evil.test/.example.com",
        "https://evil.test:1.example.com",
        "https://u@a.example.com",
        "https://app.example.com.evil.test",
        "http://x.local.test",
        "null",
    ] {
        assert_eq!(allowed(from), None, "{from}");
    }
}

#[test]
fn hosts_upstream_are_chosen() {
    let origin = Origin::echo();
    for (choice, host) in [
        ("upstream", origin.address.to_string()),
        ("client", "shop.example.com".into()),
        ("legacy.internal:81", "legacy.internal:81".into()),
    ] {
        let gateway = GatewayUnderTest::start(&format!(
            "[backends.o]\nendpoints = [\"http://{}\"]\nhost_header = \"{choice}\"\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
            origin.address
        ));
        let text = send(gateway.address, "GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n").text().to_ascii_lowercase();
        assert!(text.contains(&format!("\nhost: {host}")), "{choice}: {text}");
    }
}

#[test]
fn another_endpoint_takes_over_when_one_refuses() {
    let origin = Origin::echo();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{nobody}\", \"http://{}\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        origin.address
    ));
    for _ in 0..6 {
        assert_eq!(get(gateway.address, "/").status, 200);
    }
}
