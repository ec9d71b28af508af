//! Tests backends that are spoken to in HTTP/2: what passes, and each way in which a connection or a stream of it can fail.
//!
//! `serving` has an origin that keeps the protocol, `misbehaving` origins that write frames of their own.

mod misbehaving;
mod serving;
pub(crate) mod tls;

use std::net::SocketAddr;

use crate::harness::GatewayUnderTest;

/// A gateway whose only backend speaks HTTP/2, with more keys of the backend and of the route.
fn gateway(origin: SocketAddr, backend: &str, route: &str) -> GatewayUnderTest {
    GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{origin}\"]\nprotocol = \"h2\"\n{backend}\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n{route}\n"
    ))
}

#[test]
fn a_key_without_effect_on_http2_is_a_config_error() {
    let text = "[backends.o]\nendpoints = [\"http://a\"]\nprotocol = \"h2\"\npool = { max_idle = 3 }\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n";
    let problems = lockgate::plan::compile::from_text(text, &|_| None).unwrap_err();
    assert!(problems[0].title.contains("`max_idle` has no effect"), "{problems:?}");
    let unknown = text.replace("\"h2\"", "\"h3\"");
    assert!(lockgate::plan::compile::from_text(&unknown, &|_| None).is_err());
}
