//! W3C trace context: every upstream request belongs to a trace, either the client's or a new one.
//!
//! Knows nothing of how traces are recorded.

use crate::context::TraceId;
use crate::write::hex;

/// Returns the trace that a `traceparent` names, if it is valid.
pub(super) fn trace_id(traceparent: &[u8]) -> Option<TraceId> {
    traceparent.get(3..35).filter(|_| is_traceparent(traceparent))?.try_into().ok()
}

/// Returns true for a valid `traceparent` (<https://www.w3.org/TR/trace-context/#traceparent-header>): `00-<32 hex>-<16 hex>-<2 hex>`,
/// neither ID all zero. Later versions may be longer.
fn is_traceparent(bytes: &[u8]) -> bool {
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

/// Creates a new trace, and the `traceparent` of a request in it that is not sampled.
pub(super) fn new_trace() -> (TraceId, [u8; 55]) {
    let (mut trace, mut text) = ([b'0'; 32], *b"00-00000000000000000000000000000000-0000000000000000-00");
    hex(&fastrand::u128(1..).to_be_bytes(), &mut trace);
    text[3..35].copy_from_slice(&trace);
    hex(&fastrand::u64(1..).to_be_bytes(), &mut text[36..52]);
    (trace, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_traceparents_are_rejected() {
        let is = |text: &str| is_traceparent(text.as_bytes());
        assert!(is("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") && is_traceparent(&new_trace().1));
        assert!(
            !is("00-00000000000000000000000000000000-b7ad6b7169203331-01")
                && !is("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        );
        assert!(!is("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01") && !is(""));
    }
}
