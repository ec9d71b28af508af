//! Stands between the socket and h2: what h2 would end a connection for though only a stream is at fault, or what costs more than it says,
//! does not reach it.
//!
//! Header blocks are decoded here, judged, and written anew without the tables of HPACK; the streams of malformed ones end with
//! `PROTOCOL_ERROR`, and their neighbours go on (RFC 9113 8.1.1). h2 has no way to be told of an error, so it gets a frame that violates the
//! protocol for a stream or the connection, and the code of the RST_STREAM or GOAWAY that it writes is set on the way out.
//!
//! | file | what it does |
//! |---|---|
//! | `frame` | the head of a frame, error codes |
//! | `budget` | bounds the frames that bring no request further |
//! | `huffman`, `hpack` | decode header blocks |
//! | `block` | judges a header block |
//! | `streams` | the state of streams, and the size of their header lists |
//! | `outgoing` | follows what h2 writes |
//!
//! A pure state machine over bytes. Knows nothing of sockets or of how a request is answered.

mod block;
mod budget;
mod frame;
mod hpack;
mod huffman;
mod outgoing;
mod streams;

use std::collections::VecDeque;

use tokio::time::Instant;

use self::block::{Block, Part, Verdict};
use self::budget::FrameBudget;
use self::frame::{ACK, END_HEADERS, END_STREAM, ErrorCode, HEAD, Head, Kind, MAX_PAYLOAD, PADDED, WITH_PRIORITY};
use self::hpack::{Decoder, Undecodable};
use self::outgoing::{Outgoing, Sent};
use self::streams::{Known, Streams};

/// The bytes of the preface, which comes before all frames (RFC 9113 3.4).
const PREFACE: usize = 24;
/// Most CONTINUATION of a header block.
const MAX_CONTINUATIONS: usize = 64;
/// What the header lists of the open streams of a connection may be larger than what it sent of them, in bytes of RFC 7541 4.1. A stream over
/// this is refused; the client may send it again.
const HELD: usize = 64 * 1024;
/// What is added to that for each byte of a header block that the connection ever sent.
const HELD_PER_BYTE: usize = 16;
/// The size of a buffer that a connection keeps, in bytes.
const KEPT: usize = 2 * 1024;
/// Resets whose code is remembered until h2 has written them.
const RESETS: usize = 256;
/// The largest initial window (RFC 9113 6.5.2).
const MAX_WINDOW: u32 = (1 << 31) - 1;
/// The setting of the initial window.
const INITIAL_WINDOW_SIZE: u16 = 0x4;
/// A header block for which h2 ends a stream with `PROTOCOL_ERROR`: `connection: x` (RFC 9113 8.2.2).
const MALFORMED: &[u8] = b"\x00\x0aconnection\x01x";

/// What the first frame of a header block says of it.
#[derive(Clone, Copy, Debug)]
struct Opening {
    stream: u32,
    end_stream: bool,
    /// Its priority is that of a stream that depends on itself, which ends it (RFC 7540 5.3.1).
    depends_on_itself: bool,
}

/// A header block whose end has not arrived.
#[derive(Debug)]
struct Partial {
    opening: Opening,
    continuations: usize,
    block: Vec<u8>,
}

/// The guard of a connection.
#[derive(Debug)]
pub(super) struct Guard {
    max_header_size: usize,
    budget: FrameBudget,
    /// Bytes that pass as they are: the preface, or the rest of DATA.
    pass: usize,
    /// Bytes that nobody needs.
    skip: usize,
    bytes: [u8; HEAD],
    arrived: usize,
    /// The frame whose payload arrives.
    head: Option<Head>,
    payload: Vec<u8>,
    partial: Option<Partial>,
    decoder: Decoder,
    /// An empty block for h2, kept for its allocation.
    rewritten: Vec<u8>,
    /// Bytes of header blocks so far.
    received: usize,
    streams: Streams,
    outgoing: Outgoing,
    /// The codes of streams that h2 is to reset.
    resets: VecDeque<(u32, ErrorCode)>,
    /// Why the connection ends.
    fault: Option<ErrorCode>,
}

impl Guard {
    /// Creates the guard of a new connection, whose preface is still to come. `max_header_size` bounds the names and values of a header list,
    /// in bytes.
    pub(super) fn new(max_header_size: usize, now: Instant) -> Self {
        Self {
            max_header_size,
            budget: FrameBudget::new(now),
            pass: PREFACE,
            skip: 0,
            bytes: [0; HEAD],
            arrived: 0,
            head: None,
            payload: Vec::new(),
            partial: None,
            decoder: Decoder::new(),
            rewritten: Vec::new(),
            received: 0,
            streams: Streams::default(),
            outgoing: Outgoing::new(),
            resets: VecDeque::new(),
            fault: None,
        }
    }

