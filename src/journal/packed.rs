//! An entry as bytes, as the stores on disk keep it: compressed JSON.
//!
//! Knows nothing of a store.

use std::io::{self, Read};

use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};

use super::entry::Entry;

/// The most bytes of the JSON of an entry. A mask bounds entries to far less.
const MAX: u64 = 16 << 20;

/// Returns the bytes of an entry.
pub(super) fn pack(entry: &Entry) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(entry)?;
    let mut packed = Vec::with_capacity(json.len() / 3);
    DeflateEncoder::new(json.as_slice(), Compression::fast()).read_to_end(&mut packed)?;
    Ok(packed)
}

/// Returns the entry of bytes that [`pack`] has made.
pub(super) fn unpack(packed: &[u8]) -> io::Result<Entry> {
    let mut json = Vec::with_capacity(packed.len() * 4);
    DeflateDecoder::new(packed).take(MAX).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}
