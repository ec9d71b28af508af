//! Decodes base64 (RFC 4648 4 and 5), because some services encode a whole response or a part of a sentence.
//!
//! Only runs that decode to readable text count, not keys, digests or images. This file knows no rule.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The minimum length of a run that is decoded, in base64 letters.
const MIN_RUN: usize = 24;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Returns the readable texts that runs of base64 letters decode to.
pub(super) fn decoded_texts(text: &str) -> impl Iterator<Item = String> {
    // `=` ends a run as padding, and often precedes one in an assignment: `key=dGV4dA==`.
    let bytes = if has_run(text.as_bytes()) { text.as_bytes() } else { &[] };
    let runs = bytes.split(|byte| !is_letter(*byte));
    runs.filter(|run| run.len() >= MIN_RUN).flat_map(|run| {
        let whole = decoded(run);
        // `/`, `-` and `_` are base64 letters, but also separators in paths and names.
        let parts = if whole.is_none() { run } else { &[] };
        whole.into_iter().chain(parts.split(|byte| is_mark(*byte)).filter(|part| part.len() >= MIN_RUN).filter_map(decoded))
    })
}

/// Returns true if there is a run of at least `MIN_RUN` letters. Every such run covers one of the positions that are looked at.
fn has_run(bytes: &[u8]) -> bool {
    let mut at = MIN_RUN - 1;
    while at < bytes.len() {
        let before = bytes[..at].iter().rev().take(MIN_RUN).take_while(|byte| is_letter(**byte)).count();
        let after = bytes[at..].iter().take(MIN_RUN).take_while(|byte| is_letter(**byte)).count();
        if after > 0 && before + after >= MIN_RUN {
            return true;
        }
        at += MIN_RUN;
    }
    false
}

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || is_mark(byte)
}

const fn is_mark(byte: u8) -> bool {
    matches!(byte, b'+' | b'/' | b'-' | b'_')
}

fn decoded(run: &[u8]) -> Option<String> {
    // A run that was cut, or has one letter too many, still decodes to its beginning.
    let run = &run[..run.len() - usize::from(run.len() % 4 == 1)];
    let bytes = STANDARD.decode(run).or_else(|_| URL_SAFE.decode(run)).ok()?;
    let readable = |text: &String| text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    String::from_utf8(bytes).ok().filter(readable)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_run_is_seen(text in "([a-z+]{1,30}| |\u{e4}|=){0,12}") {
            let longest = text.as_bytes().split(|byte| !is_letter(*byte)).map(<[u8]>::len).max().unwrap_or(0);
            proptest::prop_assert_eq!(has_run(text.as_bytes()), longest >= MIN_RUN);
        }
    }

    #[test]
    fn only_readable_texts_are_decoded() {
        let found = |text: &str| decoded_texts(text).collect::<Vec<_>>();
        assert_eq!(found("x SGVsbG8gd29ybGQsIHRoaXMgaXMgYSB0ZXN0 y"), ["Hello world, this is a test"]);
        assert_eq!(found("SGVsbG8gd29ybGQsIHRoaXMgaXMgYSB0ZXN0Cg=="), ["Hello world, this is a test\n"]);
        for lead in ["detail=", "err/", "trace-", "a_b/c_"] {
            let text = format!("{lead}SGVsbG8gd29ybGQsIHRoaXMgaXMgYSB0ZXN0Cg==");
            assert!(found(&text).contains(&"Hello world, this is a test\n".to_owned()), "{text}: {:?}", found(&text));
        }
        assert!(found("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo").is_empty());
        assert!(found("SGVsbG8gd29ybGQ= short").is_empty());
    }
}
