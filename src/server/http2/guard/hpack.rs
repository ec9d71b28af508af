//! Decodes header blocks (HPACK, RFC 7541).
//!
//! The fields go to the caller one by one and are not kept, so that a small block that stands for a large list costs no memory. Knows nothing
//! of what a field means.

use std::collections::VecDeque;

use super::huffman;

/// The size of the dynamic table that a client may use (`SETTINGS_HEADER_TABLE_SIZE`), in bytes of RFC 7541 4.1. It is the default of the
/// protocol, so it is never announced.
pub(super) const TABLE_SIZE: usize = 4096;
/// What an entry counts besides its name and value (RFC 7541 4.1).
pub(super) const ENTRY_OVERHEAD: usize = 32;
/// Octets that stay allocated from one block to the next.
const KEPT: usize = 4096;
/// Integers stay far below this.
const MAX_INTEGER: usize = 1 << 28;

/// A header field of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    /// The place in the tables of a field that the block only refers to.
    pub(super) reference: Option<usize>,
    /// The place of the name in the static table, or 0.
    pub(super) known_name: u8,
}

/// The block cannot be decoded. What follows cannot either, so the connection has to end (RFC 9113 4.3).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undecodable;

/// An entry of the dynamic table.
#[derive(Debug)]
struct Entry {
    /// The name and the value.
    text: Box<[u8]>,
    /// The length of the name.
    split: usize,
    known_name: u8,
}

/// The decoder of a connection.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The dynamic table, newest first.
    entries: VecDeque<Entry>,
    size: usize,
    max_size: usize,
    /// The name and value of a literal.
    text: Vec<u8>,
}

impl Decoder {
    pub(super) const fn new() -> Self {
        Self { entries: VecDeque::new(), size: 0, max_size: TABLE_SIZE, text: Vec::new() }
    }

    /// Decodes a whole block and passes its fields to `each`.
    ///
    /// # Errors
    /// Returns an error for what RFC 7541 does not permit. Fields before it have been passed on.
    pub(super) fn decode(&mut self, mut block: &[u8], mut each: impl FnMut(Field<'_>)) -> Result<(), Undecodable> {
        let mut may_resize = true;
        while let Some(first) = block.first().copied() {
            if first & 0xe0 == 0x20 {
                let size = integer(&mut block, 5)?;
                if !may_resize || size > TABLE_SIZE {
                    return Err(Undecodable);
                }
                self.max_size = size;
                self.evict(size);
                continue;
            }
            may_resize = false;
            if first & 0x80 == 0x80 {
                let index = integer(&mut block, 7)?;
                each(self.entry(index)?);
                continue;
            }
            let is_indexed = first & 0xc0 == 0x40;
            let (split, known_name) = self.literal(&mut block, if is_indexed { 6 } else { 4 })?;
            let (name, value) = self.text.split_at(split);
            each(Field { name, value, reference: None, known_name });
            if is_indexed {
                self.insert(split, known_name);
            }
        }
        if self.text.capacity() > KEPT {
            self.text = Vec::new();
        }
        Ok(())
    }

    /// Reads a literal field into `text`. Returns the length of its name and the place of the name.
    fn literal(&mut self, block: &mut &[u8], prefix: u32) -> Result<(usize, u8), Undecodable> {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let mut known_name = 0;
        match integer(block, prefix)? {
            0 => string(block, &mut text)?,
            index => {
                let entry = self.entry(index)?;
                text.extend_from_slice(entry.name);
                known_name = entry.known_name;
            }
        }
        let split = text.len();
        string(block, &mut text)?;
        self.text = text;
        Ok((split, known_name))
    }

    fn entry(&self, index: usize) -> Result<Field<'_>, Undecodable> {
        let place = index.checked_sub(1).ok_or(Undecodable)?;
        if let Some((name, value)) = STATIC.get(place) {
            return Ok(Field { name: name.as_bytes(), value: value.as_bytes(), reference: Some(index), known_name: index as u8 });
        }
        let entry = self.entries.get(place - STATIC.len()).ok_or(Undecodable)?;
        let (name, value) = entry.text.split_at(entry.split);
        Ok(Field { name, value, reference: Some(index), known_name: entry.known_name })
    }

    /// Adds the field in `text` to the table. One that is larger than the table empties it (RFC 7541 4.4).
    fn insert(&mut self, split: usize, known_name: u8) {
        let size = self.text.len() + ENTRY_OVERHEAD;
        self.evict(self.max_size.saturating_sub(size));
        if size <= self.max_size {
            self.entries.push_front(Entry { text: self.text.as_slice().into(), split, known_name });
            self.size += size;
        }
    }

    /// Removes the oldest entries until the rest has at most this size.
    fn evict(&mut self, size: usize) {
        while self.size > size
            && let Some(Entry { text, .. }) = self.entries.pop_back()
        {
            self.size -= text.len() + ENTRY_OVERHEAD;
        }
    }
}

/// Reads an integer (RFC 7541 5.1).
fn integer(block: &mut &[u8], prefix: u32) -> Result<usize, Undecodable> {
    let mut next = || {
        let (first, rest) = block.split_first().ok_or(Undecodable)?;
        *block = rest;
        Ok(usize::from(*first))
    };
    let most = (1 << prefix) - 1;
    let mut value = next()? & most;
    if value < most {
        return Ok(value);
    }
    for shift in [0, 7, 14, 21] {
        let octet = next()?;
        value += (octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return if value < MAX_INTEGER { Ok(value) } else { Err(Undecodable) };
        }
    }
    Err(Undecodable)
}

