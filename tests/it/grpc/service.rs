//! A gRPC service by hand, with one method of each kind.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::{BoxFuture, tokio_stream};
use tonic::metadata::MetadataMap;
use tonic::server::Grpc;
use tonic::{Code, Request, Response, Status, Streaming};
use tower::service_fn;

use super::codec;

/// A request asks for answers, and an answer has a payload.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Message {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) payload: Vec<u8>,
    /// The sizes of the answers that are wanted.
    #[prost(uint32, repeated, tag = "2")]
    pub(super) answers: Vec<u32>,
    /// Milliseconds before each answer.
    #[prost(uint32, tag = "3")]
    pub(super) pause: u32,
    /// The status that is wanted.
    #[prost(int32, tag = "4")]
    pub(super) code: i32,
    #[prost(string, tag = "5")]
    pub(super) text: String,
}

impl Message {
    pub(super) fn asks(answers: &[u32]) -> Self {
        Self { answers: answers.to_vec(), ..Self::default() }
    }

    fn of(size: usize) -> Self {
        Self { payload: vec![0; size], ..Self::default() }
    }

    fn status(&self) -> Result<(), Status> {
        if self.code == 0 { Ok(()) } else { Err(Status::new(Code::from_i32(self.code), &self.text)) }
    }
}

#[derive(Clone, Debug)]
struct Service;

impl tonic::server::NamedService for Service {
    const NAME: &'static str = "test.Service";
}

/// Echoes the metadata of the interoperability tests.
fn echo_metadata<T>(request: &MetadataMap, response: &mut Response<T>) {
    if let Some(value) = request.get("x-grpc-test-echo-initial") {
        response.metadata_mut().insert("x-grpc-test-echo-initial", value.clone());
    }
    if let Some(value) = request.get("grpc-timeout") {
        response.metadata_mut().insert("x-timeout", value.clone());
    }
}

async fn unary(request: Request<Message>) -> Result<Response<Message>, Status> {
    request.get_ref().status()?;
    tokio::time::sleep(Duration::from_millis(u64::from(request.get_ref().pause))).await;
    let size = request.get_ref().answers.first().copied().unwrap_or_default();
    let mut response = Response::new(Message::of(size as usize));
    echo_metadata(request.metadata(), &mut response);
    Ok(response)
}

async fn collect(request: Request<Streaming<Message>>) -> Result<Response<Message>, Status> {
    let (mut stream, mut sum) = (request.into_inner(), 0);
    while let Some(message) = stream.message().await? {
        message.status()?;
        sum += message.payload.len();
    }
    Ok(Response::new(Message { answers: vec![u32::try_from(sum).unwrap()], ..Message::default() }))
}

type Answers = ReceiverStream<Result<Message, Status>>;

/// Answers one message; false when nobody reads any more.
async fn answer(message: Message, to: &tokio::sync::mpsc::Sender<Result<Message, Status>>) -> bool {
    for size in &message.answers {
        tokio::time::sleep(Duration::from_millis(u64::from(message.pause))).await;
        if to.send(Ok(Message::of(*size as usize))).await.is_err() {
            return false;
        }
    }
    match message.status() {
        Ok(()) => true,
        Err(status) => {
            let _ = to.send(Err(status)).await;
            false
        }
    }
}

async fn expand(request: Request<Message>) -> Result<Response<Answers>, Status> {
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    tokio::spawn(async move { answer(request.into_inner(), &sender).await });
    Ok(Response::new(ReceiverStream::new(receiver)))
}

async fn converse(request: Request<Streaming<Message>>) -> Result<Response<Answers>, Status> {
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let mut response = Response::new(ReceiverStream::new(receiver));
    echo_metadata(request.metadata(), &mut response);
    let mut stream = request.into_inner();
    tokio::spawn(async move {
        while let Ok(Some(message)) = stream.message().await
            && answer(message, &sender).await
        {}
    });
    Ok(response)
}

impl tower::Service<http::Request<tonic::body::Body>> for Service {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(codec());
            let trailing = request.headers().get("x-grpc-test-echo-trailing-bin").cloned();
            let response = match request.uri().path() {
                "/test.Service/Unary" => grpc.unary(service_fn(unary), request).await,
                "/test.Service/Collect" => grpc.client_streaming(service_fn(collect), request).await,
                "/test.Service/Expand" => grpc.server_streaming(service_fn(expand), request).await,
                "/test.Service/Converse" => grpc.streaming(service_fn(converse), request).await,
                _ => Status::unimplemented("").into_http(),
            };
            Ok(match trailing {
                None => response,
                Some(value) => response.map(|body| tonic::body::Body::new(WithTrailer { body, value })),
            })
        })
    }
}

/// A body to whose trailers one is added.
struct WithTrailer {
    body: tonic::body::Body,
    value: http::HeaderValue,
}

impl http_body::Body for WithTrailer {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Status>>> {
        let value = self.value.clone();
        Pin::new(&mut self.body).poll_frame(cx).map_ok(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                trailers.insert("x-grpc-test-echo-trailing-bin", value);
            }
            frame
        })
    }
}

/// Serves the service on a free port.
pub(super) async fn serve() -> SocketAddr {
    let incoming = tonic::transport::server::TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    tokio::spawn(tonic::transport::Server::builder().add_service(Service).serve_with_incoming(incoming));
    address
}

/// A stream of these messages.
pub(super) fn stream_of(messages: Vec<Message>) -> impl tokio_stream::Stream<Item = Message> {
    tokio_stream::iter(messages)
}