    /// Takes bytes of the client, at most to the end of a frame, and appends to `out` what h2 is to read. Returns how many it took, at least one
    /// of some.
    pub(super) fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>, now: impl Fn() -> Instant) -> usize {
        if self.fault.is_some() {
            return bytes.len();
        }
        if self.pass > 0 {
            let taken = self.pass.min(bytes.len());
            out.extend_from_slice(&bytes[..taken]);
            self.pass -= taken;
            return taken;
        }
        if self.skip > 0 {
            let taken = self.skip.min(bytes.len());
            self.skip -= taken;
            return taken;
        }
        let (taken, done) = self.take_frame(bytes, out, now);
        if let Err(fault) = done {
            self.fault = Some(fault);
            frame::write_violation(out);
        }
        taken
    }

    fn take_frame(&mut self, bytes: &[u8], out: &mut Vec<u8>, now: impl Fn() -> Instant) -> (usize, Result<(), ErrorCode>) {
        let Some(head) = self.head else {
            let taken = (HEAD - self.arrived).min(bytes.len());
            self.bytes[self.arrived..self.arrived + taken].copy_from_slice(&bytes[..taken]);
            self.arrived += taken;
            if self.arrived < HEAD {
                return (taken, Ok(()));
            }
            self.arrived = 0;
            return (taken, self.begin(Head::read(self.bytes), out, now));
        };
        let taken = (head.length - self.payload.len()).min(bytes.len());
        self.payload.extend_from_slice(&bytes[..taken]);
        (taken, if self.payload.len() < head.length { Ok(()) } else { self.finish(head, out) })
    }

    /// Begins a frame.
    fn begin(&mut self, head: Head, out: &mut Vec<u8>, now: impl Fn() -> Instant) -> Result<(), ErrorCode> {
        if head.length > MAX_PAYLOAD {
            return Err(ErrorCode::FrameSize);
        }
        // Nothing comes between the frames of a header block (RFC 9113 6.10).
        let is_next = match &self.partial {
            Some(partial) => head.kind == Kind::Continuation && head.stream == partial.opening.stream,
            None => head.kind != Kind::Continuation,
        };
        if !is_next || head.kind == Kind::PushPromise {
            return Err(ErrorCode::Protocol);
        }
        if self.budget.is_spent(head, now) {
            return Err(ErrorCode::EnhanceYourCalm);
        }
        match head.kind {
            Kind::Data => self.data(head, out),
            Kind::Unknown => {
                self.skip = head.length;
                Ok(())
            }
            Kind::Headers
            | Kind::Priority
            | Kind::Reset
            | Kind::Settings
            | Kind::PushPromise
            | Kind::Ping
            | Kind::GoAway
            | Kind::WindowUpdate
            | Kind::Continuation => {
                self.head = Some(head);
                if head.length == 0 { self.finish(head, out) } else { Ok(()) }
            }
        }
    }

    /// Passes the head of DATA. A stream that the client has ended is reset first; then h2 ignores them.
    fn data(&mut self, head: Head, out: &mut Vec<u8>) -> Result<(), ErrorCode> {
        match self.streams.get(head.stream) {
            Known::Closed => return Err(ErrorCode::StreamClosed),
            Known::HalfClosed => self.reset(head.stream, ErrorCode::StreamClosed, out),
            Known::Open if head.has(END_STREAM) => self.streams.client_ended(head.stream),
            Known::New | Known::Open | Known::Reset | Known::Forgotten => {}
        }
        out.extend_from_slice(&self.bytes);
        self.pass = head.length;
        Ok(())
    }

    /// Takes a frame that has arrived.
    fn finish(&mut self, head: Head, out: &mut Vec<u8>) -> Result<(), ErrorCode> {
        self.head = None;
        let payload = std::mem::take(&mut self.payload);
        let done = self.frame(head, &payload, out);
        self.payload = emptied(payload);
        done
    }

    fn frame(&mut self, head: Head, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorCode> {
        let is_size = match head.kind {
            Kind::Priority if head.length != 5 && self.streams.get(head.stream) == Known::Open => {
                self.reset(head.stream, ErrorCode::FrameSize, out);
                return Ok(());
            }
            Kind::Priority => head.length == 5,
            Kind::Reset | Kind::WindowUpdate => head.length == 4,
            Kind::Settings if head.has(ACK) => head.length == 0,
            Kind::Settings => head.length.is_multiple_of(6),
            Kind::Ping => head.length == 8,
            Kind::GoAway => head.length >= 8,
            Kind::Data | Kind::Headers | Kind::PushPromise | Kind::Continuation | Kind::Unknown => true,
        };
        if !is_size {
            return Err(ErrorCode::FrameSize);
        }
        match head.kind {
            Kind::Headers => return self.headers(head, payload, out),
            Kind::Continuation => return self.continuation(head, payload, out),
            Kind::Settings if has_large_window(payload) => return Err(ErrorCode::FlowControl),
            Kind::Reset => self.streams.client_reset(head.stream),
            Kind::Data
            | Kind::Priority
            | Kind::Settings
            | Kind::PushPromise
            | Kind::Ping
            | Kind::GoAway
            | Kind::WindowUpdate
            | Kind::Unknown => {}
        }
        out.extend_from_slice(&self.bytes);
        out.extend_from_slice(payload);
        Ok(())
    }

    fn headers(&mut self, head: Head, mut block: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorCode> {
        let mut padding = 0;
        if head.has(PADDED) {
            let (length, rest) = block.split_first().ok_or(ErrorCode::FrameSize)?;
            (padding, block) = (usize::from(*length), rest);
        }
        let mut depends_on_itself = false;
        if head.has(WITH_PRIORITY) {
            let (priority, rest) = block.split_first_chunk::<5>().ok_or(ErrorCode::FrameSize)?;
            let [a, b, c, d, _] = *priority;
            (depends_on_itself, block) = (u32::from_be_bytes([a & 0x7f, b, c, d]) == head.stream, rest);
        }
        let length = block.len().checked_sub(padding).ok_or(ErrorCode::Protocol)?;
        if head.stream.is_multiple_of(2) {
            return Err(ErrorCode::Protocol);
        }
        let opening = Opening { stream: head.stream, end_stream: head.has(END_STREAM), depends_on_itself };
        if head.has(END_HEADERS) {
            return self.block(opening, &block[..length], out);
        }
        self.partial = Some(Partial { opening, continuations: 0, block: block[..length].to_vec() });
        Ok(())
    }

    fn continuation(&mut self, head: Head, block: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorCode> {
        let mut partial = self.partial.take().ok_or(ErrorCode::Protocol)?;
        partial.continuations += 1;
        if partial.continuations > MAX_CONTINUATIONS || partial.block.len() + block.len() > self.max_header_size.saturating_mul(8) {
            return Err(ErrorCode::EnhanceYourCalm);
        }
        partial.block.extend_from_slice(block);
        if head.has(END_HEADERS) {
            return self.block(partial.opening, &partial.block, out);
        }
        self.partial = Some(partial);
        Ok(())
    }

    /// Decodes a header block, in any case: later ones depend on it.
    fn block(&mut self, opening: Opening, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorCode> {
        let id = opening.stream;
        let known = self.streams.get(id);
        let part = if known == Known::New { Part::Request } else { Part::Trailers };
        let mut block = Block::new(part, self.max_header_size, std::mem::take(&mut self.rewritten));
        self.decoder.decode(bytes, |field| block.add(field)).map_err(|Undecodable| ErrorCode::Compression)?;
        self.received = self.received.saturating_add(bytes.len());
        match known {
            Known::New => return self.request(opening, block, bytes.len(), out),
            Known::Closed => return Err(ErrorCode::StreamClosed),
            Known::Forgotten => return Err(ErrorCode::Protocol),
            Known::HalfClosed => self.reset(id, ErrorCode::StreamClosed, out),
            Known::Reset => {}
            Known::Open => match block.verdict() {
                Verdict::Sound if opening.end_stream => {
                    self.streams.client_ended(id);
                    self.rewrite(opening, block, out);
                }
                Verdict::Sound | Verdict::Malformed => self.reset(id, ErrorCode::Protocol, out),
                Verdict::Bomb => self.reset(id, ErrorCode::EnhanceYourCalm, out),
            },
        }
        Ok(())
    }

    /// Begins a stream.
    fn request(&mut self, opening: Opening, block: Block, received: usize, out: &mut Vec<u8>) -> Result<(), ErrorCode> {
        let most = HELD.max(self.max_header_size.saturating_mul(2)).saturating_add(self.received.saturating_mul(HELD_PER_BYTE));
        let size = block.size().saturating_sub(received);
        let code = match block.verdict() {
            Verdict::Sound if opening.depends_on_itself => Some(ErrorCode::Protocol),
            Verdict::Malformed => Some(ErrorCode::Protocol),
            Verdict::Bomb => Some(ErrorCode::EnhanceYourCalm),
            Verdict::Sound if self.streams.held().saturating_add(size) > most => Some(ErrorCode::RefusedStream),
            Verdict::Sound => None,
        };
        if !self.streams.begin(opening.stream, if code.is_none() { size } else { 0 }) {
            return Err(ErrorCode::EnhanceYourCalm);
        }
        if let Some(code) = code {
            self.reset(opening.stream, code, out);
            return Ok(());
        }
        if opening.end_stream {
            self.streams.client_ended(opening.stream);
        }
        self.rewrite(opening, block, out);
        Ok(())
    }

    /// Appends a header block for h2.
    fn rewrite(&mut self, opening: Opening, block: Block, out: &mut Vec<u8>) {
        let bytes = block.into_bytes();
        frame::write_block(out, opening.stream, opening.end_stream, &bytes);
        self.rewritten = emptied(bytes);
    }

    /// Makes h2 reset a stream.
    fn reset(&mut self, stream: u32, code: ErrorCode, out: &mut Vec<u8>) {
        frame::write_block(out, stream, true, MALFORMED);
        if code != ErrorCode::Protocol {
            if self.resets.len() == RESETS {
                self.resets.pop_front();
            }
            self.resets.push_back((stream, code));
        }
    }

    /// Returns true if bytes that h2 writes may need another error code.
    pub(super) fn sets_codes(&self) -> bool {
        self.fault.is_some() || !self.resets.is_empty()
    }

    /// Sets error codes in bytes that are written next.
    pub(super) fn set_codes(&self, bytes: &mut [u8]) {
        let of = |stream| self.resets.iter().find(|reset| reset.0 == stream).map(|reset| reset.1);
        self.outgoing.set_codes(bytes, self.fault, of);
    }

    /// Follows bytes that were written.
    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        let (streams, resets) = (&mut self.streams, &mut self.resets);
        self.outgoing.follow(bytes, |sent| match sent {
            Sent::End(stream) => streams.gateway_ended(stream),
            Sent::Reset(stream) => {
                streams.gateway_reset(stream);
                resets.retain(|reset| reset.0 != stream);
            }
        });
    }
}

/// Empties a buffer, and keeps its allocation if it is small.
pub(super) fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    if buffer.capacity() > KEPT { Vec::new() } else { buffer }
}

/// Returns true for SETTINGS with an initial window that is too large.
fn has_large_window(settings: &[u8]) -> bool {
    settings
        .as_chunks::<6>()
        .0
        .iter()
        .any(|[a, b, value @ ..]| u16::from_be_bytes([*a, *b]) == INITIAL_WINDOW_SIZE && u32::from_be_bytes(*value) > MAX_WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream], payload].concat()
    }

    /// Passes bytes behind a preface, in pieces of `size`. Returns what h2 gets, and why the connection ends.
    fn passed(bytes: &[u8], size: usize) -> (Vec<u8>, Option<ErrorCode>) {
        let now = Instant::now();
        let mut guard = Guard::new(1_000, now);
        let mut out = Vec::new();
        for piece in [&[b'x'; PREFACE], bytes].concat().chunks(size) {
            let mut taken = 0;
            while taken < piece.len() {
                taken += guard.take(&piece[taken..], &mut out, || now);
            }
        }
        (out.split_off(PREFACE), guard.fault)
    }

    #[test]
    fn a_block_in_pieces_reaches_h2_as_one() {
        // A GET, of which the first frame is padded and has a priority.
        let block = [0x82, 0x86, 0x84, 0x41, 1, b'a'];
        let frames = [
            frame(0x1, END_STREAM | PADDED | WITH_PRIORITY, 1, &[&[2, 0, 0, 0, 3, 7], &block[..2], &[0, 0]].concat()),
            frame(0x9, 0, 1, &[]),
            frame(0x9, END_HEADERS, 1, &block[2..]),
        ];
        let rewritten = [0x82, 0x86, 0x84, 1, 1, b'a'];
        assert_eq!(passed(&frames.concat(), 100), (frame(0x1, END_STREAM | END_HEADERS, 1, &rewritten), None));
    }

    #[test]
    fn frames_that_concern_h2_pass_as_they_are() {
        let frames = [frame(0x4, 0, 0, &[0, 4, 0, 0, 1, 0]), frame(0x6, 0, 0, b"12345678"), frame(0x8, 0, 0, &[0, 0, 0, 1])].concat();
        assert_eq!(passed(&frames, 7), (frames.clone(), None));
        assert_eq!(passed(&frame(0xee, 0, 0, b"abc"), 7), (Vec::new(), None));
    }

    proptest::proptest! {
        #[test]
        fn pieces_change_nothing(
            frames in proptest::collection::vec((0u8..12, 0u8..64, 0u8..6, proptest::collection::vec(proptest::num::u8::ANY, 0..30)), 0..30),
            size in 1usize..50,
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, flags, stream, payload)| frame(*kind, *flags, *stream, payload)).collect();
            proptest::prop_assert_eq!(passed(&bytes, size), passed(&bytes, 100_000));
        }
    }
}
