//! Follows the frames that h2 writes, and sets the error code of those that end a stream or the connection for a reason that h2 does not
//! know.
//!
//! Knows nothing of why an error code is set.

use super::frame::{END_STREAM, ErrorCode, HEAD, Head, Kind};

/// The last byte of the error code, in the payload of RST_STREAM (RFC 9113 6.4).
const RESET_CODE: usize = 3;
/// The last byte of the error code, in the payload of GOAWAY (RFC 9113 6.8).
const GO_AWAY_CODE: usize = 7;

/// A byte of a payload.
struct PayloadByte {
    head: Head,
    /// Its place in the payload.
    place: usize,
    /// Its place in the bytes that are written.
    index: usize,
}

/// What the gateway did to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    End(u32),
    Reset(u32),
}

/// The frames that are written, up to some byte.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    bytes: [u8; HEAD],
    arrived: usize,
    head: Option<Head>,
    /// Bytes of the payload so far.
    place: usize,
}

impl Outgoing {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; HEAD], arrived: 0, head: None, place: 0 }
    }

    /// Follows bytes that were written.
    pub(super) fn follow(&mut self, written: &[u8], sent: impl FnMut(Sent)) {
        self.walk(written, sent, |_| {});
    }

    /// Sets error codes in bytes that are to be written next. h2's own code for what it does not know is `PROTOCOL_ERROR`.
    pub(super) fn set_codes(&self, bytes: &mut [u8], connection: Option<ErrorCode>, stream: impl Fn(u32) -> Option<ErrorCode>) {
        let mut set = Vec::new();
        self.clone().walk(
            bytes,
            |_| {},
            |PayloadByte { head, place, index }| {
                if head.kind == Kind::GoAway && place == GO_AWAY_CODE {
                    set.push((index, connection));
                } else if head.kind == Kind::Reset && place == RESET_CODE {
                    set.push((index, stream(head.stream)));
                }
            },
        );
        for (index, code) in set {
            if let (Some(code), Some(byte)) = (code, bytes.get_mut(index))
                && *byte == ErrorCode::Protocol as u8
            {
                *byte = code as u8;
            }
        }
    }

    fn walk(&mut self, bytes: &[u8], mut sent: impl FnMut(Sent), mut each: impl FnMut(PayloadByte)) {
        let mut index = 0;
        while index < bytes.len() {
            if self.head.is_none() {
                let taken = (HEAD - self.arrived).min(bytes.len() - index);
                self.bytes[self.arrived..self.arrived + taken].copy_from_slice(&bytes[index..index + taken]);
                (self.arrived, index) = (self.arrived + taken, index + taken);
                if self.arrived < HEAD {
                    return;
                }
                (self.head, self.place) = (Some(Head::read(self.bytes)), 0);
            }
            let Some(head) = self.head else { return };
            let taken = (head.length - self.place).min(bytes.len() - index);
            if matches!(head.kind, Kind::GoAway | Kind::Reset) {
                (0..taken).for_each(|n| each(PayloadByte { head, place: self.place + n, index: index + n }));
            }
            (self.place, index) = (self.place + taken, index + taken);
            if self.place == head.length {
                (self.head, self.arrived) = (None, 0);
                if head.kind == Kind::Reset {
                    sent(Sent::Reset(head.stream));
                } else if matches!(head.kind, Kind::Data | Kind::Headers) && head.has(END_STREAM) {
                    sent(Sent::End(head.stream));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn codes_are_set_and_ends_are_seen_however_the_bytes_are_cut() {
        let frames = [
            frame(1, 5, 1, b"head"),
            frame(0, 0, 3, b"data"),
            frame(3, 0, 3, &[0, 0, 0, 1]),
            frame(3, 0, 5, &[0, 0, 0, 8]),
            frame(0, 1, 7, b""),
            frame(7, 0, 0, &[0, 0, 0, 7, 0, 0, 0, 1, b'x', 1]),
        ];
        let mut wanted = frames.concat();
        let reset = frames[0].len() + frames[1].len() + HEAD + RESET_CODE;
        wanted[reset] = 5;
        let end = wanted.len();
        wanted[end - 3] = 6;
        for size in 1..40 {
            let (mut outgoing, mut all, mut seen) = (Outgoing::new(), Vec::new(), Vec::new());
            for piece in frames.concat().chunks(size) {
                let mut bytes = piece.to_vec();
                outgoing.set_codes(&mut bytes, Some(ErrorCode::FrameSize), |_| Some(ErrorCode::StreamClosed));
                all.extend_from_slice(&bytes);
                outgoing.follow(piece, |sent| seen.push(sent));
            }
            assert_eq!(all, wanted, "{size}");
            assert_eq!(seen, [Sent::End(1), Sent::Reset(3), Sent::Reset(5), Sent::End(7)]);
        }
    }
}
