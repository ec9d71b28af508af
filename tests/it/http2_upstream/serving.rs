//! An origin that keeps the protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::net::TcpListener;

use super::gateway;
use crate::harness::contract::assert_contract;
use crate::harness::wait::eventually;
use crate::harness::{Client, GatewayUnderTest, get, send};

/// An origin by the library `h2`, on a thread of its own.
pub(super) struct Http2Origin {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Http2Origin {
    /// Each connection allows so many streams, and `serve` answers each request.
    fn start<F>(streams: u32, serve: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + Copy + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let origin = Self { address: listener.local_addr().unwrap(), connections: Arc::default(), open: Arc::default() };
        let (connections, open) = (Arc::clone(&origin.connections), Arc::clone(&origin.open));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::SeqCst);
                    open.fetch_add(1, Ordering::SeqCst);
                    let open = Arc::clone(&open);
                    tokio::spawn(async move {
                        let mut builder = h2::server::Builder::new();
                        let mut connection = builder.max_concurrent_streams(streams).handshake(stream).await.unwrap();
                        while let Some(Ok((request, response))) = connection.accept().await {
                            tokio::spawn(serve(request, response));
                        }
                        open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
        });
        origin
    }
}

/// The whole body of a request.
async fn body(body: &mut RecvStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        let _ = body.flow_control().release_capacity(data.len());
        all.extend_from_slice(&data);
    }
    all
}

/// Answers with what was asked.
async fn echo(request: Request<RecvStream>, mut response: SendResponse<Bytes>) {
    let (head, mut incoming) = request.into_parts();
    let received = body(&mut incoming).await;
    let text = format!("{} {}\n{:?}\n{} bytes", head.method, head.uri, head.headers, received.len());
    let answer = Response::builder().header("content-type", "text/plain").header("x-powered-by", "leak-me").body(()).unwrap();
    let mut send = response.send_response(answer, false).unwrap();
    send.send_data(text.into(), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "abc".parse().unwrap());
    trailers.insert("x-debug", "leak-me".parse().unwrap());
    send.send_trailers(trailers).unwrap();
}

#[test]
fn a_request_passes_without_what_belongs_to_a_connection() {
    let origin = Http2Origin::start(100, echo);
    let gateway = gateway(origin.address, "host_header = \"client\"", "");
    let response = send(
        gateway.address,
        "GET /a%2Fb?c=d HTTP/1.1\r\nHost: shop.example.com\r\nTE: trailers, deflate\r\nConnection: te, x-hop, close\r\nX-Hop: 1\r\n\
         Keep-Alive: 5\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\nProxy-Connection: x\r\nX-Kept: 2\r\n\r\n",
    );
    let text = response.text();
    assert!(text.starts_with("GET http://shop.example.com/a%2Fb?c=d\n"), "{text}");
    assert!(text.contains("\"x-kept\": \"2\"") && text.contains("\"x-forwarded-host\": \"shop.example.com\""), "{text}");
    for gone in ["\"host\"", "\"te\"", "x-hop", "keep-alive", "\"upgrade\"", "http2-settings", "proxy-connection", "\"connection\""] {
        assert!(!text.contains(gone), "{gone} in {text}");
    }
    assert_eq!((response.header("x-powered-by"), response.header("connection")), (None, Some("close")));
}

#[test]
fn trailers_pass_to_a_client_that_reads_them() {
    let origin = Http2Origin::start(100, echo);
    let gateway = gateway(origin.address, "", "");
    let response = send(gateway.address, "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te, close\r\n\r\n");
    assert!(response.complete && !response.everything().contains("leak-me"), "{response:?}");
}

