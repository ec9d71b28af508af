//! Finds what a log writes before the message of each line: times, levels, names. Knows no rule and no particular log.

use memchr::memchr;

/// The maximum length of the parts before the message of a log, in bytes.
const MAX_PREFIX: usize = 128;
/// The levels of log messages.
const LEVELS: &[&[u8]] = &[b"TRACE", b"DEBUG", b"INFO", b"NOTICE", b"WARN", b"WARNING", b"ERROR", b"SEVERE", b"CRITICAL", b"FATAL"];

/// Returns the length of what a log writes before the message of a line: a time, and names, levels and numbers around it. Returns 0 if there
/// is no time.
pub(super) fn prefix(line: &[u8]) -> usize {
    let (mut at, mut is_dated) = (0, false);
    while at < line.len().min(MAX_PREFIX) {
        // One space separates the parts. Further ones indent the message.
        let start = at + usize::from(at > 0 && line[at] == b' ');
        let rest = &line[start..line.len().min(start + MAX_PREFIX)];
        let word = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let length = match rest.first() {
            Some(b'[') => memchr(b']', rest).map_or(0, |end| end + 1),
            Some(b'0'..=b'9') if is_time(&rest[..word]) => word,
            Some(b'-' | b'|') if word == 1 => 1,
            Some(b'A'..=b'Z') if LEVELS.contains(&rest[..word].strip_suffix(b":").unwrap_or(&rest[..word])) => word,
            _ => 0,
        };
        if length == 0 || !(at == 0 || start > at) {
            break;
        }
        is_dated |= rest[..length].split(|byte| matches!(byte, b' ' | b'[' | b']')).any(is_time);
        at = start + length;
    }
    let space = usize::from(line.get(at) == Some(&b' '));
    if is_dated { at + space } else { 0 }
}

/// Returns true for a date or a time of day.
fn is_time(word: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"-:.,/+TZ".contains(byte);
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    digits >= 4 && word.iter().all(is_part) && word.iter().any(|byte| b"-:".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_before_the_message() {
        for (line, rest) in [
            ("2026-11-22T10:00:00.1Z ERROR [worker-3]   at x", "  at x"),
            ("2026-11-22 10:00:00,123 [http-8] ERROR Full - Trace", "Full - Trace"),
            ("[2026-11-22 10:00:00] - panic: x", "panic: x"),
            ("10:00:00 WARN: [1] x", "x"),
            ("2026 items are left", "2026 items are left"),
            ("ERROR [x] y", "ERROR [x] y"),
            ("[1] f()", "[1] f()"),
            ("", ""),
        ] {
            assert_eq!(&line[prefix(line.as_bytes())..], rest, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_prefix_is_a_part_of_its_line(line in "[0-9:TZ. \\[\\]|-]{0,60}|(ERROR|:|\\[|\\]| |10:00:00){0,12}") {
            proptest::prop_assert!(prefix(line.as_bytes()) <= line.len());
        }
    }
}
