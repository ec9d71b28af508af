//! Tests gRPC through the gateway with a real server and client: client, gateway and backend speak HTTP/2 in clear text.
//!
//! `interop` has the cases of the interoperability tests of gRPC that need no credentials
//! (<https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md>), `failures` what the gateway makes of failures.

mod failures;
mod interop;
mod service;
mod web;

use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use self::service::Message;
use crate::harness::GatewayUnderTest;

/// A gateway in front of a gRPC backend, with more keys in front of the backend's and of the route.
fn gateway(backend: std::net::SocketAddr, first: &str, route: &str) -> GatewayUnderTest {
    GatewayUnderTest::start(&format!(
        "{first}\n[backends.o]\nendpoints = [\"http://{backend}\"]\nprotocol = \"h2\"\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n{route}\n"
    ))
}

async fn client(gateway: &GatewayUnderTest) -> Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", gateway.address)).unwrap();
    let mut client = Grpc::new(endpoint.connect().await.unwrap());
    client.ready().await.unwrap();
    client
}

fn codec() -> ProstCodec<Message, Message> {
    ProstCodec::default()
}

fn method(name: &'static str) -> http::uri::PathAndQuery {
    http::uri::PathAndQuery::from_static(name)
}
