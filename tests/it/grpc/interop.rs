//! The cases of the interoperability tests of gRPC.

use std::time::Duration;

use prost::Message as _;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

use super::service::{Message, serve, stream_of};
use super::{client, codec, gateway, method};
use crate::harness::wait::in_time;

const UNARY: &str = "/test.Service/Unary";
const COLLECT: &str = "/test.Service/Collect";
const EXPAND: &str = "/test.Service/Expand";
const CONVERSE: &str = "/test.Service/Converse";

#[tokio::test]
async fn empty_unary() {
    let gateway = gateway(serve().await, "", "");
    let response = client(&gateway).await.unary(Request::new(Message::default()), method(UNARY), codec()).await.unwrap();
    assert_eq!(response.into_inner(), Message::default());
}

#[tokio::test]
async fn large_unary() {
    let gateway = gateway(serve().await, "", "");
    let request = Message { payload: vec![0; 271_828], ..Message::asks(&[314_159]) };
    let response = client(&gateway).await.unary(Request::new(request), method(UNARY), codec()).await.unwrap();
    assert_eq!(response.into_inner().payload.len(), 314_159);
}

#[tokio::test]
async fn client_streaming() {
    let gateway = gateway(serve().await, "", "");
    let messages = [27_182, 8, 1_828, 45_904].map(|size| Message { payload: vec![0; size], ..Message::default() });
    let request = Request::new(stream_of(messages.to_vec()));
    let response = client(&gateway).await.client_streaming(request, method(COLLECT), codec()).await.unwrap();
    assert_eq!(response.into_inner().answers, [74_922]);
}

#[tokio::test]
async fn server_streaming() {
    let gateway = gateway(serve().await, "", "");
    let request = Request::new(Message::asks(&[31_415, 9, 2_653, 58_979]));
    let mut answers = client(&gateway).await.server_streaming(request, method(EXPAND), codec()).await.unwrap().into_inner();
    let mut sizes = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        sizes.push(answer.payload.len());
    }
    assert_eq!(sizes, [31_415, 9, 2_653, 58_979]);
}

#[tokio::test]
async fn ping_pong() {
    let gateway = gateway(serve().await, "", "");
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let request = Request::new(ReceiverStream::new(receiver));
    let mut client = client(&gateway).await;
    sender.send(Message::asks(&[31_415])).await.unwrap();
    let mut answers = in_time("the head", client.streaming(request, method(CONVERSE), codec())).await.unwrap().into_inner();
    for (size, next) in [(31_415, Some(9)), (9, Some(2_653)), (2_653, Some(58_979)), (58_979, None)] {
        let answer: Message = in_time("an answer to each message", answers.message()).await.unwrap().unwrap();
        assert_eq!(answer.payload.len(), size);
        if let Some(next) = next {
            // A pause, so that messages are seen to pass one by one.
            tokio::time::sleep(Duration::from_millis(20)).await;
            sender.send(Message::asks(&[next])).await.unwrap();
        }
    }
    drop(sender);
    assert!(in_time("the end", answers.message()).await.unwrap().is_none());
}

#[tokio::test]
async fn empty_stream() {
    let gateway = gateway(serve().await, "", "");
    let request = Request::new(stream_of(Vec::new()));
    let mut answers = client(&gateway).await.streaming(request, method(CONVERSE), codec()).await.unwrap().into_inner();
    let none: Option<Message> = in_time("the end", answers.message()).await.unwrap();
    assert!(none.is_none());
}

#[tokio::test]
async fn custom_metadata() {
    let gateway = gateway(serve().await, "", "");
    let bytes = MetadataValue::from_bytes(&[0xab, 0xab, 0xab]);
    let mut request = Request::new(Message::default());
    request.metadata_mut().insert("x-grpc-test-echo-initial", "test_initial_metadata_value".parse().unwrap());
    request.metadata_mut().insert_bin("x-grpc-test-echo-trailing-bin", bytes.clone());
    let response = client(&gateway).await.unary(request, method(UNARY), codec()).await.unwrap();
    // The client adds the trailers of a unary call to its metadata.
    assert_eq!(response.metadata().get("x-grpc-test-echo-initial").unwrap(), "test_initial_metadata_value");
    assert_eq!(response.metadata().get_bin("x-grpc-test-echo-trailing-bin").unwrap(), bytes);

    let mut request = Request::new(stream_of(vec![Message::asks(&[5])]));
    request.metadata_mut().insert("x-grpc-test-echo-initial", "test_initial_metadata_value".parse().unwrap());
    request.metadata_mut().insert_bin("x-grpc-test-echo-trailing-bin", bytes.clone());
    let response = client(&gateway).await.streaming(request, method(CONVERSE), codec()).await.unwrap();
    assert_eq!(response.metadata().get("x-grpc-test-echo-initial").unwrap(), "test_initial_metadata_value");
    let mut answers = response.into_inner();
    while answers.message().await.unwrap().is_some_and(|_: Message| true) {}
    assert_eq!(answers.trailers().await.unwrap().unwrap().get_bin("x-grpc-test-echo-trailing-bin").unwrap(), bytes);
}

