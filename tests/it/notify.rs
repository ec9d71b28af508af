//! Tests notifications: real messages to receivers on raw sockets, which take them, refuse them or misbehave.

mod forms;
mod receiver;
mod states;
mod storms;
mod trouble;

use std::io::Write;

use crate::harness::origin::Conversation;
use crate::harness::{GatewayUnderTest, Origin, get};
use receiver::Receiver;

/// An upstream whose answer to `/PATH` is an error with the message `PATH is broken`; `/fine` is well.
fn upstream() -> Origin {
    Origin::start(|conversation: &mut Conversation| {
        loop {
            let path = conversation.head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
            let body = format!("{{\"message\":\"{path} is broken\"}}");
            let status = if path == "fine" { "200 OK" } else { "500 Internal Server Error" };
            let mut answer = Vec::new();
            write!(answer, "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            if !conversation.write(answer) || !conversation.next_head() {
                return;
            }
        }
    })
}

/// A gateway in front of an origin, which tells a receiver.
fn gateway(origin: &Origin, receiver: &Receiver, more: &str) -> GatewayUnderTest {
    GatewayUnderTest::in_front_of(origin.address, &receiver.table("webhook", more))
}

/// Lets a request fail in its own way.
fn fail(gateway: &GatewayUnderTest, how: &str) {
    assert_eq!(get(gateway.address, &format!("/{how}")).status, 502);
}
