//! A client of WebSocket over HTTP/2 (RFC 8441) for tests that speak plain bytes: each TCP connection to the bridge becomes the stream of an
//! extended CONNECT.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::harness;
use crate::harness::GatewayUnderTest;
use crate::harness::wait::{PATIENCE, in_time};

pub(super) type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

pub(super) async fn connect(address: SocketAddr) -> Sender {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// An extended CONNECT.
pub(super) fn extended(protocol: &'static str, path: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let builder = Request::builder().method(Method::CONNECT).version(Version::HTTP_2).uri(format!("http://shop{path}"));
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.extension(Protocol::from_static(protocol)).body(Full::default()).unwrap()
}

/// Sends an extended CONNECT. The first one of a connection may come before the SETTINGS that allow it.
pub(super) async fn open(sender: &mut Sender, request: impl Fn() -> Request<Full<Bytes>>) -> Response<Incoming> {
    in_time("the head of the response", async {
        loop {
            match sender.send_request(request()).await {
                Ok(response) => return response,
                Err(error) if error.is_user() => tokio::task::yield_now().await,
                Err(error) => panic!("{error:?}"),
            }
        }
    })
    .await
}

/// The whole response to one extended CONNECT that is refused.
pub(super) fn refused(address: SocketAddr, protocol: &'static str, path: &str, headers: &[(&str, &str)]) -> harness::Response {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut sender = connect(address).await;
        let (parts, body) = open(&mut sender, || extended(protocol, path, headers)).await.into_parts();
        let body = in_time("the body of the response", body.collect()).await.unwrap().to_bytes().to_vec();
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        harness::Response { status: parts.status.as_u16(), headers, body, complete: true, ..harness::Response::default() }
    })
}

/// Opens a tunnel as raw bytes. All further headers are `headers`.
pub(super) fn tunnel(gateway: &GatewayUnderTest, path: &str, headers: &[(&str, &str)]) -> (TcpStream, http::HeaderMap) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    let (accepted, address) = (listener.accept().unwrap().0, gateway.address);
    let headers: Vec<(String, String)> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let path = path.to_owned();
    let (opened, open_now) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(bridge(accepted, address, &path, &headers, &opened));
    });
    (client, open_now.recv_timeout(PATIENCE).unwrap())
}

async fn bridge(local: TcpStream, address: SocketAddr, path: &str, headers: &[(String, String)], opened: &mpsc::Sender<http::HeaderMap>) {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut sender = connect(address).await;
    let response = open(&mut sender, || extended("websocket", path, &headers)).await;
    assert_eq!(response.status(), 200, "{response:?}");
    opened.send(response.headers().clone()).unwrap();
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    local.set_nonblocking(true).unwrap();
    let mut local = tokio::net::TcpStream::from_std(local).unwrap();
    if tokio::io::copy_bidirectional(&mut local, &mut stream).await.is_err() {
        // A side that was reset resets the other one.
        let _ = socket2::SockRef::from(&local).set_linger(Some(std::time::Duration::ZERO));
    }
}
