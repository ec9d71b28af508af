//! An HTTP client that sends raw bytes and parses responses strictly, so that no library hides a fault.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::wait::PATIENCE;

pub struct Client {
    pub stream: TcpStream,
    unread: Vec<u8>,
    /// The interim responses that came before the last final one.
    pub interim: Vec<Response>,
}

#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// The framing came to its end.
    pub complete: bool,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Everything that could carry a secret.
    pub fn everything(&self) -> String {
        format!("{} {:?} {:?} {}", self.reason, self.headers, self.trailers, self.text())
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, unread: Vec::new(), interim: Vec::new() }
    }

    /// Parses a response that another client has read to the end of its connection.
    pub fn parse(bytes: &[u8], method: &str) -> Response {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Self::connect(listener.local_addr().unwrap());
        drop(listener);
        client.unread = bytes.to_vec();
        client.response(method)
    }

    /// Writes bytes; a gateway that has closed already is no failure of the test.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Waits until these bytes have come; they stay to be read.
    pub fn wait_for(&mut self, text: &str) {
        while !self.unread.windows(text.len()).any(|part| part == text.as_bytes()) {
            assert!(self.more(), "the end before {text:?}");
        }
    }

    /// Reads some more; false at the end or a reset.
    fn more(&mut self) -> bool {
        let mut piece = [0; 65536];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(read) => {
                self.unread.extend_from_slice(&piece[..read]);
                true
            }
            Err(error) => {
                assert!(
                    error.kind() != std::io::ErrorKind::WouldBlock,
                    "no answer in time, so far {:?}",
                    String::from_utf8_lossy(&self.unread)
                );
                false
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.unread.drain(..end + 2).collect::<Vec<_>>();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.more() {
                return None;
            }
        }
    }

    fn take(&mut self, count: usize) -> (Vec<u8>, bool) {
        while self.unread.len() < count {
            if !self.more() {
                return (std::mem::take(&mut self.unread), false);
            }
        }
        (self.unread.drain(..count).collect(), true)
    }

    /// Reads so many bytes that belong to no response, such as those of a tunnel. Fewer when the connection ends before.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        self.take(count).0
    }

    fn fields(&mut self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("bad header line {line:?}"));
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
        fields
    }

    /// Reads one final response to a request with this method; `None` when the connection ended instead. Hints in front of it (102 to 199)
    /// are kept in `interim`.
    pub fn read(&mut self, method: &str) -> Option<Response> {
        loop {
            let response = self.read_any(method)?;
            if response.status >= 200 || matches!(response.status, 100 | 101) {
                return Some(response);
            }
            self.interim.push(response);
        }
    }

    fn read_any(&mut self, method: &str) -> Option<Response> {
        let start = self.line()?;
        let mut parts = start.splitn(3, ' ');
        assert!(matches!(parts.next(), Some("HTTP/1.1" | "HTTP/1.0")), "{start:?}");
        let status = parts.next().unwrap().parse().unwrap();
        let reason = parts.next().unwrap_or_default().to_owned();
        let mut response = Response { status, reason, headers: self.fields(), ..Response::default() };
        self.body(method, &mut response);
        Some(response)
    }

    fn body(&mut self, method: &str, response: &mut Response) {
        let length: Option<usize> = response.header("content-length").map(|value| value.parse().unwrap());
        if method == "HEAD" || matches!(response.status, 100..200 | 204 | 304) {
            response.complete = true;
        } else if response.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            assert_eq!(length, None, "two framings: {response:?}");
            while let Some(size) = self.line() {
                let size = usize::from_str_radix(&size, 16).unwrap();
                if size == 0 {
                    response.trailers = self.fields();
                    response.complete = true;
                    return;
                }
                let (data, whole) = self.take(size);
                response.body.extend(data);
                if !whole || self.line().is_none() {
                    return;
                }
            }
        } else if let Some(length) = length {
            (response.body, response.complete) = self.take(length);
        } else {
            while self.more() {}
            response.body = std::mem::take(&mut self.unread);
            response.complete = true;
        }
    }

    /// Reads a response that must come.
    pub fn response(&mut self, method: &str) -> Response {
        self.read(method).expect("the connection ended without a response")
    }

    /// True when the gateway has ended the connection and sent nothing more.
    pub fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && !self.more()
    }
}

/// One `GET` on a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> Response {
    send(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

/// One request as raw bytes on a connection of its own.
pub fn send(address: SocketAddr, request: impl AsRef<[u8]>) -> Response {
    let mut client = Client::connect(address);
    client.write(&request);
    let method = String::from_utf8_lossy(request.as_ref()).split(' ').next().unwrap_or_default().trim().to_owned();
    client.response(&method)
}
