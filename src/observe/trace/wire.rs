//! Writes the fields of protobuf messages (<https://protobuf.dev/programming-guides/encoding/>) directly into a buffer: a span has two dozen
//! attributes, and a message type would allocate each of them. A core does this for each request that is traced, so it writes bytes without
//! the layers of a library. Must not know what a field means.

/// The types of fields, which the key of a field ends with.
const VARINT: u32 = 0;
const EIGHT_BYTES: u32 = 1;
const LENGTH: u32 = 2;
const FOUR_BYTES: u32 = 5;

/// Appends a number of one to ten bytes.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn key(out: &mut Vec<u8>, field: u32, kind: u32) {
    varint(out, u64::from(field << 3 | kind));
}

/// Appends a number.
pub(super) fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    key(out, field, VARINT);
    varint(out, value);
}

/// Appends a number of eight bytes.
pub(super) fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    key(out, field, EIGHT_BYTES);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a number of four bytes.
pub(super) fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    key(out, field, FOUR_BYTES);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends bytes, or a text.
pub(super) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    key(out, field, LENGTH);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a message, or anything else that begins with its length.
pub(super) fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    key(out, field, LENGTH);
    let begin = out.len();
    // Most messages are shorter than 128 bytes, whose length is one byte.
    out.push(0);
    write(out);
    let length = out.len() - begin - 1;
    match u8::try_from(length) {
        Ok(short @ 0..128) => out[begin] = short,
        Ok(_) | Err(_) => {
            let mut text = Vec::with_capacity(5);
            varint(&mut text, length as u64);
            out.splice(begin..=begin, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn numbers_are_as_the_library_reads_them(value: u64, field in 1u32..40_000) {
            let mut out = Vec::new();
            number(&mut out, field, value);
            let mut rest = &out[..];
            let (tag, kind) = prost::encoding::decode_key(&mut rest).unwrap();
            proptest::prop_assert_eq!((tag, kind), (field, prost::encoding::WireType::Varint));
            proptest::prop_assert_eq!(prost::encoding::decode_varint(&mut rest).unwrap(), value);
            proptest::prop_assert!(rest.is_empty());
        }
    }

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
