//! Decodes the bytes of an error body to text: first the content codings, with bounded output, then the charset.
//!
//! Decoding never fails, because an unknown or wrong content coding is no reason to lose a body. Such a body is returned unchanged, and is
//! complete only if it is text. Knows no format of an error.

use std::borrow::Cow;
use std::io::Read;

use encoding_rs::{Encoding, UTF_8};

/// The maximum ratio of the decoded to the coded length.
const MAX_RATIO: usize = 200;

/// The length of the part of a body by which its charset is detected, in bytes.
const MAX_GUESS: usize = 16 * 1024;

/// A body after its content codings have been decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedBody<'b> {
    /// The decoded bytes, at most the requested number.
    pub bytes: Cow<'b, [u8]>,
    /// Whether the bytes are the complete body: neither the bound nor an invalid coding ended it.
    pub whole: bool,
}

/// The maximum number of codings of one body that are decoded.
const MAX_CODINGS: usize = 3;

/// Decodes `content_encoding` (RFC 9110 8.4: a list in the order in which the codings were applied) to at most `max` bytes. Returns a body
/// unchanged if it cannot be decoded from its first byte on.
pub fn uncode<'b>(body: &'b [u8], content_encoding: Option<&str>, max: usize) -> DecodedBody<'b> {
    let max = max.min(body.len().saturating_mul(MAX_RATIO).max(1024));
    let codings = content_encoding.unwrap_or_default().split(',').map(|coding| coding.trim().to_ascii_lowercase());
    let codings: Vec<String> = codings.filter(|coding| !coding.is_empty() && coding != "identity").collect();
    let unchanged = DecodedBody { bytes: Cow::Borrowed(body), whole: codings.is_empty() || is_text(body) };
    if codings.len() > MAX_CODINGS {
        return unchanged;
    }
    let mut out = DecodedBody { bytes: Cow::Borrowed(body), whole: true };
    for coding in codings.iter().rev() {
        match decode_one(&out.bytes, coding, max) {
            Some((bytes, whole)) if whole || !is_text(body) => out = DecodedBody { bytes: Cow::Owned(bytes), whole: out.whole && whole },
            Some(_) | None => return unchanged,
        }
    }
    out
}

/// Returns true for a body that was never compressed: it is UTF-8 without control characters other than those of text.
fn is_text(body: &[u8]) -> bool {
    let plain = |byte: &u8| *byte >= b' ' && *byte != 0x7f || matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b);
    std::str::from_utf8(body).is_ok() && body.iter().all(plain)
}

/// Decodes one coding. Returns the bytes, and whether they are complete.
fn decode_one(body: &[u8], coding: &str, max: usize) -> Option<(Vec<u8>, bool)> {
    match coding {
        "gzip" | "x-gzip" => bounded(flate2::read::MultiGzDecoder::new(body), max),
        // RFC 9110 8.4.1.2 defines `deflate` as zlib, but some servers send raw deflate under that name.
        "deflate" => bounded(flate2::read::ZlibDecoder::new(body), max).or_else(|| bounded(flate2::read::DeflateDecoder::new(body), max)),
        "br" => bounded(brotli_decompressor::Decompressor::new(body, 4096), max),
        "zstd" => zstd(body, max),
        _ => None,
    }
}

/// Decodes all frames of a zstd body (RFC 8878 3).
fn zstd(mut body: &[u8], max: usize) -> Option<(Vec<u8>, bool)> {
    let mut out = Vec::new();
    while !body.is_empty() {
        let Ok(decoder) = ruzstd::decoding::StreamingDecoder::new(&mut body) else {
            return (!out.is_empty()).then_some((out, false));
        };
        let (frame, whole) = bounded(decoder, max - out.len())?;
        out.extend_from_slice(&frame);
        if !whole || out.len() >= max {
            return Some((out, whole && body.is_empty()));
        }
    }
    Some((out, true))
}

/// Reads to the end, an error or the bound. Returns `None` if an error precedes the first byte.
fn bounded(mut from: impl Read, max: usize) -> Option<(Vec<u8>, bool)> {
    let mut out = Vec::new();
    let ended = from.by_ref().take(max as u64).read_to_end(&mut out).is_ok();
    let more = ended && out.len() == max && from.read(&mut [0]).is_ok_and(|read| read > 0);
    (ended || !out.is_empty()).then_some((out, ended && !more))
}

/// Decodes bytes to text: by the byte order mark, as UTF-8 if they are valid UTF-8, by the charset of `content_type` or of the page, or
/// else by detection. A declared charset is ignored if the bytes are valid in UTF-8, except for UTF-16 and ISO-2022-JP.
pub fn text(body: &[u8], content_type: Option<&str>) -> String {
    text_of(body.to_vec(), content_type)
}

