//! Small values as text, appended to a buffer without the formatting machinery: what is written for every request must not cost
//! more than its bytes.

/// Appends a number in decimal.
pub fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes bytes as lower-case hex into the begin of `out`.
pub fn hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Appends a JSON string (RFC 8259 7) with its quotes.
pub fn json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let plain = plain(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(special) = rest.get(plain) else { break };
        escape(out, *special);
        rest = &rest[plain + 1..];
    }
    out.push(b'"');
}

/// How many bytes stand before the first that must be escaped: whole blocks at a time as long as they have none.
fn plain(bytes: &[u8]) -> usize {
    const fn special(byte: u8) -> bool {
        (byte < b' ') | (byte == b'"') | (byte == b'\\')
    }
    let (blocks, _) = bytes.as_chunks::<16>();
    let mut at = 0;
    for block in blocks {
        if block.iter().fold(false, |found, byte| found | special(*byte)) {
            break;
        }
        at += 16;
    }
    while at < bytes.len() && !special(bytes[at]) {
        at += 1;
    }
    at
}

/// The short escapes where there are any, else `\u00xx`.
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

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn strings_are_what_a_json_library_writes(text in "\\PC{0,80}|[\\x00-\\x7f]{0,80}|[a-z\\n]{0,80}") {
            let mut out = Vec::new();
            json_string(&mut out, &text);
            proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
