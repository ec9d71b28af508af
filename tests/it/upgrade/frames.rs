//! Compares the frames that a client gets from a WebSocket server with those that it gets through the gateway, over HTTP/1 and over HTTP/2: the
//! gateway judges no frame, so whatever a client sends has the same outcome.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use super::bridge::tunnel;
use super::{HANDSHAKE, accepting, rest_of, upgraded};
use crate::harness::wait::PATIENCE;
use crate::harness::{Client, GatewayUnderTest};

/// Sequences of frames that are compared.
const SEQUENCES: u64 = 300;
const EXTENSIONS: (&str, &str) = ("sec-websocket-extensions", "permessage-deflate");

/// A WebSocket server that sends every message back. It reads to the end of a connection that it gives up, so that nothing of what it sent is
/// lost.
fn strict_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut socket = tungstenite::accept(stream).unwrap();
                while let Ok(message) = socket.read() {
                    if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
                        break;
                    }
                }
                let _ = socket.flush();
                let stream = socket.get_mut();
                let _ = stream.shutdown(Shutdown::Write);
                rest_of(stream);
            });
        }
    });
    address
}

/// A frame of a client.
struct Frame {
    first: u8,
    payload: Vec<u8>,
    mask: Option<[u8; 4]>,
    /// Bytes of the length, more than it needs.
    long: bool,
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![self.first];
        match self.payload.len() {
            length @ 0..126 if !self.long => bytes.push(masked | length as u8),
            length @ 0..65_536 => {
                bytes.push(masked | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(masked | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(self.mask.iter().flatten());
        let keys = self.mask.unwrap_or_default();
        bytes.extend(self.payload.iter().zip(keys.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }
}

/// Frames of one connection: mostly valid ones, and in most sequences one that violates a rule of RFC 6455 5.
fn sequence() -> Vec<u8> {
    let mut all = Vec::new();
    for _ in 0..fastrand::usize(1..6) {
        let text = || "żółw 亀 ".repeat(fastrand::usize(0..30)).into_bytes();
        let mut frame = |first: u8, payload: Vec<u8>| {
            let mask = (fastrand::u8(..) > 8).then(|| fastrand::u32(..).to_be_bytes());
            all.extend(Frame { first, payload, mask, long: fastrand::u8(..) < 8 }.bytes());
        };
        match fastrand::u8(..20) {
            0..4 => frame(0x81, text()),
            4..6 => {
                let size = [0, 1, 125, 126, 4_000, 65_535, 65_536, 200_000][fastrand::usize(..8)];
                let payload = (0..size).map(|_| fastrand::u8(..)).collect();
                frame(0x82, payload);
            }
            6..9 => {
                // A message in fragments, with control frames between them.
                let whole = text();
                let at = fastrand::usize(..=whole.len());
                frame(0x01, whole[..at].to_vec());
                frame(0x89, b"between".to_vec());
                frame(0x00, Vec::new());
                frame(0x80, whole[at..].to_vec());
            }
            9 => frame(0x8a, b"nobody asked".to_vec()),
            10 => frame(0x89, vec![7; fastrand::usize(..126)]),
            11 => frame(0x89, vec![7; 126]),
            12 => frame(0x09, b"in fragments".to_vec()),
            13 => frame([0x83, 0x87, 0x8b, 0x8f][fastrand::usize(..4)], text()),
            14 => frame([0xc1, 0xa1, 0x91, 0xf2][fastrand::usize(..4)], text()),
            15 => frame(0x81, vec![0xed, 0xa0, 0x80, b'x', 0xff]),
            16 => frame(0x80, b"nothing to continue".to_vec()),
            17 => frame(0x88, vec![3; fastrand::usize(..2)]),
            _ => {
                let code = [1000u16, 1001, 1002, 1004, 1005, 1006, 1007, 1011, 1015, 1016, 2999, 3000, 4999, 999, 0, 5000, 65_535]
                    [fastrand::usize(..17)];
                frame(0x88, [&code.to_be_bytes()[..], b"because"].concat());
            }
        }
    }
    // The last frame may be cut off.
    if fastrand::u8(..10) == 0 {
        all.truncate(fastrand::usize(..=all.len()));
    }
    all
}

/// What comes back on a connection in which the handshake is done.
fn answer(mut stream: TcpStream, frames: &[u8], piece: usize) -> Vec<u8> {
    let mut writer = stream.try_clone().unwrap();
    let reader = std::thread::spawn(move || rest_of(&mut stream));
    for piece in frames.chunks(piece) {
        if writer.write_all(piece).is_err() {
            break;
        }
    }
    let _ = writer.shutdown(Shutdown::Write);
    reader.join().unwrap()
}

/// Opens a tunnel without the gateway.
fn direct(server: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{HANDSHAKE}\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    stream
}

#[test]
fn frames_have_the_same_outcome_through_the_gateway() {
    let server = strict_server();
    let gateway = GatewayUnderTest::in_front_of(server, "");
    let mut outcomes = std::collections::BTreeSet::new();
    for seed in 0..SEQUENCES {
        fastrand::seed(seed);
        let frames = sequence();
        let piece = [1usize, 7, 100, 5_000, usize::MAX][fastrand::usize(..5)].max(frames.len() / 500 + 1);
        let expected = answer(direct(server), &frames, piece);
        let over_http1 = answer(upgraded(&gateway, b"").stream, &frames, piece);
        let over_http2 = answer(tunnel(&gateway, "/chat", &[("sec-websocket-version", "13")]).0, &frames, piece);
        assert!(over_http1 == expected, "seed {seed}, HTTP/1: {frames:?} has {over_http1:?} instead of {expected:?}");
        assert!(over_http2 == expected, "seed {seed}, HTTP/2: {frames:?} has {over_http2:?} instead of {expected:?}");
        outcomes.insert(expected);
    }
    assert!(outcomes.len() > 100, "the sequences differ: {}", outcomes.len());
}

#[test]
fn compressed_frames_pass_as_they_are() {
    let origin = accepting(|conversation| {
        let mut all = std::mem::take(&mut conversation.rest);
        all.extend(rest_of(&mut conversation.stream));
        conversation.say(all);
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for seed in 0..20 {
        fastrand::seed(seed);
        // RSV1 marks a compressed message (RFC 7692 6); the gateway neither inflates it nor knows whether it could be.
        let payload: Vec<u8> = (0..fastrand::usize(..10_000)).map(|_| fastrand::u8(..)).collect();
        let frames = Frame { first: 0xc1, payload, mask: Some([1, 2, 3, 4]), long: false }.bytes();
        let mut client = Client::connect(gateway.address);
        client.write(format!("{HANDSHAKE}{}: {}\r\n\r\n", EXTENSIONS.0, EXTENSIONS.1));
        assert_eq!(client.response("GET").status, 101);
        assert!(answer(client.stream, &frames, 1_000) == frames, "{seed}");
        let over_http2 = tunnel(&gateway, "/chat", &[("sec-websocket-version", "13"), EXTENSIONS]).0;
        assert!(answer(over_http2, &frames, 1_000) == frames, "{seed}");
    }
    assert!(origin.requests().iter().all(|head| head.to_lowercase().contains("permessage-deflate")));
}
