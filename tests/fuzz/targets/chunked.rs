//! Bodies in chunks: they end at the same byte and carry the same data however they arrive, and as another decoder reads them. The first
//! byte is the size of the pieces, the second chooses the strict decoder of requests or that of responses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::http1::chunked::Chunked;
use lockgate::http1::framing::Framing;

/// The data, and the length of the whole body.
fn decode(input: &[u8], size: usize, strict: bool) -> Result<Option<(Vec<u8>, usize)>, ()> {
    let mut framing = Framing::Chunked(Box::new(if strict { Chunked::strict() } else { Chunked::padded() }));
    let (mut data, mut taken) = (Vec::new(), 0);
    for piece in input.chunks(size) {
        let used = framing.decode(piece, &mut data).map_err(drop)?;
        taken += used;
        if framing.is_end() {
            // What the trailers are is the gateway's; here they must not fail.
            framing.take_trailers();
            return Ok(Some((data, taken)));
        }
        assert_eq!(used, piece.len());
    }
    Ok(None)
}

/// Another decoder, by lines (RFC 9112 7.1). `None` if the body does not end.
fn by_lines(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let line = at + input[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let size = input[at..line].split(|b| matches!(b, b';' | b' ' | b'\t')).next()?;
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        at = line + 2;
        if size == 0 {
            break;
        }
        data.extend_from_slice(input.get(at..at.checked_add(size)?)?);
        at += size;
        assert_eq!(&input[at..at + 2], b"\r\n");
        at += 2;
    }
    loop {
        let line = at + input[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let is_last = line == at;
        at = line + 2;
        if is_last {
            return Some((data, at));
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [size, strict, input @ ..] = bytes else { return };
    let strict = strict & 1 == 0;
    let whole = decode(input, input.len().max(1), strict);
    assert_eq!(decode(input, usize::from(*size).max(1), strict), whole);
    if let Ok(Some(body)) = whole {
        if strict {
            // Responses may be laxer than requests, never the other way round.
            assert_eq!(decode(input, input.len(), false), Ok(Some(body.clone())));
        }
        assert_eq!(by_lines(input), Some(body));
    }
});
