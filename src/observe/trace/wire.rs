//! Writes the fields of protobuf messages (<https://protobuf.dev/programming-guides/encoding/>) directly into a buffer: a span has two dozen
//! attributes, and a message type would allocate each of them. Must not know what a field means.

use prost::encoding::{WireType, encode_key, encode_varint};

/// Appends a number.
pub(super) fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    encode_key(field, WireType::Varint, out);
    encode_varint(value, out);
}

/// Appends a number of eight bytes.
pub(super) fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    encode_key(field, WireType::SixtyFourBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a number of four bytes.
pub(super) fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    encode_key(field, WireType::ThirtyTwoBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends bytes, or a text.
pub(super) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Appends a message, or anything else that begins with its length.
pub(super) fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    encode_key(field, WireType::LengthDelimited, out);
    let begin = out.len();
    // Most messages are shorter than 128 bytes, whose length is one byte.
    out.push(0);
    write(out);
    let length = out.len() - begin - 1;
    match u8::try_from(length) {
        Ok(short @ 0..128) => out[begin] = short,
        Ok(_) | Err(_) => {
            let mut text = Vec::with_capacity(5);
            encode_varint(length as u64, &mut text);
            out.splice(begin..=begin, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_begin_with_their_length() {
        for length in [0, 1, 127, 128, 300, 20_000] {
            let mut out = vec![9];
            message(&mut out, 3, |out| out.extend(std::iter::repeat_n(7, length)));
            let mut rest = &out[2..];
            assert_eq!((out[0], out[1]), (9, 3 << 3 | 2));
            assert_eq!(prost::encoding::decode_varint(&mut rest).unwrap(), length as u64);
            assert_eq!(rest, vec![7; length]);
        }
    }
}
