//! Follows the frames of one direction of a WebSocket connection (RFC 6455 5.2), so that it is known whether a frame can be added.
//!
//! Reads only the headers of frames, and keeps no byte. Knows no stream, and does not judge what the frames say.

/// The opcode of a close frame.
const CLOSE: u8 = 8;
/// The status "going away" of a close frame: an endpoint is leaving, such as a server that stops (RFC 6455 7.4.1).
const GOING_AWAY: u16 = 1001;
/// The bit that marks a masked payload.
const MASKED: u8 = 0x80;

/// The place in a stream of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first byte of a frame.
    Boundary,
    /// Before the byte with the length.
    Length,
    /// Within a long length: the bytes that are missing, and the value so far.
    LongLength { missing: u8, value: u64 },
    /// Within the mask: the bytes that are missing.
    Mask { missing: u8 },
    /// Within the payload.
    Payload,
    /// The length was not valid, so no boundary can be found any more.
    Lost,
}

/// The frames of one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frames {
    place: Place,
    /// The current frame is masked.
    masked: bool,
    /// The current frame is a close frame.
    closing: bool,
    /// A close frame has passed. Nothing may follow it.
    closed: bool,
    /// Bytes of the payload that are missing.
    payload: u64,
}

impl Frames {
    /// Begins at the first byte behind the handshake.
    pub(super) const fn new() -> Self {
        Self { place: Place::Boundary, masked: false, closing: false, closed: false, payload: 0 }
    }

    /// Returns true if another frame may follow here: the last one is complete, and it does not end the direction.
    pub(super) fn may_add(&self) -> bool {
        self.place == Place::Boundary && !self.closed
    }

    /// Follows more bytes.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while let [first, rest @ ..] = bytes {
            let mut used = 1;
            match self.place {
                Place::Boundary => {
                    self.closing = first & 0x0f == CLOSE;
                    self.place = Place::Length;
                }
                Place::Length => self.begin_length(*first),
                Place::LongLength { missing, value } => self.continue_length(missing - 1, value << 8 | u64::from(*first)),
                Place::Mask { missing: 1 } => self.begin_payload(),
                Place::Mask { missing } => self.place = Place::Mask { missing: missing - 1 },
                Place::Payload => used = self.skip(1 + rest.len()),
                Place::Lost => return,
            }
            bytes = &bytes[used..];
        }
    }

    fn begin_length(&mut self, byte: u8) {
        self.masked = byte & MASKED != 0;
        match byte & !MASKED {
            126 => self.place = Place::LongLength { missing: 2, value: 0 },
            127 => self.place = Place::LongLength { missing: 8, value: 0 },
            short => self.end_length(u64::from(short)),
        }
    }

    fn continue_length(&mut self, missing: u8, value: u64) {
        match missing {
            0 => self.end_length(value),
            _ => self.place = Place::LongLength { missing, value },
        }
    }

    fn end_length(&mut self, length: u64) {
        self.payload = length;
        if length > i64::MAX as u64 {
            // RFC 6455 5.2: the most significant bit is 0.
            self.place = Place::Lost;
        } else if self.masked {
            self.place = Place::Mask { missing: 4 };
        } else {
            self.begin_payload();
        }
    }

    fn begin_payload(&mut self) {
        self.place = Place::Payload;
        self.skip(0);
    }

    /// Skips up to `available` bytes of the payload. Returns how many.
    fn skip(&mut self, available: usize) -> usize {
        let used = self.payload.min(available as u64);
        self.payload -= used;
        if self.payload == 0 {
            self.closed |= self.closing;
            self.place = Place::Boundary;
        }
        // It is at most `available`.
        used as usize
    }
}

/// Returns a close frame with the status 1001 and a reason of at most 123 bytes. A frame to a server is masked (RFC 6455 5.3).
pub(super) fn going_away(reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut payload = GOING_AWAY.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    payload.truncate(125);
    let length = payload.len() as u8;
    let mut frame = vec![0x80 | CLOSE, length | if mask.is_some() { MASKED } else { 0 }];
    if let Some(mask) = mask {
        frame.extend_from_slice(&mask);
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
    }
    frame.extend_from_slice(&payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with this opcode, payload length and mask, and with a length of a form that is not shorter than needed.
    fn frame(opcode: u8, length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { MASKED } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match length {
            0..126 => bytes.push(mask | length as u8),
            126..=0xffff => {
                bytes.push(mask | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + if masked { 4 } else { 0 } + length, 0xff);
        bytes
    }

    #[test]
    fn nothing_follows_a_close_frame() {
        let mut frames = Frames::new();
        frames.advance(&frame(1, 5, false));
        assert!(frames.may_add());
        frames.advance(&frame(CLOSE, 2, true));
        assert!(!frames.may_add());
    }

    #[test]
    fn a_length_that_is_not_valid_is_no_boundary_for_ever() {
        let mut frames = Frames::new();
        frames.advance(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]);
        frames.advance(&vec![0; 1000]);
        assert!(!frames.may_add());
    }

    #[test]
    fn close_frames_are_frames() {
        let plain = going_away("the gateway is shutting down", None);
        assert_eq!(&plain[..4], &[0x88, 30, 0x03, 0xe9]);
        for bytes in [plain, going_away("x", Some([1, 2, 3, 4])), going_away(&"x".repeat(200), Some([0; 4]))] {
            let mut frames = Frames::new();
            frames.advance(&bytes);
            assert!(frames.place == Place::Boundary && frames.closed && bytes.len() <= 131);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_boundary_is_where_a_frame_ends(
            sizes in proptest::collection::vec((0u8..8, proptest::prop_oneof![0usize..200, 65_000usize..66_000], proptest::bool::ANY), 1..6),
            step in 1usize..5000,
        ) {
            let all: Vec<Vec<u8>> = sizes.iter().map(|(opcode, length, masked)| frame(*opcode, *length, *masked)).collect();
            let ends: Vec<usize> = all.iter().scan(0, |at, frame| { *at += frame.len(); Some(*at) }).collect();
            let bytes = all.concat();
            let (mut frames, mut at) = (Frames::new(), 0);
            for piece in bytes.chunks(step) {
                frames.advance(piece);
                at += piece.len();
                proptest::prop_assert_eq!(frames.may_add(), ends.contains(&at));
            }
        }

        #[test]
        fn any_bytes_are_followed_and_pieces_make_no_difference(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), at in 0usize..400) {
            let (mut whole, mut pieces) = (Frames::new(), Frames::new());
            whole.advance(&bytes);
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            pieces.advance(first);
            pieces.advance(second);
            proptest::prop_assert_eq!((whole.place, whole.closed, whole.payload), (pieces.place, pieces.closed, pieces.payload));
        }
    }
}
