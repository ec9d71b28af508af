//! Tests services that decide who may enter (ForwardAuth): what they are asked, what of their answers passes, and what happens when they
//! are broken.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, Response, Temporary, get, send};

/// Answers each request of a connection, by what the client said in `X-Say`: a whole response, or a 200.
fn service() -> Origin {
    Origin::start(|c| {
        loop {
            let say = c.header("x-say").unwrap_or_default();
            let own = c.stream.local_addr().unwrap().to_string();
            let said = match say.as_str() {
                "in" => {
                    "HTTP/1.1 200 OK\r\nX-User: alice\r\nX-Groups: a\r\nX-Groups: b\r\nX-Other: 1\r\nContent-Length: 2\r\n\r\nok".to_owned()
                }
                "nobody" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
                "401" => format!(
                    "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"api\"\r\nWWW-Authenticate: Basic realm=\"{own}\"\r\n\
                     Content-Length: 6\r\n\r\nsecret"
                ),
                "403" => "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nsecret".to_owned(),
                "302" => "HTTP/1.1 302 Found\r\nLocation: https://login.example/?a=b\r\nSet-Cookie: s=1; Path=/\r\nSet-Cookie: t=2\r\n\
                          X-Internal: secret\r\nContent-Length: 6\r\n\r\nsecret"
                    .to_owned(),
                "own" => format!("HTTP/1.1 303 See Other\r\nLocation: http://{own}/login?a\r\nContent-Length: 0\r\n\r\n"),
                "nowhere" => "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
                "304" => "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(),
                "404" => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
                "500" => "HTTP/1.1 500 Oops\r\nContent-Length: 6\r\n\r\nsecret".to_owned(),
                "garbage" => "SSH-2.0-OpenSSH\r\n\r\n".to_owned(),
                "endless" => format!("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n{}", "x".repeat(200_000)),
                "cut" => return,
                "hang" => return c.hang(),
                other => panic!("what is {other:?}?"),
            };
            if !c.write(said) || !c.next_head() {
                return;
            }
        }
    })
}

/// A gateway that asks the service for every request to the origin.
fn gateway(origin: &Origin, service: &Origin, more: &str) -> GatewayUnderTest {
    GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\n\
         auth = {{ forward = \"http://{}/verify?x=1\", copy = [\"X-User\", \"X-Groups\"]{more} }}\n",
        origin.address, service.address
    ))
}

fn said(gateway: &GatewayUnderTest, say: &str) -> Response {
    send(gateway.address, format!("GET /a?b HTTP/1.1\r\nHost: a.example\r\nX-Say: {say}\r\nConnection: close\r\n\r\n"))
}

#[test]
fn the_service_sees_the_head_and_the_backend_sees_the_user() {
    let (origin, service) = (Origin::echo(), service());
    let gateway = gateway(&origin, &service, "");
    let request = "POST /orders/7?q=%2F&r HTTP/1.1\r\nHost: shop.example\r\nX-Say: in\r\nAuthorization: Bearer t0ken\r\nCookie: c=1\r\n\
                   X-User: root\r\nX_User: root\r\nX-Groups: root\r\nX-Forwarded-Uri: /spoofed\r\nX_Forwarded_Uri: /spoofed\r\n\
                   X-Forwarded-Method: PUT\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close, X-User\r\nIf-None-Match: \"x\"\r\n\
                   Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
    let seen = send(gateway.address, request).text();
    let asked = service.requests()[0].to_lowercase();
    assert!(asked.starts_with("get /verify?x=1 http/1.1\r\n"), "{asked}");
    for line in [
        "x-forwarded-method: post",
        "x-forwarded-uri: /orders/7?q=%2f&r",
        "x-forwarded-host: shop.example",
        "x-forwarded-proto: http",
        "x-forwarded-for: 127.0.0.1",
        "authorization: bearer t0ken",
        "cookie: c=1",
        &format!("host: {}", service.address),
    ] {
        assert_eq!(asked.lines().filter(|found| *found == line).count(), 1, "{line} in\n{asked}");
    }
    for gone in ["spoofed", "content-length", "if-none-match", "6.6.6.6", "\r\nconnection:"] {
        assert!(!asked.contains(gone), "{gone} in\n{asked}");
    }
    let lower = seen.to_lowercase();
    for line in ["x-user: alice", "x-groups: a", "x-groups: b", "authorization: bearer t0ken", "content-length: 5"] {
        assert_eq!(lower.lines().filter(|found| *found == line).count(), 1, "{line} in\n{seen}");
    }
    assert!(!lower.contains("root") && !lower.contains("x-other") && lower.ends_with("hello"), "{seen}");
    // What the service does not say, the client cannot say either.
    let seen = send(gateway.address, request.replace("X-Say: in", "X-Say: nobody")).text().to_lowercase();
    assert!(!seen.contains("x-user") && !seen.contains("x_user") && !seen.contains("x-groups"), "{seen}");
}

#[test]
fn connections_to_the_service_are_used_again() {
    let (origin, service) = (Origin::echo(), service());
    let gateway = gateway(&origin, &service, "");
    for say in ["in", "nobody", "401", "403", "302", "own", "304", "500", "in"] {
        said(&gateway, say);
    }
    assert_eq!((service.requests().len(), service.connections()), (9, 1));
}

