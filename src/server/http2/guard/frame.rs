//! The head of a frame and the error codes of HTTP/2 (RFC 9113 4.1, 6, 7).
//!
//! Knows nothing of streams.

/// The bytes of a frame's head.
pub(super) const HEAD: usize = 9;
/// The largest payload of a frame, in bytes. It is the default of the protocol, so it is never announced.
pub(super) const MAX_PAYLOAD: usize = 16 * 1024;
/// The flag of the last DATA or HEADERS of a stream.
pub(super) const END_STREAM: u8 = 0x1;
/// The flag of a SETTINGS or PING that answers one.
pub(super) const ACK: u8 = 0x1;
/// The flag of the last frame of a header block.
pub(super) const END_HEADERS: u8 = 0x4;
/// The flag of a padded frame.
pub(super) const PADDED: u8 = 0x8;
/// The flag of a HEADERS with a priority.
pub(super) const WITH_PRIORITY: u8 = 0x20;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// Frames that the standard does not define.
    Unknown,
}

/// Why a stream or a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorCode {
    Protocol = 0x1,
    FlowControl = 0x3,
    StreamClosed = 0x5,
    FrameSize = 0x6,
    RefusedStream = 0x7,
    Compression = 0x9,
    EnhanceYourCalm = 0xb,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    pub(super) const fn read(bytes: [u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, s, t, u, v] = bytes;
        let kind = match kind {
            0x0 => Kind::Data,
            0x1 => Kind::Headers,
            0x2 => Kind::Priority,
            0x3 => Kind::Reset,
            0x4 => Kind::Settings,
            0x5 => Kind::PushPromise,
            0x6 => Kind::Ping,
            0x7 => Kind::GoAway,
            0x8 => Kind::WindowUpdate,
            0x9 => Kind::Continuation,
            _ => Kind::Unknown,
        };
        let length = (a as usize) << 16 | (b as usize) << 8 | c as usize;
        Self { length, kind, flags, stream: u32::from_be_bytes([s & 0x7f, t, u, v]) }
    }

    pub(super) const fn has(self, flag: u8) -> bool {
        self.flags & flag == flag
    }
}

/// Appends the header block of a stream as HEADERS and as many CONTINUATION as it takes.
pub(super) fn write_block(out: &mut Vec<u8>, stream: u32, end_stream: bool, block: &[u8]) {
    let mut kind = 0x1;
    let mut rest = block;
    loop {
        let (piece, after) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        let end_stream = if end_stream && kind == 0x1 { END_STREAM } else { 0 };
        let flags = if after.is_empty() { end_stream | END_HEADERS } else { end_stream };
        write_head(out, piece.len(), kind, flags, stream);
        out.extend_from_slice(piece);
        if after.is_empty() {
            return;
        }
        (kind, rest) = (0x9, after);
    }
}

/// Appends a frame that h2 takes for a violation of the protocol, whatever the state of the connection is: a PING without its data.
pub(super) fn write_violation(out: &mut Vec<u8>) {
    write_head(out, 0, 0x6, 0, 0);
}

fn write_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    out.extend_from_slice(&[(length >> 16) as u8, (length >> 8) as u8, length as u8, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}
