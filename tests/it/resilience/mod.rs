//! Tests resilience: failing and slow endpoints, an unavailable store, and overload.

mod balance;
mod breakers;
mod chaos;
mod fair;
mod health;
mod overload;
mod permits;
mod retries;
mod shared;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::harness::{GatewayUnderTest, Origin, Response, origin::Conversation};

/// An origin that answers with its name, and with a status that the test may change.
pub struct Named {
    pub origin: Origin,
    status: Arc<AtomicU16>,
}

impl Named {
    pub fn start(name: &'static str) -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let told = Arc::clone(&status);
        let origin = Origin::start(move |conversation| {
            loop {
                let body = String::from_utf8(conversation.body()).unwrap();
                reply(conversation, told.load(Ordering::SeqCst), "", &format!("{name}{body}"));
                if !conversation.next_head() {
                    return;
                }
            }
        });
        Self { origin, status }
    }

    pub fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.origin.address)
    }

    pub fn asked(&self) -> usize {
        self.origin.requests().len()
    }
}

/// One answer on a connection that stays.
pub fn reply(conversation: &mut Conversation, status: u16, headers: &str, body: &str) {
    let length = body.len();
    conversation.write(format!("HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{headers}\r\n{body}"));
}

/// A gateway before these endpoints; `backend` and `route` are more of their keys, `rest` is more of the file.
pub fn gateway(endpoints: &[String], backend: &str, route: &str, rest: &str) -> GatewayUnderTest {
    GatewayUnderTest::start(&format!(
        "{rest}\n[backends.o]\nendpoints = [{}]\n{backend}\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\n{route}\n",
        endpoints.join(", ")
    ))
}

/// An endpoint as a TOML string.
pub fn quoted(named: &Named) -> String {
    format!("\"{}\"", named.url())
}

/// A port that nobody listens on.
pub fn closed_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("\"http://{}\"", listener.local_addr().unwrap())
}

/// How often each word is the answer's body.
pub fn count(answers: &[Response], body: &str) -> usize {
    answers.iter().filter(|answer| answer.status == 200 && answer.text() == body).count()
}