#[test]
fn requests_share_a_connection() {
    let origin = Http2Origin::start(100, echo);
    let gateway = gateway(origin.address, "pool = { idle_timeout = \"20s\" }", "");
    let mut client = Client::connect(gateway.address);
    for _ in 0..20 {
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response("GET").status, 200);
    }
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn an_upload_larger_than_the_window_arrives_whole() {
    let origin = Http2Origin::start(100, echo);
    let gateway = gateway(origin.address, "", "");
    for framing in ["Content-Length: 3000000\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut request = format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}Connection: close\r\n\r\n").into_bytes();
        let chunked = framing.starts_with('T');
        for _ in 0..30 {
            if chunked {
                request.extend_from_slice(b"186a0\r\n");
            }
            request.extend_from_slice(&[b'x'; 100_000]);
            if chunked {
                request.extend_from_slice(b"\r\n");
            }
        }
        if chunked {
            request.extend_from_slice(b"0\r\n\r\n");
        }
        let response = send(gateway.address, request);
        assert!(response.text().ends_with("\n3000000 bytes"), "{response:?}");
        assert_eq!(response.text().contains("\"content-length\": \"3000000\""), !chunked, "{response:?}");
    }
}

static MOST: AtomicUsize = AtomicUsize::new(0);
static NOW: AtomicUsize = AtomicUsize::new(0);

#[test]
fn many_requests_open_more_connections_when_streams_run_out() {
    let origin = Http2Origin::start(2, |_, mut response| async move {
        MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        NOW.fetch_sub(1, Ordering::SeqCst);
        let _ = response.send_response(Response::new(()), true);
    });
    let gateway = gateway(origin.address, "pool = { max_connections = 5 }", "");
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let address = gateway.address;
            std::thread::spawn(move || get(address, "/"))
        })
        .collect();
    for client in clients {
        let response = client.join().unwrap();
        assert_eq!(response.status, 200, "{response:?}");
    }
    let connections = origin.connections.load(Ordering::SeqCst);
    assert!((2..=5).contains(&connections), "{connections} connections");
    assert!(MOST.load(Ordering::SeqCst) <= 10, "2 streams of each of 5 connections");
}

#[test]
fn an_idle_connection_closes() {
    let origin = Http2Origin::start(100, echo);
    let gateway = gateway(origin.address, "pool = { idle_timeout = \"300ms\" }", "");
    assert_eq!(get(gateway.address, "/").status, 200);
    assert_eq!(origin.open.load(Ordering::SeqCst), 1);
    eventually("the idle connection closes", || origin.open.load(Ordering::SeqCst) == 0);
    assert_eq!(get(gateway.address, "/").status, 200);
}

#[test]
fn a_health_probe_speaks_http2() {
    let origin = Http2Origin::start(100, |request: Request<RecvStream>, mut response| async move {
        let status = if request.uri().path() == "/health" { 204 } else { 200 };
        let _ = response.send_response(Response::builder().status(status).body(()).unwrap(), true);
    });
    let health = "health = { path = \"/health\", every = \"50ms\", expect = \"204\", healthy_after = 1 }";
    let gateway = gateway(origin.address, health, "");
    eventually("some probes", || origin.connections.load(Ordering::SeqCst) > 3);
    gateway.wait_for_metric(&format!("lockgate_endpoint_up{{backend=\"o\",endpoint=\"http://{}\"}} 1", origin.address));
}