/// Appends a string to `out` (RFC 7541 5.2).
fn string(block: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Undecodable> {
    let is_huffman = block.first().ok_or(Undecodable)? & 0x80 == 0x80;
    let length = integer(block, 7)?;
    let (octets, rest) = block.split_at_checked(length).ok_or(Undecodable)?;
    *block = rest;
    if !is_huffman {
        out.extend_from_slice(octets);
        return Ok(());
    }
    if huffman::decode(octets, out) { Ok(()) } else { Err(Undecodable) }
}

/// Appends a field that does not depend on the dynamic table: a reference to the static table, or a literal that neither table is to know.
pub(super) fn write(out: &mut Vec<u8>, Field { name, value, reference, known_name }: Field<'_>) {
    match (reference, known_name) {
        (Some(index), _) if index <= STATIC.len() => return out.push(0x80 | index as u8),
        (_, 0) => {
            out.push(0);
            write_length(out, name.len());
            out.extend_from_slice(name);
        }
        // An integer with a prefix of four bits (RFC 7541 6.2.2).
        (_, known @ ..15) => out.push(known),
        (_, known) => out.extend_from_slice(&[15, known - 15]),
    }
    write_length(out, value.len());
    out.extend_from_slice(value);
}

fn write_length(out: &mut Vec<u8>, mut length: usize) {
    if length < 0x7f {
        out.push(length as u8);
        return;
    }
    out.push(0x7f);
    length -= 0x7f;
    while length >= 0x80 {
        out.push(length as u8 & 0x7f | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// The static table (RFC 7541 appendix A).
#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(decoder: &mut Decoder, block: &[u8]) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        let line = |field: Field<'_>| format!("{}={}", String::from_utf8_lossy(field.name), String::from_utf8_lossy(field.value));
        decoder.decode(block, |field| lines.push(line(field))).ok().map(|()| lines)
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 7541 C.4.
        let mut decoder = Decoder::new();
        let first = [0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        let lines = [":method=GET", ":scheme=http", ":path=/", ":authority=www.example.com"];
        assert_eq!(of(&mut decoder, &first).unwrap(), lines);
        let second = [0x82, 0x86, 0x84, 0xbe, 0x58, 0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf];
        assert_eq!(of(&mut decoder, &second).unwrap()[3..], [":authority=www.example.com", "cache-control=no-cache"]);
        assert_eq!(decoder.size, 110);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut decoder = Decoder::new();
        let insert = |value: usize| {
            let mut block = vec![0x40, 1, b'x'];
            write_length(&mut block, value);
            [block, vec![b'v'; value]].concat()
        };
        for _ in 0..500 {
            assert!(of(&mut decoder, &insert(1_000)).is_some() && decoder.size <= TABLE_SIZE);
        }
        assert_eq!(decoder.entries.len(), 3);
        assert!(of(&mut decoder, &insert(5_000)).is_some() && decoder.entries.is_empty() && decoder.size == 0);
        assert!(of(&mut decoder, &insert(1_000)).is_some() && of(&mut decoder, &[0x20]).is_some() && decoder.entries.is_empty());
        assert!(of(&mut decoder, &insert(1)).is_some() && decoder.entries.is_empty(), "the client has reduced the table to nothing");
    }

    #[test]
    fn what_cannot_be_decoded_is_an_error() {
        // Index 0, an index beyond the tables, a cut integer, one too large, a cut string, and updates that are too large or too late.
        let blocks = [&[0x80][..], &[0xbe], &[0xff], &[0xff, 0xff, 0xff, 0xff, 0xff, 1], &[0, 5, b'a'], &[0x3f, 0xe2, 0x1f], &[0x82, 0x20]];
        for block in blocks {
            assert_eq!(of(&mut Decoder::new(), block), None, "{block:x?}");
        }
        assert!(of(&mut Decoder::new(), &[0x3f, 0xe1, 0x1f, 0x20]).is_some());
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(fields in proptest::collection::vec((".{0,20}", ".{0,300}"), 0..9)) {
            let mut block = Vec::new();
            fields.iter().for_each(|(name, value)| {
                write(&mut block, Field { name: name.as_bytes(), value: value.as_bytes(), reference: None, known_name: 0 });
            });
            let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            proptest::prop_assert_eq!(of(&mut Decoder::new(), &block), Some(lines));
        }

        #[test]
        fn what_is_written_needs_no_table(block in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut decoder = Decoder::new();
            for block in [&b"\x40\x01x\x01v\x7a\x01w"[..], &block, &block] {
                let mut written = Vec::new();
                let mut lines = Vec::new();
                let decoded = decoder.decode(block, |field| {
                    write(&mut written, field);
                    lines.push(format!("{}={}", String::from_utf8_lossy(field.name), String::from_utf8_lossy(field.value)));
                });
                if decoded.is_ok() {
                    proptest::prop_assert_eq!(of(&mut Decoder::new(), &written), Some(lines));
                }
            }
        }

        #[test]
        fn no_block_panics(block in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut decoder = Decoder::new();
            let _ = of(&mut decoder, &block);
            proptest::prop_assert!(decoder.size <= TABLE_SIZE);
        }
    }
}