#[test]
fn refusals_are_told_in_the_format_of_the_route() {
    let (origin, service) = (Origin::echo(), service());
    let gateway = gateway(&origin, &service, "");
    let unauthorized = said(&gateway, "401");
    assert_eq!((unauthorized.status, assert_contract("GET", &unauthorized)), (401, "UNAUTHORIZED".into()));
    assert_eq!(unauthorized.header("www-authenticate"), Some("Bearer realm=\"api\""), "a challenge that names the service does not pass");
    let forbidden = said(&gateway, "403");
    assert_eq!((forbidden.status, assert_contract("GET", &forbidden)), (403, "FORBIDDEN".into()));
    for response in [unauthorized, forbidden] {
        assert!(!response.everything().contains("secret") && !response.everything().contains(&service.address.to_string()));
    }
    assert_eq!(origin.requests().len(), 0);
    gateway.wait_for_metric("lockgate_auth_total{route=\"all\",result=\"refused\"} 2");
}

#[test]
fn redirects_reach_the_client() {
    let (origin, service) = (Origin::echo(), service());
    let gateway = gateway(&origin, &service, "");
    let response = said(&gateway, "302");
    assert_eq!((response.status, response.header("location")), (302, Some("https://login.example/?a=b")));
    assert_eq!((response.all("set-cookie"), response.header("cache-control")), (vec!["s=1; Path=/", "t=2"], Some("no-store")));
    assert!(response.header("x-request-id").is_some() && response.body.is_empty() && response.header("x-internal").is_none());
    let own = said(&gateway, "own");
    assert_eq!((own.status, own.header("location")), (303, Some("/login?a")), "the address of the service does not pass");
    assert_eq!(origin.requests().len(), 0);
    gateway.wait_for_metric("lockgate_auth_total{route=\"all\",result=\"redirected\"} 2");
}

#[test]
fn a_broken_service_lets_nobody_in() {
    let (origin, service) = (Origin::echo(), service());
    let gateway = gateway(&origin, &service, ", timeout = \"100ms\"");
    let broken = ["hang", "cut", "garbage", "500", "404", "304", "nowhere"];
    for say in broken {
        let response = said(&gateway, say);
        assert_eq!((response.status, assert_contract("GET", &response)), (503, "UPSTREAM_UNAVAILABLE".into()), "{say}");
        assert_eq!(response.header("proxy-status"), Some("lockgate; error=destination_unavailable"), "{say}");
        assert!(response.header("retry-after").is_some());
        assert!(!response.everything().contains(&service.address.to_string()), "{say}");
    }
    assert_eq!(origin.requests().len(), 0);
    gateway.wait_for_metric(&format!("lockgate_auth_total{{route=\"all\",result=\"failed\"}} {}", broken.len()));
    assert!(gateway.log_line(&["\"status\":503", "the authentication service"])["cause"].is_string());
    assert_eq!(said(&gateway, "in").status, 200);
}

#[test]
fn a_service_that_refuses_connections_lets_nobody_in() {
    let (origin, closed) = (Origin::echo(), std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\nauth = {{ forward = \"http://{closed}\" }}\n",
        origin.address
    ));
    let response = get(gateway.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response)), (503, "UPSTREAM_UNAVAILABLE".into()));
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn two_credentials_are_refused() {
    let (origin, service) = (Origin::echo(), service());
    let gateway = gateway(&origin, &service, "");
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Say: in\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n";
    assert_eq!(assert_contract("GET", &send(gateway.address, request)), "BAD_REQUEST");
    assert_eq!((service.requests().len(), origin.requests().len()), (0, 0), "the two could read different ones");
}

#[test]
fn an_endless_body_of_the_service_is_not_read() {
    let (origin, service) = (Origin::echo(), service());
    let gateway = gateway(&origin, &service, "");
    assert_eq!(said(&gateway, "endless").status, 200);
    assert_eq!([said(&gateway, "in").status, said(&gateway, "in").status], [200, 200]);
    assert_eq!(service.connections(), 2, "the connection with the rest of the body was closed");
}

#[test]
fn the_deadline_of_the_request_holds_for_the_service_too() {
    let (origin, service) = (Origin::echo(), service());
    let gateway = gateway(&origin, &service, ", timeout = \"30s\" }\ntotal_timeout = \"100ms\"\n#{");
    let response = said(&gateway, "hang");
    assert_eq!((response.status, assert_contract("GET", &response)), (504, "UPSTREAM_TIMEOUT".into()));
}

/// A service over TLS that answers each connection with a 403, and its certificate.
fn secure() -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![CertificateDer::from(made.cert.der().to_vec())], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), tcp);
            if stream.read(&mut [0; 4096]).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    (address, made.cert.pem())
}

#[test]
fn a_service_may_speak_tls_and_must_show_a_certificate() {
    let (address, pem) = secure();
    let ca = Temporary::file("forward-auth-ca.pem", &pem);
    for (ca, status) in [(format!(", ca = \"{}\"", ca.display()), 403), (String::new(), 503)] {
        let gateway = GatewayUnderTest::start(&format!(
            "[[routes]]\npath = \"/*\"\nrespond = {{ status = 200 }}\nauth = {{ forward = \"https://{address}/\", timeout = \"20s\"{ca} }}\n"
        ));
        let response = get(gateway.address, "/");
        assert_contract("GET", &response);
        assert_eq!(response.status, status, "{ca}");
    }
}