/// Decodes bytes to text as [`text`] does. Most bodies are UTF-8 and become their text without being copied.
pub fn text_of(body: Vec<u8>, content_type: Option<&str>) -> String {
    let body = match String::from_utf8(body) {
        Ok(text) if Encoding::for_bom(text.as_bytes()).is_some() => text.into_bytes(),
        Ok(text) if is_iso_2022_jp(text.as_bytes()) => return encoding_rs::ISO_2022_JP.decode(text.as_bytes()).0.into_owned(),
        Ok(text) if !content_type.and_then(charset).is_some_and(is_utf16) => return text,
        Ok(text) => text.into_bytes(),
        Err(error) if is_cut(&error) => {
            let whole = error.utf8_error().valid_up_to();
            let mut body = error.into_bytes();
            body.truncate(whole);
            return text_of(body, content_type);
        }
        Err(error) => error.into_bytes(),
    };
    let by_label = |label: &str| Encoding::for_label(label.as_bytes()).filter(|encoding| *encoding != UTF_8);
    let declared = content_type.and_then(charset).and_then(by_label).or_else(|| meta_charset(&body).and_then(|label| by_label(&label)));
    let encoding = declared.unwrap_or_else(|| {
        let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
        detector.feed(&body[..body.len().min(MAX_GUESS)], true);
        detector.guess(None, chardetng::Utf8Detection::Allow)
    });
    encoding.decode(&body).0.into_owned()
}

/// Returns true for UTF-8 that ends within a character, as at the bound of what is read. Text that is ASCII until there may have any charset.
fn is_cut(error: &std::string::FromUtf8Error) -> bool {
    let cause = error.utf8_error();
    cause.error_len().is_none() && !error.as_bytes()[..cause.valid_up_to()].is_ascii()
}

/// Returns true for 7-bit text with an escape sequence that selects Japanese characters (RFC 1468).
fn is_iso_2022_jp(body: &[u8]) -> bool {
    memchr::memchr_iter(0x1b, body).any(|at| matches!(body.get(at + 1..at + 3), Some(b"$B" | b"$@")))
}

fn is_utf16(label: &str) -> bool {
    label.to_ascii_lowercase().starts_with("utf-16")
}

/// Returns the charset of `<meta charset=x>` or of its older form, within the first KiB (HTML standard 4.2.5.4).
fn meta_charset(body: &[u8]) -> Option<String> {
    let start = String::from_utf8_lossy(&body[..body.len().min(1024)]).to_ascii_lowercase();
    let label = start.split("charset=").nth(1)?.trim_start_matches(['"', '\'']);
    Some(label.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect())
}

/// Returns the `charset` parameter of a content type.
fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        coder.write_all(bytes).unwrap();
        coder.finish().unwrap()
    }

    #[test]
    fn utf_8_that_ends_within_a_character_stays_utf_8() {
        let whole = "주문이 이미 닫혔습니다";
        for length in whole.len() - 2..whole.len() {
            assert_eq!(text(&whole.as_bytes()[..length], Some("application/json")), "주문이 이미 닫혔습니");
        }
        assert_eq!(text(b"caf\xe9", Some("text/plain; charset=latin1")), "café");
    }

    #[test]
    fn gzip_is_decoded_and_bombs_are_bounded() {
        let plain = |body: &[u8], coding| {
            let out = uncode(body, Some(coding), 1 << 20);
            (out.bytes.into_owned(), out.whole)
        };
        assert_eq!(plain(&gzip(b"hello"), "gzip"), (b"hello".to_vec(), true));
        assert_eq!(plain(&gzip(&gzip(b"hello")), "gzip, identity, gzip"), (b"hello".to_vec(), true));
        let bomb = gzip(&vec![0; 50 << 20]);
        let cut = uncode(&bomb, Some("gzip"), 256 << 10);
        assert!(cut.bytes.len() <= 256 << 10 && !cut.whole);
        assert!(!plain(&gzip(b"hello hello hello")[..20], "gzip").1);
        for coding in
            ["gzip", "deflate", "br", "zstd", "compress", "UTF-8", "none", "7bit", "binary", "aws-chunked", "gzip, UTF-8", "a, b, c, d"]
        {
            assert_eq!(plain(b"{\"message\":\"no such order\"}", coding), (b"{\"message\":\"no such order\"}".to_vec(), true), "{coding}");
        }
        assert_eq!(plain(b"\x1f\x9d\x90\x01\xff", "compress"), (b"\x1f\x9d\x90\x01\xff".to_vec(), false));
    }

    #[test]
    fn charsets_are_respected() {
        assert_eq!(text(b"\xbe\xc8\xb3\xe7", Some("text/plain; charset=EUC-KR")), "안녕");
        assert_eq!(text(b"\xff\xfea\0", None), "a");
        assert_eq!(text("안".as_bytes(), Some("text/plain")), "안");
        assert_eq!(text(b"\x1b$B%F%9%H\x1b(B ok", Some("text/plain; charset=iso-2022-jp")), "\u{30c6}\u{30b9}\u{30c8} ok");
        assert_eq!(text(b"\x1b[31mred\x1b[0m", None), "\x1b[31mred\x1b[0m");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_decode(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            for coding in ["gzip", "deflate"] {
                proptest::prop_assert!(uncode(&bytes, Some(coding), 4096).bytes.len() <= 40_000);
            }
            text(&bytes, Some("text/html; charset=shift_jis"));
        }
    }
}
