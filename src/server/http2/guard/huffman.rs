//! The Huffman code of HPACK (RFC 7541 5.2 and appendix B).
//!
//! The code is canonical: the length of each symbol's code gives all codes. Knows nothing of header fields.

/// The length of the code of each octet in bits, and of the end of a string.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];
/// The symbol that no string may contain.
const END: u16 = 256;
/// The longest code in bits.
const LONGEST: usize = 30;

const CODE: Code = Code::new();

/// The code, by length.
struct Code {
    /// The first code of a length.
    first: [u32; LONGEST + 1],
    /// The end of the codes of a length, at the top of 32 bits. A longer code is not below it.
    limit: [u64; LONGEST + 1],
    /// Where the symbols of a length begin.
    offset: [usize; LONGEST + 1],
    /// The symbols in the order of their codes.
    symbols: [u16; 257],
}

impl Code {
    const fn new() -> Self {
        let mut code = Self { first: [0; LONGEST + 1], limit: [0; LONGEST + 1], offset: [0; LONGEST + 1], symbols: [0; 257] };
        let (mut next, mut count, mut length) = (0u32, 0, 1);
        while length <= LONGEST {
            next <<= 1;
            code.first[length] = next;
            code.offset[length] = count;
            let mut symbol = 0;
            while symbol < LENGTHS.len() {
                if LENGTHS[symbol] as usize == length {
                    code.symbols[count] = symbol as u16;
                    count += 1;
                    next += 1;
                }
                symbol += 1;
            }
            code.limit[length] = (next as u64) << (32 - length);
            length += 1;
        }
        code
    }
}

/// Appends the decoded text to `out`. Returns false for a code that is cut, padded with anything but ones, or that is no symbol.
pub(super) fn decode(mut coded: &[u8], out: &mut Vec<u8>) -> bool {
    let (mut bits, mut count) = (0u64, 0usize);
    loop {
        while count <= 56
            && let [first, rest @ ..] = coded
        {
            (bits, count, coded) = (bits << 8 | u64::from(*first), count + 8, rest);
        }
        // The next 32 bits, filled up with ones.
        let next = match count.checked_sub(32) {
            Some(more) => bits >> more & 0xffff_ffff,
            None => (bits & ((1 << count) - 1)) << (32 - count) | ((1 << (32 - count)) - 1),
        };
        let Some(length) = (5..=LONGEST).find(|length| next < CODE.limit[*length]) else { return false };
        if length > count {
            // What is left is padding: fewer than eight ones.
            return count < 8 && bits & ((1 << count) - 1) == (1 << count) - 1;
        }
        let code = (next >> (32 - length)) as u32;
        let symbol = CODE.symbols[CODE.offset[length] + (code - CODE.first[length]) as usize];
        if symbol == END {
            return false;
        }
        out.push(symbol as u8);
        count -= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(coded: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(coded, &mut out).then_some(out)
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 7541 C.4.1 and C.6.1.
        assert_eq!(of(&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]).as_deref(), Some(&b"www.example.com"[..]));
        assert_eq!(of(&[0x64, 0x02]).as_deref(), Some(&b"302"[..]));
        assert_eq!(of(&[]).as_deref(), Some(&b""[..]));
    }

    #[test]
    fn a_wrong_end_is_refused() {
        // A whole octet of padding, padding with zeros, a cut code, and the end of a string within it.
        for coded in [&[0x64, 0x02, 0xff][..], &[0x18], &[0xfe], &[0xff, 0xff, 0xff, 0xff], &[0xff, 0xff, 0xff, 0xfc]] {
            assert_eq!(of(coded), None, "{coded:x?}");
        }
    }

    #[test]
    fn each_symbol_has_its_code() {
        for symbol in 0..=255u8 {
            let length = usize::from(LENGTHS[usize::from(symbol)]);
            let place = CODE.symbols.iter().position(|s| *s == u16::from(symbol)).unwrap();
            let code = u64::from(CODE.first[length]) + (place - CODE.offset[length]) as u64;
            let padded = ((code + 1) << (32 - length)) - 1;
            let octets = length.div_ceil(8);
            assert_eq!(of(&u32::try_from(padded).unwrap().to_be_bytes()[..octets]), Some(vec![symbol]), "{symbol}");
        }
    }
}
