//! Origins that write frames of their own.

use std::io::{Read, Write};

use super::gateway;
use crate::harness::contract::assert_contract;
use crate::harness::origin::Conversation;
use crate::harness::wait::{eventually, let_time_pass};
use crate::harness::{Client, Origin, Response, get, send};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 200`, by its index.
const STATUS_200: &[u8] = &[0x88];

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;
const HTTP_1_1_REQUIRED: u32 = 13;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The origin's side of a connection.
struct Peer<'c>(&'c mut Conversation);

impl Peer<'_> {
    fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.0.write(frame(kind, flags, stream, payload))
    }

    /// Reads the client's preface, and writes SETTINGS.
    fn greet(&mut self, settings: &[u8]) {
        self.0.stream.read_exact(&mut [0; 24]).unwrap();
        self.write(SETTINGS, 0, 0, settings);
    }

    /// The next frame; `None` at the end of the connection.
    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.stream.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let frame = Frame { kind: head[3], flags: head[4], stream, payload };
        if frame.kind == SETTINGS && frame.flags & 1 == 0 {
            self.write(SETTINGS, 1, 0, &[]);
        }
        if frame.kind == PING && frame.flags & 1 == 0 {
            self.write(PING, 1, 0, &frame.payload);
        }
        Some(frame)
    }

    /// Waits for a frame of this kind; `None` at the end of the connection.
    fn wait_for(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// The number of the next request's stream.
    fn request(&mut self) -> Option<u32> {
        self.wait_for(HEADERS).map(|frame| frame.stream)
    }

    fn reset(&mut self, stream: u32, reason: u32) {
        self.write(RST_STREAM, 0, stream, &reason.to_be_bytes());
    }

    fn go_away(&mut self, last: u32, reason: u32) {
        self.write(GOAWAY, 0, 0, &[last.to_be_bytes(), reason.to_be_bytes()].concat());
    }

    fn answer(&mut self, stream: u32, body: &str) {
        self.write(HEADERS, END_HEADERS, stream, STATUS_200);
        self.write(DATA, END_STREAM, stream, body.as_bytes());
    }

    /// Reads until the gateway closes.
    fn linger(&mut self) {
        while self.next().is_some() {}
    }
}

/// An origin that greets and does this on each connection.
fn origin(behave: impl Fn(&mut Peer<'_>, usize) + Send + Sync + 'static) -> Origin {
    Origin::start_on_connect(move |conversation| {
        let number = conversation.number;
        let mut peer = Peer(conversation);
        peer.greet(&[]);
        behave(&mut peer, number);
    })
}

/// An origin that does this with the first request of each connection, and then waits.
fn with_request(behave: impl Fn(&mut Peer<'_>, u32) + Send + Sync + 'static) -> Origin {
    origin(move |peer, _| {
        if let Some(stream) = peer.request() {
            behave(peer, stream);
            peer.linger();
        }
    })
}

const POST: &str = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

fn error(response: &Response) -> (u16, String, String) {
    let code = assert_contract("GET", response);
    (response.status, code, response.header("proxy-status").unwrap_or_default().to_owned())
}

fn expect(response: &Response, status: u16, code: &str, reason: &str) {
    assert_eq!(error(response), (status, code.to_owned(), format!("lockgate; error={reason}")));
}

#[test]
fn a_request_above_the_last_stream_of_a_goaway_is_sent_again() {
    let origin = origin(|peer, number| {
        let Some(stream) = peer.request() else { return };
        if number == 0 {
            peer.go_away(0, NO_ERROR);
        } else {
            peer.wait_for(DATA).unwrap();
            peer.answer(stream, "again");
        }
        peer.linger();
    });
    let gateway = gateway(origin.address, "", "");
    let response = send(gateway.address, POST);
    assert_eq!((response.status, response.text().as_str(), origin.connections()), (200, "again", 2));
}

#[test]
fn what_is_kept_of_an_upload_is_held_memory_until_the_response() {
    let (answer, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = with_request(move |peer, stream| {
        peer.wait_for(DATA).unwrap();
        wait.lock().unwrap().recv().unwrap();
        peer.answer(stream, "done");
    });
    let gateway = gateway(origin.address, "", "buffer_request = \"off\"");
    let mut client = Client::connect(gateway.address);
    client.write(POST);
    gateway.wait_for_metric("lockgate_buffered_bytes 65536");
    answer.send(()).unwrap();
    assert_eq!(client.response("POST").text(), "done");
    gateway.wait_for_metric("lockgate_buffered_bytes 0");
}

#[test]
fn without_memory_a_refused_upload_is_not_sent_again() {
    let origin = with_request(|peer, stream| {
        peer.wait_for(DATA).unwrap();
        peer.reset(stream, REFUSED_STREAM);
    });
    let gateway = gateway(origin.address, "", "buffer_request = \"off\"\n[listen]\nbuffer_memory = \"32KiB\"");
    let response = send(gateway.address, POST);
    assert_eq!((response.status, assert_contract("POST", &response), origin.connections()), (503, "UPSTREAM_UNAVAILABLE".into(), 1));
}

#[test]
fn a_gateway_that_stops_says_so_to_its_endpoints() {
    let (told, tell) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let origin = origin(move |peer, _| {
        let stream = peer.request().unwrap();
        peer.answer(stream, "hello");
        let last = peer.wait_for(GOAWAY).map(|frame| frame.payload);
        told.lock().unwrap().send((last, peer.next().is_none())).unwrap();
    });
    let mut gateway = gateway(origin.address, "", "[listen]\ndrain_delay = \"off\"");
    assert_eq!(get(gateway.address, "/").text(), "hello");
    gateway.begin_stop();
    let (last, closed) = tell.recv_timeout(crate::harness::PATIENCE).unwrap();
    assert_eq!((last.as_deref(), closed), (Some(&[0; 8][..]), true), "GOAWAY with NO_ERROR, then the end");
}

#[test]
fn a_goaway_before_any_request_is_no_failure() {
    let origin = origin(|peer, number| {
        if number == 0 {
            peer.go_away(0, NO_ERROR);
        } else if let Some(stream) = peer.request() {
            peer.answer(stream, "ok");
        }
        peer.linger();
    });
    let gateway = gateway(origin.address, "", "");
    assert_eq!(send(gateway.address, POST).text(), "ok");
}

#[test]
fn a_request_below_the_last_stream_of_a_goaway_is_answered() {
    let origin = with_request(|peer, stream| {
        peer.go_away(stream, NO_ERROR);
        let_time_pass(std::time::Duration::from_millis(50));
        peer.answer(stream, "whole");
    });
    let gateway = gateway(origin.address, "", "");
    for connections in 1..3 {
        let response = get(gateway.address, "/");
        assert_eq!((response.text().as_str(), response.complete), ("whole", true));
        assert_eq!(origin.connections(), connections, "no further request on the connection");
    }
}

#[test]
fn a_goaway_that_leaves_the_request_unanswered_is_a_lost_connection() {
    let origin = origin(|peer, _| {
        let Some(stream) = peer.request() else { return };
        peer.go_away(stream, INTERNAL_ERROR);
    });
    expect(&get(gateway(origin.address, "", "").address, "/"), 502, "UPSTREAM_CONNECTION_LOST", "connection_terminated");
}

#[test]
fn an_endless_goaway_is_503() {
    let origin = with_request(|peer, _| peer.go_away(0, ENHANCE_YOUR_CALM));
    expect(&get(gateway(origin.address, "", "").address, "/"), 503, "UPSTREAM_UNAVAILABLE", "destination_unavailable");
    assert_eq!(origin.connections(), 3, "a bounded number of attempts");
}

#[test]
fn a_refused_stream_is_sent_again_whatever_its_method() {
    let origin = origin(|peer, _| {
        let Some(first) = peer.request() else { return };
        peer.wait_for(DATA).unwrap();
        peer.reset(first, REFUSED_STREAM);
        let second = peer.request().unwrap();
        let body = peer.wait_for(DATA).unwrap().payload;
        peer.answer(second, &format!("got {}", String::from_utf8_lossy(&body)));
        peer.linger();
    });
    let gateway = gateway(origin.address, "", "");
    let response = send(gateway.address, POST);
    assert_eq!((response.status, response.text().as_str()), (200, "got hello"));
    assert_eq!(gateway.log_line(&["/a"])["attempts"], 2);
}

#[test]
fn a_stream_that_is_always_refused_is_503() {
    let origin = origin(|peer, _| {
        while let Some(stream) = peer.request() {
            peer.reset(stream, REFUSED_STREAM);
        }
    });
    let gateway = gateway(origin.address, "", "");
    let response = send(gateway.address, POST);
    assert_eq!((response.status, assert_contract("POST", &response).as_str()), (503, "UPSTREAM_UNAVAILABLE"));
    assert_eq!(gateway.log_line(&["/a"])["attempts"], 3);
}

#[test]
fn a_reset_before_the_head_is_a_lost_connection_and_not_repeated() {
    for reason in [NO_ERROR, INTERNAL_ERROR, CANCEL] {
        let origin = with_request(move |peer, stream| peer.reset(stream, reason));
        let gateway = gateway(origin.address, "", "");
        expect(&get(gateway.address, "/a"), 502, "UPSTREAM_CONNECTION_LOST", "connection_terminated");
        assert_eq!(gateway.log_line(&["/a"])["attempts"], 1);
    }
}

#[test]
fn a_reset_within_the_body_cuts_the_response() {
    for reason in [NO_ERROR, INTERNAL_ERROR, CANCEL, REFUSED_STREAM] {
        let origin = with_request(move |peer, stream| {
            peer.write(HEADERS, END_HEADERS, stream, STATUS_200);
            peer.write(DATA, 0, stream, b"the first part");
            let_time_pass(std::time::Duration::from_millis(50));
            peer.reset(stream, reason);
        });
        let gateway = gateway(origin.address, "", "");
        let response = get(gateway.address, "/a");
        assert_eq!((response.status, response.text().as_str(), response.complete), (200, "the first part", false), "{reason}");
        let line = gateway.log_line(&["/a"]);
        assert_eq!((line["aborted"].as_bool(), line["reason"].as_str()), (Some(true), Some("http_response_incomplete")), "{line}");
    }
}

#[test]
fn a_reset_of_the_first_byte_of_a_body_is_an_error_response() {
    let origin = with_request(|peer, stream| {
        // In one piece: a pause between the two lets the head pass.
        let head = frame(HEADERS, END_HEADERS, stream, STATUS_200);
        peer.0.write([head, frame(RST_STREAM, 0, stream, &INTERNAL_ERROR.to_be_bytes())].concat());
    });
    expect(
        &get(gateway(origin.address, "", "leak_guard = true").address, "/"),
        502,
        "UPSTREAM_CONNECTION_LOST",
        "http_response_incomplete",
    );
}

#[test]
fn a_connection_that_closes_within_the_body_cuts_the_response() {
    let origin = origin(|peer, _| {
        let Some(stream) = peer.request() else { return };
        peer.write(HEADERS, END_HEADERS, stream, STATUS_200);
        peer.write(DATA, 0, stream, b"the first part");
        let_time_pass(std::time::Duration::from_millis(50));
    });
    let response = get(gateway(origin.address, "", "").address, "/");
    assert_eq!((response.status, response.complete), (200, false));
}

#[test]
fn enhance_your_calm_is_503() {
    let origin = with_request(|peer, stream| peer.reset(stream, ENHANCE_YOUR_CALM));
    let gateway = gateway(origin.address, "", "");
    expect(&get(gateway.address, "/a"), 503, "UPSTREAM_UNAVAILABLE", "destination_unavailable");
    assert_eq!(gateway.log_line(&["/a"])["attempts"], 1, "it may have been processed");
}

#[test]
fn http_1_1_required_is_a_protocol_error() {
    let origin = with_request(|peer, stream| peer.reset(stream, HTTP_1_1_REQUIRED));
    let gateway = gateway(origin.address, "", "");
    expect(&get(gateway.address, "/a"), 502, "UPSTREAM_PROTOCOL_ERROR", "http_protocol_error");
    assert!(gateway.log_line(&["/a"])["cause"].as_str().unwrap().contains("HTTP/1.1"));
}

#[test]
fn settings_that_never_come_end_with_the_response_timeout() {
    let origin = Origin::start_on_connect(|conversation| conversation.hang());
    let gateway = gateway(origin.address, "", "response_timeout = \"300ms\"");
    expect(&get(gateway.address, "/"), 504, "UPSTREAM_TIMEOUT", "connection_read_timeout");
}

#[test]
fn a_silent_endpoint_holds_no_other_request_beyond_connect_timeout() {
    // Without SETTINGS a connection has one stream, and the pool has one connection.
    let origin = Origin::start_on_connect(|conversation| conversation.hang());
    let gateway = gateway(origin.address, "pool = { max_connections = 1 }", "response_timeout = \"5s\"\nconnect_timeout = \"300ms\"");
    let mut first = Client::connect(gateway.address);
    first.write("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the first request reaches the origin", || origin.connections() == 1);
    expect(&get(gateway.address, "/second"), 503, "OVERLOADED", "connection_limit_reached");
}

#[test]
fn a_connection_that_closes_before_the_head_is_lost() {
    let origin = origin(|peer, _| {
        peer.request();
    });
    expect(&get(gateway(origin.address, "", "").address, "/"), 502, "UPSTREAM_CONNECTION_LOST", "connection_terminated");
}

#[test]
fn a_reused_connection_that_closes_is_replaced_for_an_idempotent_request() {
    let origin = origin(|peer, _| {
        let Some(stream) = peer.request() else { return };
        peer.answer(stream, "ok");
        peer.request();
    });
    let gateway = gateway(origin.address, "pool = { idle_timeout = \"20s\" }", "");
    for connections in 1..4 {
        assert_eq!(get(gateway.address, "/").text(), "ok");
        assert_eq!(origin.connections(), connections);
    }
}

#[test]
fn what_is_no_http2_is_a_protocol_error() {
    let answers: [&[u8]; 3] =
        [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.7\r\n", &[0, 0, 8, PING, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8]];
    for answer in answers {
        let origin = Origin::start_on_connect(move |conversation| {
            conversation.write(answer);
            conversation.hang();
        });
        expect(&get(gateway(origin.address, "", "").address, "/"), 502, "UPSTREAM_PROTOCOL_ERROR", "http_protocol_error");
    }
}

#[test]
fn a_head_that_is_not_valid_is_a_protocol_error() {
    // No status; a status that is no number; a field of a connection; a header block that cannot be decoded.
    let heads: [&[u8]; 4] =
        [b"\x00\x01a\x01b", b"\x08\x03abc", b"\x88\x00\x11transfer-encoding\x07chunked", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]];
    for head in heads {
        let origin = with_request(move |peer, stream| {
            peer.write(HEADERS, END_HEADERS | END_STREAM, stream, head);
        });
        expect(&get(gateway(origin.address, "", "").address, "/"), 502, "UPSTREAM_PROTOCOL_ERROR", "http_protocol_error");
    }
}

#[test]
fn a_body_of_another_length_than_announced_is_cut() {
    // `content-length: 9`, by its index in the static table.
    let head = [STATUS_200, b"\x0f\x0d\x019"].concat();
    for body in ["short", "longer than announced"] {
        let head = head.clone();
        let origin = with_request(move |peer, stream| {
            peer.write(HEADERS, END_HEADERS, stream, &head);
            peer.write(DATA, END_STREAM, stream, body.as_bytes());
        });
        let response = get(gateway(origin.address, "", "").address, "/");
        assert!(response.status == 502 || !response.complete, "{response:?}");
    }
}

#[test]
fn an_answer_to_half_a_request_may_end_it_in_order() {
    let origin = with_request(|peer, stream| {
        peer.answer(stream, "enough");
        peer.reset(stream, NO_ERROR);
    });
    let gateway = gateway(origin.address, "", "buffer_request = \"off\"");
    let mut client = Client::connect(gateway.address);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
    let response = client.response("POST");
    assert_eq!((response.text().as_str(), response.complete), ("enough", true));
}

#[test]
fn a_client_that_leaves_resets_its_stream() {
    let (sender, seen) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let origin = with_request(move |peer, stream| {
        let reset = peer.wait_for(RST_STREAM).unwrap();
        sender.lock().unwrap().send((reset.stream == stream, reset.payload)).unwrap();
    });
    let gateway = gateway(origin.address, "", "");
    let mut client = Client::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request reaches the origin", || origin.connections() == 1);
    let_time_pass(std::time::Duration::from_millis(100));
    drop(client);
    let (same, reason) = seen.recv_timeout(crate::harness::wait::PATIENCE).unwrap();
    assert_eq!((same, reason), (true, CANCEL.to_be_bytes().to_vec()));
}

#[test]
fn a_client_that_reads_nothing_bounds_what_is_read_for_it() {
    let (sender, written) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let origin = with_request(move |peer, stream| {
        peer.write(HEADERS, END_HEADERS, stream, STATUS_200);
        let mut window = 65_535_u64;
        let mut sent = 0_u64;
        peer.0.stream.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
        // The initial window of a stream is in the gateway's SETTINGS; each WINDOW_UPDATE of the stream adds to it.
        window += 128 * 1024 - 65_535;
        loop {
            while window - sent >= 16_384 {
                peer.write(DATA, 0, stream, &[b'x'; 16_384]);
                sent += 16_384;
            }
            match peer.next() {
                Some(frame) if frame.kind == 8 && frame.stream == stream => {
                    window += u64::from(u32::from_be_bytes(frame.payload[..4].try_into().unwrap()));
                }
                Some(_) => {}
                None => break,
            }
        }
        sender.lock().unwrap().send(sent).unwrap();
    });
    let gateway = gateway(origin.address, "", "");
    let mut client = Client::connect(gateway.address);
    socket2::SockRef::from(&client.stream).set_recv_buffer_size(16 * 1024).unwrap();
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let sent = written.recv_timeout(crate::harness::wait::PATIENCE).unwrap();
    assert!((16_384..8 * 1024 * 1024).contains(&sent), "{sent} bytes for a client that reads nothing");
    client.stream.flush().unwrap();
}
