//! A client that writes the frames of HTTP/2 itself, so that no library hides a fault.

use crate::harness::{Client, GatewayUnderTest};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `POST http://a/`, in the static table of HPACK.
pub const POST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'a'];
/// `GET http://a/`, in the static table of HPACK.
pub const GET: &[u8] = &[0x82, 0x86, 0x84, 0x01, 1, b'a'];

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
pub const GO_AWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field that no table knows.
pub fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0][..], &length(name.len()), name, &length(value.len()), value].concat()
}

/// The length of a string in HPACK.
pub fn length(length: usize) -> Vec<u8> {
    let Some(mut rest) = length.checked_sub(0x7f) else { return vec![u8::try_from(length).unwrap()] };
    let mut bytes = vec![0x7f];
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// A frame that arrived.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With the bytes of its body.
    Answer(Vec<u8>),
    Reset(u8),
    /// The whole connection.
    GoAway(u8),
    Closed,
}

/// A connection.
pub struct Wire {
    client: Client,
    bodies: std::collections::HashMap<u32, Vec<u8>>,
}

impl Wire {
    pub fn connect(gateway: &GatewayUnderTest) -> Self {
        let mut client = Client::connect(gateway.address);
        // The window of the connection is as large as it can be.
        client.write([PREFACE, &frame(4, 0, 0, &[]), &frame(8, 0, 0, &(i32::MAX - 65_535).to_be_bytes())].concat());
        Self { client, bodies: std::collections::HashMap::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.write(bytes);
    }

    /// Reads a frame; `None` at the end.
    pub fn next(&mut self) -> Option<Frame> {
        let head = self.client.bytes(9);
        let [a, b, c, kind, flags, stream @ ..] = head.as_slice() else { return None };
        let payload = self.client.bytes(usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c));
        Some(Frame { kind: *kind, flags: *flags, stream: u32::from_be_bytes(stream.try_into().unwrap()), payload })
    }

    /// Reads until a stream ends, or the connection.
    pub fn next_end(&mut self) -> (u32, End) {
        loop {
            let Some(Frame { kind, flags, stream, payload }) = self.next() else { return (0, End::Closed) };
            match kind {
                RESET => return (stream, End::Reset(payload[3])),
                GO_AWAY => return (0, End::GoAway(payload[7])),
                DATA => self.bodies.entry(stream).or_default().extend(payload),
                _ => {}
            }
            if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
                return (stream, End::Answer(self.bodies.remove(&stream).unwrap_or_default()));
            }
        }
    }

    /// Reads until this stream ends, or the connection.
    pub fn end(&mut self, stream: u32) -> End {
        loop {
            let (ended, end) = self.next_end();
            if ended == stream || ended == 0 {
                return end;
            }
        }
    }

    /// Asks with a header block and no body.
    pub fn ask(&mut self, stream: u32, block: &[u8]) -> End {
        self.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, block));
        self.end(stream)
    }
}

/// Asserts that an end is an answer of the gateway with this code.
pub fn assert_code(end: &End, code: &str) {
    let End::Answer(body) = end else { panic!("no answer: {end:?}") };
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)));
    assert_eq!(json["error"]["code"].as_str(), Some(code), "{json}");
    assert!(json["requestId"].as_str().is_some_and(|id| !id.is_empty()), "{json}");
}
