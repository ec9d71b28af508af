//! HTTP/2 over TLS, which the endpoint chooses in the handshake (ALPN).

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Response, Temporary, get, send};

/// A TLS origin that offers these protocols, with its certificate. It answers in the version that was chosen.
fn origin(protocols: &[&str]) -> (SocketAddr, String) {
    in_tls(protocols, None)
}

/// The same, or TLS in front of a server that speaks HTTP/2.
pub(crate) fn in_tls(protocols: &[&str], server: Option<SocketAddr>) -> (SocketAddr, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["orders.internal".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = params.self_signed(&key).unwrap();
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["orders.internal".to_owned()]).unwrap();
    let certificate = own.signed_by(&own_key, &rcgen::Issuer::from_params(&params, &key)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let own_key = PrivateKeyDer::try_from(own_key.serialize_der()).unwrap();
    let mut config = config.with_single_cert(vec![CertificateDer::from(certificate.der().to_vec())], own_key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    match (stream.get_ref().1.alpn_protocol() == Some(b"h2"), server) {
                        (true, Some(server)) => pass(stream, server).await,
                        (true, None) => serve_http2(stream).await,
                        (false, _) => serve_http1(stream).await,
                    }
                });
            }
        });
    });
    (address, issuer.pem())
}

type TlsStream = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;

async fn pass(mut stream: TlsStream, server: SocketAddr) {
    let mut plain = tokio::net::TcpStream::connect(server).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
}

async fn serve_http1(mut stream: TlsStream) {
    let mut request = [0; 4096];
    let mut read = stream.read(&mut request).await.unwrap_or(0);
    if request.starts_with(b"POST") && request[..read].ends_with(b"\r\n\r\n") {
        read += stream.read(&mut request[read..]).await.unwrap_or(0);
    }
    let is_web = request.windows(20).any(|part| part == b"application/grpc-web");
    let body = match request[..read].ends_with(b"hello") {
        true => "HTTP/1 hello",
        false if is_web => "HTTP/1 web",
        false => "HTTP/1",
    };
    let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn serve_http2(stream: TlsStream) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut response))) = connection.accept().await {
        assert_eq!(request.uri().scheme_str(), Some("https"));
        if request.uri().path() == "/http1" {
            response.send_reset(h2::Reason::HTTP_1_1_REQUIRED);
            continue;
        }
        let mut send = response.send_response(http::Response::new(()), false).unwrap();
        send.send_data(Bytes::from_static(b"HTTP/2"), true).unwrap();
    }
}

/// The responses of an origin that offers `protocols` to two requests.
fn asked(protocols: &[&str], protocol: &str) -> [Response; 2] {
    through(protocols, protocol, |gateway| [get(gateway, "/"), get(gateway, "/")])
}

fn through<T>(protocols: &[&str], protocol: &str, ask: impl FnOnce(SocketAddr) -> T) -> T {
    ask(in_front_of(&[protocols], protocol, "").address)
}

/// A gateway with one backend of an origin for each list of protocols, and `more` keys.
fn in_front_of(origins: &[&[&str]], protocol: &str, more: &str) -> GatewayUnderTest {
    let (addresses, authorities): (Vec<SocketAddr>, Vec<String>) = origins.iter().map(|protocols| origin(protocols)).unzip();
    let endpoints: Vec<String> = addresses.iter().map(|address| format!("\"https://{address}\"")).collect();
    let file = Temporary::file(&format!("{}-http2.pem", addresses[0].port()), &authorities.concat());
    GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [{}]\nprotocol = \"{protocol}\"\n\
         tls = {{ ca = \"{}\", server_name = \"orders.internal\" }}\n{more}\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        endpoints.join(", "),
        file.display()
    ))
}

#[test]
fn auto_takes_the_version_that_the_endpoint_chooses() {
    assert_eq!(asked(&["h2", "http/1.1"], "auto").map(|response| response.text()), ["HTTP/2", "HTTP/2"]);
    assert_eq!(asked(&["http/1.1"], "auto").map(|response| response.text()), ["HTTP/1", "HTTP/1"]);
    assert_eq!(asked(&[], "auto").map(|response| response.text()), ["HTTP/1", "HTTP/1"]);
}

#[test]
fn a_request_that_the_endpoint_wants_over_http1_is_sent_again_over_it() {
    let post = "POST /http1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let texts = through(&["h2", "http/1.1"], "auto", |gateway| {
        [get(gateway, "/"), send(gateway, post), get(gateway, "/")].map(|response| response.text())
    });
    assert_eq!(texts, ["HTTP/2", "HTTP/1 hello", "HTTP/1"], "it is remembered");
    let [first, second] = through(&["h2"], "h2", |gateway| [get(gateway, "/http1"), get(gateway, "/")]);
    assert_eq!((first.status, assert_contract("GET", &first).as_str()), (502, "UPSTREAM_PROTOCOL_ERROR"));
    assert_eq!(second.text(), "HTTP/2");
}

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

#[test]
fn an_upgrade_that_an_endpoint_cannot_serve_is_not_held_against_it() {
    let breaker = "[backends.o.breaker]\nopen_after = \"50% of 4\"\nopen_for = \"600s\"";
    let gateway = in_front_of(&[&["h2"]], "auto", breaker);
    for _ in 0..8 {
        let response = send(gateway.address, UPGRADE);
        assert_eq!((response.status, assert_contract("GET", &response).as_str()), (501, "NOT_IMPLEMENTED"));
    }
    assert_eq!(get(gateway.address, "/").text(), "HTTP/2", "the breaker is closed");
    let line = gateway.log_line(&["\"status\":501"]);
    assert!(line["endpoint"].as_str().is_some_and(|endpoint| endpoint.starts_with("https://127.0.0.1:")), "{line}");
}

#[test]
fn an_upgrade_goes_to_an_endpoint_that_can_serve_it() {
    let gateway = in_front_of(&[&["h2"], &["http/1.1"]], "auto", "");
    for _ in 0..6 {
        assert_eq!(send(gateway.address, UPGRADE).text(), "HTTP/1");
    }
}

#[test]
fn an_upgrade_goes_over_http1_and_leaves_the_other_requests_on_http2() {
    // The origin ignores the upgrade, and its response passes.
    let texts = through(&["h2", "http/1.1"], "auto", |gateway| {
        [get(gateway, "/"), send(gateway, UPGRADE), get(gateway, "/")].map(|response| response.text())
    });
    assert_eq!(texts, ["HTTP/2", "HTTP/1", "HTTP/2"]);
}

#[test]
fn h1_never_speaks_http2() {
    assert_eq!(asked(&["h2", "http/1.1"], "h1").map(|response| response.text()), ["HTTP/1", "HTTP/1"]);
}

#[test]
fn h2_is_required_of_the_endpoint() {
    assert_eq!(asked(&["h2", "http/1.1"], "h2").map(|response| response.text()), ["HTTP/2", "HTTP/2"]);
    for (protocols, reason) in [(&[][..], "tls_protocol_error"), (&["http/1.1"][..], "tls_alert_received")] {
        for response in asked(protocols, "h2") {
            assert_eq!((response.status, assert_contract("GET", &response).as_str()), (502, "UPSTREAM_UNREACHABLE"));
            assert_eq!(response.header("proxy-status"), Some(format!("lockgate; error={reason}").as_str()));
        }
    }
}
