//! Origins on raw TCP sockets, because HTTP libraries do not allow the faults that the tests need.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::eventually;
use super::wait::PATIENCE;

/// A listening origin. It ends with the test process.
pub struct Origin {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

/// One accepted connection, with the head of its first request.
pub struct Conversation {
    pub stream: TcpStream,
    pub head: String,
    /// Bytes that came behind the head.
    pub rest: Vec<u8>,
    /// Number of this connection.
    pub number: usize,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    /// Each connection is handed to `behave` after its first head was read.
    pub fn start(behave: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Self {
        Self::start_on_connect(move |conversation| {
            if conversation.next_head() {
                behave(conversation);
            }
        })
    }

    /// Each connection is handed to `behave` at once.
    pub fn start_on_connect(behave: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let behave = Arc::new(behave);
        let origin = Self { address, connections: Arc::clone(&connections), requests: Arc::clone(&requests) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let (behave, requests) = (Arc::clone(&behave), Arc::clone(&requests));
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                std::thread::spawn(move || behave(&mut Conversation { stream, head: String::new(), rest: Vec::new(), number, requests }));
            }
        });
        origin
    }

    /// Answers every request with these bytes and closes.
    pub fn says(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |conversation| conversation.say(&bytes))
    }

    /// Answers every request of a connection with a 200 that names what was asked.
    pub fn echo() -> Self {
        Self::start(|conversation| {
            loop {
                let body = conversation.body();
                let text = format!("{}\n{}", conversation.head.trim_end(), String::from_utf8_lossy(&body));
                let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", text.len());
                let bodyless = conversation.head.starts_with("HEAD");
                conversation.write(format!("{head}{}", if bodyless { "" } else { &text }));
                if !conversation.next_head() {
                    return;
                }
            }
        })
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Heads of all requests that came.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until so many requests came.
    pub fn wait_for_requests(&self, count: usize) {
        eventually(&format!("{count} requests reach the origin"), || self.requests.lock().unwrap().len() >= count);
    }
}

impl Conversation {
    /// Reads the next head; false when the gateway closed instead.
    pub fn next_head(&mut self) -> bool {
        loop {
            if let Some(end) = self.rest.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = self.rest.drain(..end + 4).collect();
                self.head = String::from_utf8_lossy(&head).into_owned();
                self.requests.lock().unwrap().push(self.head.clone());
                return true;
            }
            if !self.fill() {
                return false;
            }
        }
    }

    fn fill(&mut self) -> bool {
        let mut piece = [0; 65536];
        match self.stream.read(&mut piece) {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.rest.extend_from_slice(&piece[..read]);
                true
            }
        }
    }

    /// A header of the request.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim().to_owned())
    }

    /// Reads the request's body by its framing.
    pub fn body(&mut self) -> Vec<u8> {
        if let Some(length) = self.header("content-length").map(|value| value.parse::<usize>().unwrap()) {
            while self.rest.len() < length && self.fill() {}
            return self.rest.drain(..length.min(self.rest.len())).collect();
        }
        if self.header("transfer-encoding").is_none() {
            return Vec::new();
        }
        let mut body = Vec::new();
        loop {
            while !self.rest.windows(2).any(|w| w == b"\r\n") && self.fill() {}
            let Some(end) = self.rest.windows(2).position(|w| w == b"\r\n") else { return body };
            let line: Vec<u8> = self.rest.drain(..end + 2).collect();
            let size = usize::from_str_radix(std::str::from_utf8(&line[..end]).unwrap(), 16).unwrap();
            while self.rest.len() < size + 2 && self.fill() {}
            body.extend(self.rest.drain(..size));
            self.rest.drain(..2);
            if size == 0 {
                return body;
            }
        }
    }

    /// Writes bytes; a gateway that left is part of many tests.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Writes bytes and ends the connection in order.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.write(bytes);
        let _ = self.stream.shutdown(Shutdown::Write);
        let mut sink = [0; 4096];
        while matches!(self.stream.read(&mut sink), Ok(read) if read > 0) {}
    }

    /// The connection ends with a reset, when the behaviour returns.
    pub fn reset(&mut self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Says nothing until the gateway gives up.
    pub fn hang(&mut self) {
        let mut sink = [0; 4096];
        while matches!(self.stream.read(&mut sink), Ok(read) if read > 0) {}
    }
}