/// UNKNOWN is a failure of the service, whose text passes in development only. That of a status that blames the client passes in production.
async fn status_of(text: &str) {
    status_in("development", Code::Unknown, text, text).await;
    status_in("production", Code::Unknown, text, "The service had a problem.").await;
    status_in("production", Code::FailedPrecondition, text, text).await;
}

async fn status_in(mode: &str, code: Code, text: &str, expected: &str) {
    let gateway = gateway(serve().await, &format!("mode = \"{mode}\""), "");
    let message = Message { code: code as i32, text: text.to_owned(), ..Message::default() };
    let same = |status: Status| assert_eq!((status.code(), status.message()), (code, expected));
    let mut client = client(&gateway).await;
    same(client.unary(Request::new(message.clone()), method(UNARY), codec()).await.unwrap_err());
    client.ready().await.unwrap();
    let mut answers = client.streaming(Request::new(stream_of(vec![message])), method(CONVERSE), codec()).await.unwrap().into_inner();
    same(answers.message().await.unwrap_err());
}

#[tokio::test]
async fn status_code_and_message() {
    status_of("test status message").await;
}

#[tokio::test]
async fn special_status_message() {
    status_of("\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n").await;
}

#[tokio::test]
async fn unimplemented_method() {
    let gateway = gateway(serve().await, "", "");
    let call =
        client(&gateway).await.unary::<_, Message, _>(Request::new(Message::default()), method("/test.Service/Other"), codec()).await;
    assert_eq!(call.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn unimplemented_service() {
    let gateway = gateway(serve().await, "", "");
    let call = client(&gateway).await.unary::<_, Message, _>(Request::new(Message::default()), method("/test.Other/Unary"), codec()).await;
    assert_eq!(call.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn cancel_after_begin() {
    let gateway = gateway(serve().await, "", "");
    let (sender, receiver) = tokio::sync::mpsc::channel::<Message>(1);
    let mut client = client(&gateway).await;
    let call = tokio::spawn(async move {
        client.client_streaming::<_, _, Message, _>(Request::new(ReceiverStream::new(receiver)), method(COLLECT), codec()).await.is_ok()
    });
    let begun = tokio::task::spawn_blocking(move || {
        gateway.wait_for_metric("lockgate_requests_in_progress 1");
        gateway
    });
    let gateway = begun.await.unwrap();
    call.abort();
    drop(sender);
    let line = tokio::task::spawn_blocking(move || gateway.log_line(&["/test.Service/Collect"])).await.unwrap();
    assert_eq!(line["code"], "CLIENT_CLOSED");
}

#[tokio::test]
async fn cancel_after_first_response() {
    let gateway = gateway(serve().await, "", "");
    // By hand, because the client resets a stream only after both of its directions were dropped, and then it may have ended.
    let stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let head = http::Request::post("http://a/test.Service/Converse").header("content-type", "application/grpc").header("te", "trailers");
    let (response, mut send) = client.ready().await.unwrap().send_request(head.body(()).unwrap(), false).unwrap();
    let message = Message::asks(&[31_415]).encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    send.send_data([&[0], length.as_slice(), &message].concat().into(), false).unwrap();
    let mut answers = in_time("the head", response).await.unwrap().into_body();
    assert!(in_time("the first answer", answers.data()).await.unwrap().is_ok());
    send.send_reset(h2::Reason::CANCEL);
    let line = tokio::task::spawn_blocking(move || gateway.log_line(&["/test.Service/Converse"])).await.unwrap();
    assert_eq!(line["code"], "CLIENT_CLOSED");
}

#[tokio::test]
async fn timeout_on_sleeping_server() {
    let gateway = gateway(serve().await, "", "");
    let mut request = Request::new(stream_of(vec![Message { pause: 60_000, ..Message::asks(&[1]) }]));
    // Written by hand, so that the client itself has no clock.
    request.metadata_mut().insert("grpc-timeout", "200m".parse().unwrap());
    let mut client = client(&gateway).await;
    let call = async {
        let mut answers = client.streaming(request, method(CONVERSE), codec()).await?.into_inner();
        answers.message().await.map(|_: Option<Message>| ())
    };
    assert_eq!(in_time("the deadline", call).await.unwrap_err().code(), Code::DeadlineExceeded);
}
