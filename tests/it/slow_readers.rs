//! Tests clients that read slowly but steadily, and whose system's buffers hide it: over each transport they get all of a response,
//! however short `write_timeout` is, as long as something is taken within it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::harness::wait::{in_time, let_time_pass};
use crate::harness::{Client, GatewayUnderTest, Origin, Temporary};

/// Bytes of the body: more than the send buffer of a socket holds, which becomes free to write again when a third of it is.
const BODY: usize = 12 << 20;
/// What is read at a time, and from one time to the next.
const STEP: (usize, Duration) = (16 * 1024, Duration::from_millis(40));
/// How many such steps are as slow. Together they take much longer than the timeout, and far less than makes the socket free to write.
const STEPS: usize = 60;
const WRITE_TIMEOUT: &str = "800ms";

/// Passes one connection to the gateway, and what comes back slowly, from a receive buffer that does not grow.
fn slowly(gateway: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        socket.connect(&gateway.into()).unwrap();
        let mut server = TcpStream::from(socket);
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from_client, &mut to_server);
        });
        let mut piece = vec![0; STEP.0];
        for _ in 0..STEPS {
            let read = server.read(&mut piece).unwrap_or(0);
            if client.write_all(&piece[..read]).is_err() {
                break;
            }
            let_time_pass(STEP.1);
        }
        // The rest needs no patience.
        let _ = std::io::copy(&mut server, &mut client);
        let _ = client.shutdown(std::net::Shutdown::Both);
    });
    address
}

/// A gateway with TLS in front of an origin with a body of this size, the roots of its clients, and its files.
fn gateway() -> (GatewayUnderTest, Arc<rustls::RootCertStore>, Temporary) {
    let made = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    let folder = Temporary::folder(&format!("slow-{}", fastrand::u64(..)));
    std::fs::write(folder.join("own.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("own.key"), made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
    let origin = Origin::start(|c| {
        c.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n"));
        c.say(vec![b'x'; BODY]);
    });
    let path = |name: &str| folder.join(name).display().to_string();
    let gateway = GatewayUnderTest::in_front_of(
        origin.address,
        &format!(
            "[listen]\nwrite_timeout = \"{WRITE_TIMEOUT}\"\n\
             [listen.tls]\naddress = \"127.0.0.1:0\"\ncert = \"{}\"\nkey = \"{}\"\n",
            path("own.crt"),
            path("own.key")
        ),
    );
    (gateway, Arc::new(roots), folder)
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn client_config(roots: &Arc<rustls::RootCertStore>, alpn: &[u8]) -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(Arc::clone(roots)).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

#[test]
fn over_http1() {
    let (gateway, ..) = gateway();
    let mut client = Client::connect(slowly(gateway.address));
    client.write(REQUEST);
    let response = client.response("GET");
    assert!(response.complete && response.body.len() == BODY, "{} bytes", response.body.len());
}

#[test]
fn over_http1_and_tls() {
    let (gateway, roots, _files) = gateway();
    let tcp = TcpStream::connect(slowly(gateway.tls())).unwrap();
    let name = ServerName::try_from("shop.example").unwrap();
    let connection = rustls::ClientConnection::new(client_config(&roots, b"http/1.1"), name).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, tcp);
    stream.write_all(REQUEST).unwrap();
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    assert!(read.is_ok(), "{read:?} after {} bytes", bytes.len());
    assert_eq!(Client::parse(&bytes, "GET").body.len(), BODY);
}

/// The number of bytes of a response over HTTP/2, with windows that bound nothing.
async fn received(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<usize, hyper::Error> {
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1 << 20).initial_connection_window_size(1 << 20);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = http::Request::get("https://shop.example/").body(Empty::<Bytes>::new()).unwrap();
    let response = in_time("the response", sender.send_request(request)).await?;
    Ok(in_time("the body", response.into_body().collect()).await?.to_bytes().len())
}

#[tokio::test]
async fn over_http2() {
    let (gateway, ..) = gateway();
    let tcp = tokio::net::TcpStream::connect(slowly(gateway.address)).await.unwrap();
    let r = received(tcp).await;
    eprintln!("{}", gateway.log_line(&["durationMs"]));
    assert_eq!(r.unwrap(), BODY);
}

#[tokio::test]
async fn over_http2_and_tls() {
    let (gateway, roots, _files) = gateway();
    let tcp = tokio::net::TcpStream::connect(slowly(gateway.tls())).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(client_config(&roots, b"h2"));
    let stream = connector.connect(ServerName::try_from("shop.example").unwrap(), tcp).await.unwrap();
    assert_eq!(received(stream).await.unwrap(), BODY);
}
