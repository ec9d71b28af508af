//! Formats small values and appends them to a buffer without the `fmt` machinery, because these values are written for every request. Knows
//! nothing of the purpose of a value.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

/// Appends a number in decimal.
pub fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes bytes as lower-case hex to the beginning of `out`.
pub fn hex(bytes: &[u8], out: &mut [u8]) {
    let (pairs, _) = out.as_chunks_mut::<2>();
    for (byte, pair) in bytes.iter().zip(pairs) {
        *pair = HEX[usize::from(*byte)];
    }
}

/// The two digits of every byte.
static HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Returns a text as a basic string of TOML (TOML 1.0, "String"), with its quotes. For files that people keep, not for requests.
pub fn toml_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Appends a JSON string (RFC 8259 7) with its quotes.
pub fn json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    // A block is copied before it is looked at: lines are short, and a call for each would cost more than the copy.
    while let Some(block) = rest.first_chunk::<16>() {
        out.extend_from_slice(block);
        rest = match escaped_in(block) {
            Some(at) => {
                out.truncate(out.len() - block.len() + at);
                escape(out, block[at]);
                &rest[at + 1..]
            }
            None => &rest[block.len()..],
        };
    }
    if is_clean(rest) {
        out.extend_from_slice(rest);
    } else {
        for byte in rest {
            match needs_escape(*byte) {
                true => escape(out, *byte),
                false => out.push(*byte),
            }
        }
    }
    out.push(b'"');
}

const fn needs_escape(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

/// Returns true if no byte of less than a block must be escaped.
fn is_clean(rest: &[u8]) -> bool {
    let is_clean = |word: &[u8; 8]| first_escaped(u64::from_le_bytes(*word)).is_none();
    match (rest.first_chunk(), rest.last_chunk()) {
        (Some(first), Some(last)) => is_clean(first) && is_clean(last),
        _ => !rest.iter().any(|byte| needs_escape(*byte)),
    }
}

/// Returns the index of the first byte of a block that must be escaped.
fn escaped_in(block: &[u8; 16]) -> Option<usize> {
    // Three passes, each of which is one comparison of all bytes at once.
    let any = |is: fn(u8) -> bool| block.iter().fold(false, |found, byte| found | is(*byte));
    if !(any(|byte| byte < b' ') | any(|byte| byte == b'"') | any(|byte| byte == b'\\')) {
        return None;
    }
    let (words, _) = block.as_chunks::<8>();
    words.iter().enumerate().find_map(|(index, word)| Some(8 * index + first_escaped(u64::from_le_bytes(*word))?))
}

/// Returns the index of the first byte of a little-endian word that must be escaped.
const fn first_escaped(word: u64) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // The highest bit of a byte that is less than `bound`. A borrow can only make a byte behind the first such byte wrong.
    const fn below(word: u64, bound: u64) -> u64 {
        word.wrapping_sub(ONES * bound) & !word
    }
    let found = below(word, b' ' as u64) | below(word ^ (ONES * b'"' as u64), 1) | below(word ^ (ONES * b'\\' as u64), 1);
    match found & (ONES << 7) {
        0 => None,
        found => Some(found.trailing_zeros() as usize / 8),
    }
}

/// Appends the short escape of a byte if it has one, or else `\u00xx`.
fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        b'"' | b'\\' => byte,
        _ => {
            let mut long = *b"\\u0000";
            hex(&[byte], &mut long[4..]);
            return out.extend_from_slice(&long);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends exactly three digits of a number below 1000.
pub fn thousandths(out: &mut Vec<u8>, value: u32) {
    let digit = |unit: u32| b'0' + (value / unit % 10) as u8;
    out.extend_from_slice(&[digit(100), digit(10), digit(1)]);
}

thread_local! {
    /// The last formatted second and its text, because the times of a core come in bursts.
    static LAST_SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// Appends a time as RFC 3339 in UTC with milliseconds. A time before 1970 is written as 1970-01-01T00:00:00.
pub fn timestamp(out: &mut Vec<u8>, at: SystemTime) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    LAST_SECOND.with_borrow_mut(|(second, text)| {
        if text.is_empty() || *second != since.as_secs() {
            *second = since.as_secs();
            *text = date_and_time(*second);
        }
        out.extend_from_slice(text.as_bytes());
    });
    out.push(b'.');
    thousandths(out, since.subsec_millis());
    out.push(b'Z');
}

/// Formats seconds as `2023-11-14T22:13:20`. A time beyond the calendar is written as 1970.
fn date_and_time(second: u64) -> String {
    let known = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    known.unwrap_or_default().to_string().trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timestamps_are_rfc_3339_across_seconds() {
        let at = |millis| {
            let mut out = Vec::new();
            timestamp(&mut out, UNIX_EPOCH + Duration::from_millis(millis));
            String::from_utf8(out).unwrap()
        };
        assert_eq!(at(1_700_000_000_007), "2023-11-14T22:13:20.007Z");
        assert_eq!(at(1_700_000_000_999), "2023-11-14T22:13:20.999Z");
        assert_eq!(at(1_700_000_061_000), "2023-11-14T22:14:21.000Z");
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
    }

    proptest::proptest! {
        #[test]
        fn strings_are_escaped_as_by_serde_json(text in "\\PC{0,80}|[\\x00-\\x7f]{0,80}|[a-z\\n]{0,80}") {
            let mut out = Vec::new();
            json_string(&mut out, &text);
            proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
