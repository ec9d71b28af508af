//! A receiver of notifications on raw sockets, which keeps what it is sent and answers as it is told.

use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::harness::{Origin, Temporary, until};

/// The part of the URL that opens it.
pub const OPENS: &str = "services-T0-hunter2secret";

pub struct Receiver {
    origin: Origin,
    messages: Arc<Mutex<Vec<Told>>>,
    url: Temporary,
}

/// What came as one request.
#[derive(Clone)]
pub struct Told {
    pub head: String,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&String::from_utf8_lossy(&self.body))
    }
}

impl Told {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The event and the title.
    pub fn told(&self) -> (String, String) {
        let json = self.json();
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        (text("event"), text("title"))
    }
}

/// An answer without a body.
pub fn says(status: u16, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: 0\r\n\r\n").into_bytes()
}

impl Receiver {
    /// Takes everything.
    pub fn start(name: &str) -> Self {
        Self::answers(name, vec![says(200, "")])
    }

    /// Gives these answers, one to each message. The last is that to all further ones; an empty one is no answer, and one that is no HTTP
    /// closes the connection.
    pub fn answers(name: &str, answers: Vec<Vec<u8>>) -> Self {
        let messages: Arc<Mutex<Vec<Told>>> = Arc::default();
        let kept = Arc::clone(&messages);
        let origin = Origin::start(move |conversation| {
            let body = conversation.body();
            let number = {
                let mut kept = kept.lock().unwrap();
                kept.push(Told { head: conversation.head.clone(), body });
                kept.len() - 1
            };
            match answers.get(number).unwrap_or(answers.last().unwrap()).as_slice() {
                b"" => conversation.hang(),
                answer => conversation.say(answer),
            }
        });
        let url = Temporary::file(&format!("notify-{name}"), &format!("http://{}/hook/{OPENS}?key=hunter2", origin.address));
        Self { origin, messages, url }
    }

    /// The URL as the configuration names it.
    pub fn reference(&self) -> String {
        format!("file:{}", self.url.display())
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.origin.address
    }

    /// The table of a gateway that tells it.
    pub fn table(&self, kind: &str, more: &str) -> String {
        format!("[[notify]]\nkind = \"{kind}\"\nurl = \"{}\"\n{more}", self.reference())
    }

    /// What came by now.
    pub fn now(&self) -> Vec<Told> {
        self.messages.lock().unwrap().clone()
    }

    /// Waits until so many messages came.
    pub fn messages(&self, count: usize) -> Vec<Told> {
        until(|| {
            let messages = self.now();
            if messages.len() >= count { Ok(messages) } else { Err(format!("{count} messages, but {messages:#?}")) }
        })
    }
}
