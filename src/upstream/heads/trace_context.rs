//! W3C trace context: every upstream request belongs to a trace, either the client's or a new one.
//!
//! Knows nothing of how traces are recorded.

use http::HeaderValue;

use crate::header::header_value;
use crate::write::hex;

/// Returns true for a valid `traceparent` (<https://www.w3.org/TR/trace-context/#traceparent-header>): `00-<32 hex>-<16 hex>-<2 hex>`,
/// neither ID all zero. Later versions may be longer.
pub(super) fn is_traceparent(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let hex = |part: &[u8]| part.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
    let nonzero = |part: &[u8]| part.iter().any(|b| *b != b'0');
    bytes.len() >= 55
        && bytes[2] == b'-'
        && bytes[35] == b'-'
        && bytes[52] == b'-'
        && hex(&bytes[..2])
        && &bytes[..2] != b"ff"
        && (bytes.len() == 55 || &bytes[..2] != b"00")
        && hex(&bytes[3..35])
        && nonzero(&bytes[3..35])
        && hex(&bytes[36..52])
        && nonzero(&bytes[36..52])
        && hex(&bytes[53..55])
}

/// Creates the `traceparent` of a new trace that is not sampled.
pub(super) fn new_traceparent() -> HeaderValue {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    hex(&fastrand::u128(1..).to_be_bytes(), &mut text[3..35]);
    hex(&fastrand::u64(1..).to_be_bytes(), &mut text[36..52]);
    // Hex digits and dashes are always a valid header value.
    header_value(&text).unwrap_or(HeaderValue::from_static("invalid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_traceparents_are_rejected() {
        let is = |text: &str| is_traceparent(&HeaderValue::from_str(text).unwrap());
        assert!(is("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") && is_traceparent(&new_traceparent()));
        assert!(
            !is("00-00000000000000000000000000000000-b7ad6b7169203331-01")
                && !is("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        );
        assert!(!is("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01") && !is(""));
    }
}
