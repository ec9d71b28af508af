//! Floods of frames and of streams.

use super::wire::{POST, PREFACE, frame};
use crate::harness::{GatewayUnderTest, Origin, PATIENCE};

/// Sends `opening` and then piece after piece until the gateway has ended the connection.
fn ends_under(gateway: &GatewayUnderTest, name: &str, opening: &[u8], mut piece: impl FnMut() -> Vec<u8>) {
    use std::io::{Read, Write};
    let mut client = std::net::TcpStream::connect(gateway.address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(&[PREFACE, &frame(4, 0, 0, &[]), opening].concat()).unwrap();
    let mut reader = client.try_clone().unwrap();
    // Reads to the end, so that the writer is never blocked.
    let ended = std::thread::spawn(move || {
        let mut seen = Vec::new();
        reader
            .read_to_end(&mut seen)
            .map(drop)
            .or_else(|error| if error.kind() == std::io::ErrorKind::ConnectionReset { Ok(()) } else { Err(error) })
    });
    for _ in 0..200 {
        let pieces: Vec<u8> = (0..100).flat_map(|_| piece()).collect();
        if client.write_all(&pieces).is_err() {
            break;
        }
    }
    ended.join().unwrap().unwrap_or_else(|error| panic!("{name}: {error}"));
}

#[test]
fn floods_of_frames_end_their_connection() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for (name, flood) in [
        ("PING", frame(6, 1, 0, &[0; 8])),
        ("SETTINGS", frame(4, 0, 0, &[])),
        ("PRIORITY", frame(2, 0, 3, &[0, 0, 0, 0, 16])),
        ("unknown", frame(0xee, 0, 0, b"abc")),
    ] {
        ends_under(&gateway, name, &[], || flood.clone());
    }
    assert_eq!(crate::harness::get(gateway.address, "/").status, 200);
}

#[test]
fn floods_of_streams_end_their_connection() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    // One such stream is a request.
    let mut client = crate::harness::Client::connect(gateway.address);
    client.write([PREFACE, &frame(4, 0, 0, &[]), &frame(1, 5, 1, POST)].concat());
    origin.wait_for_requests(1);
    // HEADERS with END_HEADERS, and what makes either side reset the stream.
    let streams = |spoiled: fn(u32) -> Vec<u8>| {
        let mut stream = 1;
        move || {
            stream += 2;
            [frame(1, 4, stream, POST), spoiled(stream)].concat()
        }
    };
    ends_under(&gateway, "rapid reset", &[], streams(|stream| frame(3, 0, stream, &[0, 0, 0, 8])));
    ends_under(&gateway, "resets that the client provokes", &[], streams(|stream| frame(8, 0, stream, &[0; 4])));
    ends_under(&gateway, "CONTINUATION", &frame(1, 0, 1, POST), || frame(9, 0, 1, &[0, 1, b'x', 1, b'y']));
    ends_under(&gateway, "empty DATA", &frame(1, 4, 1, POST), || frame(0, 0, 1, &[]));
    assert_eq!(crate::harness::get(gateway.address, "/").status, 200);
}

#[test]
fn streams_beyond_the_bound_are_refused() {
    let origin = Origin::start(|c| c.hang());
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = crate::harness::Client::connect(gateway.address);
    let streams: Vec<u8> = (0..101).flat_map(|n| frame(1, 5, 2 * n + 1, POST)).collect();
    client.write([PREFACE, &frame(4, 0, 0, &[]), &streams].concat());
    let mut refused = None;
    while refused.is_none() {
        let head = client.bytes(9);
        let payload = client.bytes(usize::from(head[1]) << 8 | usize::from(head[2]));
        refused = (head[3] == 3).then(|| (head[5..].to_vec(), payload));
    }
    assert_eq!(refused, Some((vec![0, 0, 0, 201], vec![0, 0, 0, 7])), "REFUSED_STREAM of the last stream");
}
