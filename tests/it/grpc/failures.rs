//! What the gateway makes of failures: its own, those of the service, and those of the connection between them.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lockgate::rpc;
use prost::Message as _;
use tonic::Code;

use super::service::{Message, serve};
use super::{client, codec, gateway, method};
use crate::harness::wait::in_time;
use crate::harness::{GatewayUnderTest, Origin};

const UNARY: &str = "/test.Service/Unary";

/// The status of a call of `Unary` with this message.
async fn status_of(gateway: &GatewayUnderTest, message: Message) -> tonic::Status {
    client(gateway).await.unary::<_, Message, _>(tonic::Request::new(message), method(UNARY), codec()).await.unwrap_err()
}

fn details(bytes: &[u8]) -> Vec<rpc::Any> {
    rpc::Status::decode(bytes).unwrap().details
}

#[tokio::test]
async fn a_message_for_the_client_passes_and_one_of_the_server_does_not() {
    let gateway = gateway(serve().await, "", "");
    for (code, text, shown) in [
        (Code::InvalidArgument, "The amount must be positive.", "The amount must be positive."),
        (Code::NotFound, "at com.acme.OrderDao.find(OrderDao.java:118)", "This was not found."),
        (Code::Internal, "SELECT * FROM orders WHERE id = 7 failed on db.corp.internal", "The service had a problem."),
        (Code::Unknown, "Traceback: /srv/app/orders.py", "The service had a problem."),
    ] {
        let status = status_of(&gateway, Message { code: code as i32, text: text.to_owned(), ..Message::default() }).await;
        assert_eq!((status.code(), status.message()), (code, shown));
    }
}

#[tokio::test]
async fn an_unreachable_backend_is_unavailable_with_details() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = gateway(free, "", "");
    let status = status_of(&gateway, Message::default()).await;
    assert_eq!(status.code(), Code::Unavailable);
    let details = details(status.details());
    let info = details.iter().find_map(rpc::Any::unpack::<rpc::ErrorInfo>).unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("UPSTREAM_UNREACHABLE", "lockgate"));
    let request = details.iter().find_map(rpc::Any::unpack::<rpc::RequestInfo>).unwrap();
    assert_eq!(status.metadata().get("x-request-id").unwrap(), request.request_id.as_str());
}

#[tokio::test]
async fn a_rate_limit_says_when_to_retry() {
    let gateway = gateway(serve().await, "[limits.few]\nrate = \"1/h\"", "limits = [\"few\"]");
    let mut client = client(&gateway).await;
    client.unary::<_, Message, _>(tonic::Request::new(Message::default()), method(UNARY), codec()).await.unwrap();
    let status = status_of(&gateway, Message::default()).await;
    assert_eq!(status.code(), Code::Unavailable);
    let retry = details(status.details()).iter().find_map(rpc::Any::unpack::<rpc::RetryInfo>).unwrap();
    assert!(retry.retry_delay.unwrap().seconds >= 1);
}

#[tokio::test]
async fn a_route_that_does_not_exist_is_unimplemented() {
    let backend = serve().await;
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{backend}\"]\nprotocol = \"h2\"\n[[routes]]\npath = \"/other/*\"\nbackend = \"o\"\n"
    ));
    assert_eq!(status_of(&gateway, Message::default()).await.code(), Code::Unimplemented);
}

#[tokio::test]
async fn the_backend_gets_the_rest_of_the_deadline() {
    let gateway = gateway(serve().await, "", "");
    let mut request = tonic::Request::new(Message::default());
    request.metadata_mut().insert("grpc-timeout", "10S".parse().unwrap());
    let response = client(&gateway).await.unary::<_, Message, _>(request, method(UNARY), codec()).await.unwrap();
    let micros = response.metadata().get("x-timeout").unwrap().to_str().unwrap().strip_suffix('u').unwrap().parse::<u64>().unwrap();
    assert!((5_000_000..10_000_000).contains(&micros), "{micros}");
}

