//! Header blocks that stand for much more than they say (HPACK bombs).

use super::wire::{END_HEADERS, END_STREAM, End, GET, HEADERS, Wire, frame, length};
use crate::harness::{GatewayUnderTest, Origin, get};

const REFUSED_STREAM: u8 = 7;
const ENHANCE_YOUR_CALM: u8 = 11;

/// Adds a field to the dynamic table, as its first.
fn insert(value: usize) -> Vec<u8> {
    [&[0x40, 1, b'x'][..], &length(value), &vec![b'v'; value]].concat()
}

/// The first field of the dynamic table.
const FIRST: u8 = 0xbe;

#[test]
fn a_block_that_repeats_a_field_ends_its_stream() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for value in [1, 100, 4_000] {
        let mut client = Wire::connect(&gateway);
        for (n, references) in [90, 480, 8_000].into_iter().enumerate() {
            let block = [GET, &insert(value), &vec![FIRST; references]].concat();
            assert_eq!(client.ask(2 * u32::try_from(n).unwrap() + 1, &block), End::Reset(ENHANCE_YOUR_CALM), "{value} {references}");
        }
        // Fields of the static table amplify too.
        assert_eq!(client.ask(7, &[GET, &[0x90; 90]].concat()), End::Reset(ENHANCE_YOUR_CALM));
        assert!(matches!(client.ask(9, &[GET, &[FIRST; 2]].concat()), End::Answer(_)), "the connection goes on");
        assert_eq!(get(gateway.address, "/").status, 200);
    }
    assert_eq!(origin.requests().len(), 6);
}

#[test]
fn what_the_open_streams_of_a_connection_hold_is_bounded() {
    let origin = Origin::start(|c| c.hang());
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Wire::connect(&gateway);
    let block = |stream| if stream == 1 { [GET, &insert(4_000)].concat() } else { [GET, &[FIRST]].concat() };
    for stream in (1..180).step_by(2) {
        client.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(stream)));
    }
    // 64 KiB, and 16 bytes for each of some 4,500.
    let (first, end) = client.next_end();
    assert_eq!(end, End::Reset(REFUSED_STREAM));
    assert!((50..90).contains(&first), "{first}");
    // Others are not held up, and what has ended counts no more.
    assert!(matches!(Wire::connect(&gateway).ask(1, &[0x82, 0x86, 0x84]), End::Answer(_)), "no authority: 400");
    let resets: Vec<u8> = (1..first).step_by(2).flat_map(|stream| frame(3, 0, stream, &[0, 0, 0, 8])).collect();
    client.send([resets, frame(HEADERS, END_STREAM | END_HEADERS, 181, &[GET, &[FIRST]].concat())].concat());
    client.send(frame(6, 0, 0, b"12345678"));
    loop {
        let frame = client.next().expect("the PING is answered");
        assert!(frame.kind != 3 || frame.stream != 181, "{frame:?}");
        if frame.kind == 6 && frame.payload == b"12345678" {
            return;
        }
    }
}
