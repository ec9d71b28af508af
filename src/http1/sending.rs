//! What is still to be written of a message: bytes of its head and its framing, and data of its body. Knows no stream.

use std::io::IoSlice;

use bytes::{Buf as _, Bytes};
use http::HeaderMap;

use super::write::{self, CHUNK_END};

/// Data up to this size is copied behind the bytes before it; longer data is written from where it is.
const COPIED: usize = 8 * 1024;

/// What is still to be written of a message.
#[derive(Debug)]
pub struct Sending {
    /// Bytes in front of `data`.
    out: Vec<u8>,
    /// Bytes of `out` that were written.
    written: usize,
    data: Bytes,
    /// The body is sent in chunks.
    chunked: bool,
    /// The end of the last chunk is still to be written.
    ends_chunk: bool,
    /// The body has ended, and all of it is in `out` and `data` or was written.
    ended: bool,
}

impl Sending {
    /// Creates the state of a connection that sends nothing.
    pub const fn nothing() -> Self {
        Self { out: Vec::new(), written: 0, data: Bytes::new(), chunked: false, ends_chunk: false, ended: true }
    }

    /// Begins a message with its head.
    pub const fn message(head: Vec<u8>, chunked: bool) -> Self {
        Self { out: head, written: 0, data: Bytes::new(), chunked, ends_chunk: false, ended: false }
    }

    /// Returns true if data of the body can be added before more is written.
    pub fn has_room(&self) -> bool {
        !self.ended && self.data.is_empty() && self.out.len() - self.written < COPIED
    }

    /// Returns true if everything that was added is written.
    pub fn is_written(&self) -> bool {
        self.out.len() == self.written && self.data.is_empty()
    }

    /// Returns true if the whole message is written.
    pub fn is_complete(&self) -> bool {
        self.ended && self.is_written()
    }

    /// Returns the bytes to write, in two parts. The second is empty, or both are not.
    pub fn parts(&self) -> (&[u8], &[u8]) {
        match &self.out[self.written..] {
            [] => (&self.data, &[]),
            out => (out, &self.data),
        }
    }

    /// Returns the parts for a vectored write.
    pub fn slices(&self) -> [IoSlice<'_>; 2] {
        let (first, second) = self.parts();
        [IoSlice::new(first), IoSlice::new(second)]
    }

    /// Records that bytes were written.
    pub fn advance(&mut self, written: usize) {
        let out = written.min(self.out.len() - self.written);
        self.written += out;
        self.data.advance(written - out);
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
    }

    /// Takes the buffer for the head of another message, if everything is written.
    pub fn take_buffer(&mut self) -> Option<Vec<u8>> {
        (self.out.is_empty() && self.out.capacity() > 0).then(|| std::mem::take(&mut self.out))
    }

    /// Adds data of the body. `last` means that the body ends with it.
    pub fn add(&mut self, data: Bytes, last: bool) {
        if !data.is_empty() {
            if self.chunked {
                self.end_chunk();
                write::chunk_start(&mut self.out, data.len());
                self.ends_chunk = true;
            }
            if data.len() > COPIED {
                self.data = data;
                // The end of a chunk is written behind the data.
                self.ended = last && !self.chunked;
                return;
            }
            self.out.extend_from_slice(&data);
        }
        if last {
            self.end(None);
        }
    }

    /// Ends the body, with trailers if it is sent in chunks.
    pub fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.end_chunk();
        if self.chunked {
            write::last_chunk(&mut self.out, trailers);
        }
        self.ended = true;
    }

    fn end_chunk(&mut self) {
        if std::mem::take(&mut self.ends_chunk) {
            self.out.extend_from_slice(CHUNK_END);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes everything in pieces of `size` bytes.
    fn written(sending: &mut Sending, size: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while !sending.is_written() {
            let (first, second) = sending.parts();
            let all = [first, second].concat();
            let piece = all.len().min(size);
            out.extend_from_slice(&all[..piece]);
            sending.advance(piece);
        }
        out
    }

    proptest::proptest! {
        #[test]
        fn a_body_is_written_as_it_was_added(sizes in proptest::collection::vec(0usize..20_000, 0..6), size in 1usize..9_000, chunked: bool) {
            let mut sending = Sending::message(b"head ".to_vec(), chunked);
            let mut out = Vec::new();
            for length in &sizes {
                while !sending.has_room() {
                    out.extend(written(&mut sending, size));
                }
                sending.add(Bytes::from(vec![b'x'; *length]), false);
            }
            out.extend(written(&mut sending, size));
            sending.end(None);
            out.extend(written(&mut sending, size));
            proptest::prop_assert!(sending.is_complete());
            let body = &out[5..];
            let data = if chunked {
                let (mut data, mut decoder, mut at) = (0, super::super::chunked::Chunked::strict(), 0);
                while let super::super::chunked::Piece::Data { skip, length } = decoder.next(&body[at..]).unwrap() {
                    at += skip + length;
                    data += length;
                }
                data
            } else {
                body.len()
            };
            proptest::prop_assert_eq!(data, sizes.iter().sum::<usize>());
        }
    }
}