/// Head, body and trailers of a call, as they are on the wire.
async fn raw(gateway: &GatewayUnderTest, timeout: Option<&str>) -> (Response<()>, Bytes, HeaderMap) {
    let stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post("http://a/test.Service/Expand").header("content-type", "application/grpc").header("te", "trailers");
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    let request: Request<Full<Bytes>> = request.body(Full::default()).unwrap();
    let response = in_time("the head", sender.send_request(request)).await.unwrap();
    let (parts, body) = response.into_parts();
    let collected = in_time("the body", body.collect()).await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    (Response::from_parts(parts, ()), collected.to_bytes(), trailers)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_failure_of_the_gateway_has_only_trailers() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = gateway(free, "", "");
    let (head, body, trailers) = raw(&gateway, None).await;
    assert_eq!((head.status().as_u16(), body.len(), trailers.len()), (200, 0, 0));
    assert_eq!((text(head.headers(), "content-type"), text(head.headers(), "grpc-status")), ("application/grpc", "14"));
    assert!(text(head.headers(), "proxy-status").contains("connection_refused"));
}

/// A service that answers with one message and then does this.
async fn after_one_message(then: impl Fn(&mut h2::SendStream<Bytes>) + Send + Sync + Copy + 'static) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut response))) = connection.accept().await {
                    tokio::spawn(async move {
                        let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
                        let mut send = response.send_response(head, false).unwrap();
                        send.send_data(Bytes::from_static(b"\0\0\0\0\x01x"), false).unwrap();
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                        then(&mut send);
                        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
                    });
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_stream_that_breaks_ends_in_trailers_with_a_status() {
    let backend = after_one_message(|send| send.send_reset(h2::Reason::INTERNAL_ERROR)).await;
    let gateway = gateway(backend, "", "");
    let (head, body, trailers) = raw(&gateway, None).await;
    assert_eq!((head.status().as_u16(), body.as_ref(), text(head.headers(), "grpc-status")), (200, &b"\0\0\0\0\x01x"[..], ""));
    assert_eq!(text(&trailers, "grpc-status"), "14");
    assert!(!text(&trailers, "grpc-message").is_empty() && !text(&trailers, "grpc-message").contains("reset"));
    let bytes =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD_NO_PAD, text(&trailers, "grpc-status-details-bin")).unwrap();
    let info = details(&bytes).iter().find_map(rpc::Any::unpack::<rpc::ErrorInfo>).unwrap();
    assert_eq!(info.reason, "UPSTREAM_CONNECTION_LOST");
    let line = tokio::task::spawn_blocking(move || gateway.log_line(&["/test.Service/Expand"])).await.unwrap();
    assert_eq!((line["aborted"].as_bool(), line["reason"].as_str()), (Some(true), Some("http_response_incomplete")));
}

#[tokio::test]
async fn a_deadline_within_a_stream_ends_it_in_trailers() {
    let gateway = gateway(after_one_message(|_| {}).await, "", "");
    let (head, body, trailers) = raw(&gateway, Some("300m")).await;
    assert_eq!((head.status().as_u16(), body.len(), text(&trailers, "grpc-status")), (200, 6, "4"));
}

#[tokio::test]
async fn a_client_of_http1_sees_that_a_stream_broke() {
    let backend = after_one_message(|send| send.send_reset(h2::Reason::INTERNAL_ERROR)).await;
    let gateway = gateway(backend, "", "");
    let request = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let response = tokio::task::spawn_blocking(move || crate::harness::send(gateway.address, request)).await.unwrap();
    assert_eq!((response.status, response.complete), (200, false));
}

#[tokio::test]
async fn trailers_of_a_service_are_redacted() {
    let backend = after_one_message(|send| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "13".parse().unwrap());
        trailers.insert("grpc-message", "at com.acme.OrderDao.find(OrderDao.java:118)".parse().unwrap());
        trailers.insert("x-debug", "leak-me".parse().unwrap());
        send.send_trailers(trailers).unwrap();
    })
    .await;
    let gateway = gateway(backend, "", "");
    let (_, _, trailers) = raw(&gateway, None).await;
    assert_eq!((text(&trailers, "grpc-status"), text(&trailers, "grpc-message")), ("13", "The service had a problem."));
    assert!(!format!("{trailers:?}").contains("leak-me"));
}

#[tokio::test]
async fn an_html_error_of_a_backend_becomes_a_status() {
    let origin = Origin::says("HTTP/1.1 503 X\r\nContent-Type: text/html\r\nContent-Length: 11\r\n\r\n<h1>hi</h1>");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let status = status_of(&gateway, Message::default()).await;
    assert_eq!(status.code(), Code::Unavailable);
}
