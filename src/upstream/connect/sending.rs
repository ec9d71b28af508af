//! What is still to be written of a request: bytes of heads and chunks, and data of the body. Knows no stream.

use bytes::{Buf as _, Bytes};

use crate::http1::write::{self, CHUNK_END};

/// Data up to this size is copied behind the head or the chunk size before it; longer data is written from where it is.
pub(super) const COPIED: usize = 8 * 1024;

/// What is still to be written of a request.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Bytes in front of `data`.
    pub(super) out: Vec<u8>,
    /// Bytes of `out` that were written.
    pub(super) written: usize,
    pub(super) data: Bytes,
    /// The body is sent in chunks.
    pub(super) chunked: bool,
    /// The end of the last chunk is still to be written.
    pub(super) ends_chunk: bool,
    /// The body has ended, and all of it is in `out` and `data` or was written.
    pub(super) ended: bool,
    /// Written bytes may wait in the stream's buffer.
    pub(super) flush: bool,
}

impl Sending {
    /// Returns the number of bytes to write before more of the body is needed.
    pub(super) fn pending(&self) -> usize {
        self.out.len() - self.written + self.data.len()
    }

    pub(super) fn is_written(&self) -> bool {
        self.pending() == 0
    }

    /// Adds data of the body. `last` means that the body ends with it.
    pub(super) fn add(&mut self, data: Bytes, last: bool) {
        if !data.is_empty() {
            if self.chunked {
                self.end_chunk();
                write::chunk_start(&mut self.out, data.len());
                self.ends_chunk = true;
            }
            if data.len() <= COPIED {
                self.out.extend_from_slice(&data);
            } else {
                self.data = data;
                // What ends the body is written after the data.
                return;
            }
        }
        if last {
            self.end();
        }
    }

    fn end_chunk(&mut self) {
        if std::mem::take(&mut self.ends_chunk) {
            self.out.extend_from_slice(CHUNK_END);
        }
    }

    /// Ends the body.
    pub(super) fn end(&mut self) {
        self.end_chunk();
        if self.chunked {
            write::last_chunk(&mut self.out, None);
        }
        self.ended = true;
    }

    pub(super) fn advance(&mut self, written: usize) {
        let out = written.min(self.out.len() - self.written);
        self.written += out;
        self.data.advance(written - out);
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
    }
}
