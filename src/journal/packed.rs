//! An entry as bytes, as the stores on disk keep it: compressed JSON.
//!
//! Knows nothing of a store.

use std::io::{self, Read};

use flate2::read::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress, Status};

use super::entry::Entry;

/// The most bytes of the JSON of an entry. A mask bounds entries to far less.
const MAX: u64 = 16 << 20;
/// The most bytes that the buffer of the JSON keeps for the next entry.
const MAX_KEPT: usize = 1 << 20;

/// Makes bytes of entries. It keeps the tables of the compression, which take 300 KB and longer to make than an entry to compress.
#[derive(Debug)]
pub(super) struct Packer {
    deflate: Compress,
    json: Vec<u8>,
}

impl Default for Packer {
    fn default() -> Self {
        Self { deflate: Compress::new(Compression::fast(), false), json: Vec::new() }
    }
}

impl Packer {
    /// Returns the bytes of an entry.
    pub(super) fn pack(&mut self, entry: &Entry) -> io::Result<Vec<u8>> {
        self.json.clear();
        serde_json::to_writer(&mut self.json, entry)?;
        self.deflate.reset();
        let mut packed = Vec::with_capacity(self.json.len() / 3 + 64);
        loop {
            let read = usize::try_from(self.deflate.total_in()).unwrap_or(usize::MAX);
            let rest = self.json.get(read..).unwrap_or_default();
            match self.deflate.compress_vec(rest, &mut packed, FlushCompress::Finish)? {
                Status::StreamEnd => break,
                Status::Ok | Status::BufError => packed.reserve(packed.capacity().max(64)),
            }
        }
        self.json.shrink_to(MAX_KEPT);
        Ok(packed)
    }
}

/// Returns the entry of bytes that [`Packer::pack`] has made.
pub(super) fn unpack(packed: &[u8]) -> io::Result<Entry> {
    let mut json = Vec::with_capacity(packed.len() * 4);
    DeflateDecoder::new(packed).take(MAX).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_entry_is_read_as_it_was_written(bodies in proptest::collection::vec(("\\PC{0,40}", 0usize..3000), 1..4)) {
            let mut packer = Packer::default();
            for (body, times) in bodies {
                let entry = Entry { upstream_body: Some(body.repeat(times)), title: body, ..Entry::default() };
                proptest::prop_assert_eq!(unpack(&packer.pack(&entry).unwrap()).unwrap(), entry);
            }
        }
    }
}
