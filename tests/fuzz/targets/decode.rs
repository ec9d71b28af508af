//! Content codings and charsets: the first byte chooses, the rest is the body. Output stays within its bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::report::decode;

const CODINGS: [Option<&str>; 6] = [None, Some("gzip"), Some("deflate"), Some("br"), Some("zstd"), Some("compress")];
const TYPES: [Option<&str>; 6] = [
    None,
    Some("text/html"),
    Some("text/plain; charset=euc-kr"),
    Some("application/json; charset=utf-16"),
    Some("text/plain; charset=\"shift_jis\""),
    Some("text/plain; charset=nonsense"),
];
const MAX: usize = 64 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, body)) = bytes.split_first() else { return };
    let choice = usize::from(*choice);
    let plain = decode::uncode(body, CODINGS[choice % 6], MAX);
    assert!(plain.bytes.len() <= MAX.max(body.len()));
    decode::text(&plain.bytes, TYPES[choice / 6 % 6]);
});