#[test]
fn errors_of_an_http2_backend_keep_the_contract() {
    let origin = Http2Origin::start(100, |request: Request<RecvStream>, mut response| async move {
        let status: u16 = request.uri().path().trim_start_matches('/').parse().unwrap();
        let mut send = response.send_response(Response::builder().status(status).body(()).unwrap(), false).unwrap();
        let _ = send.send_data("Traceback (most recent call last): /srv/app/x.py".into(), true);
    });
    let gateway = gateway(origin.address, "", "");
    for (status, sent, code) in [(500, 502, "UPSTREAM_ERROR"), (404, 404, "NOT_FOUND"), (503, 503, "UPSTREAM_UNAVAILABLE")] {
        let response = get(gateway.address, &format!("/{status}"));
        assert_eq!((response.status, assert_contract("GET", &response).as_str()), (sent, code));
    }
    let response = send(gateway.address, "HEAD /500 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(response.status, 502);
    assert_contract("HEAD", &response);
}

#[test]
fn interim_responses_pass() {
    let origin = Http2Origin::start(100, |_, mut response: SendResponse<Bytes>| async move {
        let hints = Response::builder().status(103).header("link", "</a.css>; rel=preload").body(()).unwrap();
        response.send_informational(hints).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = response.send_response(Response::new(()), true);
    });
    let gateway = gateway(origin.address, "", "");
    let mut client = Client::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response("GET").status, 200);
    assert_eq!(client.interim.iter().map(|response| response.status).collect::<Vec<_>>(), [103]);
}

#[test]
fn a_request_with_connection_authentication_shares_no_connection() {
    let origin = Http2Origin::start(100, echo);
    let gateway = gateway(origin.address, "pool = { idle_timeout = \"20s\" }", "");
    let private = "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Negotiate abc\r\nConnection: close\r\n\r\n";
    for (request, connections) in [(None, 1), (Some(private), 2), (Some(private), 3), (None, 3)] {
        let response = request.map_or_else(|| get(gateway.address, "/"), |request| send(gateway.address, request));
        assert_eq!((response.status, origin.connections.load(Ordering::SeqCst)), (200, connections));
    }
}

#[test]
fn all_cores_share_the_only_connection_of_the_pool() {
    let origin = Http2Origin::start(3, |_, mut response| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let _ = response.send_response(Response::new(()), true);
    });
    let gateway = GatewayUnderTest::start(&format!(
        "[listen]\nworkers = 2\n[backends.o]\nendpoints = [\"http://{}\"]\nprotocol = \"h2\"\npool = {{ max_connections = 1 }}\n\
         [[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        origin.address
    ));
    let address = gateway.address;
    let clients: Vec<_> = (0..40).map(|_| std::thread::spawn(move || get(address, "/").status)).collect();
    assert!(clients.into_iter().all(|client| client.join().unwrap() == 200));
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_header_section_that_is_too_large_is_a_protocol_error() {
    let origin = Http2Origin::start(100, |request: Request<RecvStream>, mut response| async move {
        let (count, size): (usize, usize) = match request.uri().path() {
            "/many" => (600, 10),
            "/section" => (5, 30_000),
            _ => (1, 70_000),
        };
        let mut answer = Response::new(());
        for number in 0..count {
            let name = http::HeaderName::from_bytes(format!("x-{number}").as_bytes()).unwrap();
            answer.headers_mut().insert(name, "a".repeat(size).parse().unwrap());
        }
        let _ = response.send_response(answer, true);
    });
    let gateway = gateway(origin.address, "", "");
    for (path, reason) in [
        ("/many", "http_response_header_section_size"),
        ("/section", "http_response_header_section_size"),
        ("/one", "http_response_header_size"),
    ] {
        let response = get(gateway.address, path);
        assert_eq!((response.status, assert_contract("GET", &response).as_str()), (502, "UPSTREAM_PROTOCOL_ERROR"));
        assert_eq!(response.header("proxy-status"), Some(format!("lockgate; error={reason}").as_str()));
    }
}

#[test]
fn a_websocket_handshake_is_refused_and_another_upgrade_ignored() {
    let origin = Http2Origin::start(100, echo);
    let gateway = gateway(origin.address, "", "");
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\n";
    let websocket = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let response = send(gateway.address, format!("{head}{websocket}"));
    assert_eq!((response.status, assert_contract("GET", &response).as_str()), (501, "NOT_IMPLEMENTED"));
    assert_eq!(origin.connections.load(Ordering::SeqCst), 0);
    assert_eq!(send(gateway.address, format!("{head}Upgrade: h2c\r\n\r\n")).status, 200);
}
