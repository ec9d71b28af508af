//! W3C trace context: every upstream request belongs to a trace, either the client's or a new one.
//!
//! Knows nothing of how traces are recorded.

use crate::context::TraceId;
use crate::context::spans::TraceParent;
use crate::header::{HeaderList, Value, names};
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
        && (bytes.len() == 55 || (&bytes[..2] != b"00" && bytes[55] == b'-'))
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

/// Returns the parent that the headers name. Several lines name none (<https://www.w3.org/TR/trace-context/#traceparent-header>).
pub fn parent(headers: &HeaderList) -> Option<TraceParent> {
    let mut lines = headers.get_all(names::TRACEPARENT).map(Value::as_bytes);
    let line = lines.next().filter(|line| lines.next().is_none() && is_traceparent(line))?;
    let text = std::str::from_utf8(line).ok()?;
    Some(TraceParent {
        trace: u128::from_str_radix(text.get(3..35)?, 16).ok()?,
        span: u64::from_str_radix(text.get(36..52)?, 16).ok()?,
        flags: u8::from_str_radix(text.get(53..55)?, 16).ok()?,
    })
}

/// Returns the id of a trace as text.
pub fn id_of(trace: u128) -> TraceId {
    let mut text = [b'0'; 32];
    hex(&trace.to_be_bytes(), &mut text);
    text
}

/// Writes the parent of a request into its headers.
pub fn set(headers: &mut HeaderList, parent: &TraceParent) {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    hex(&parent.trace.to_be_bytes(), &mut text[3..35]);
    hex(&parent.span.to_be_bytes(), &mut text[36..52]);
    hex(&[parent.flags], &mut text[53..55]);
    // Hexadecimal digits and dashes are a valid value.
    let _ = headers.try_insert(names::TRACEPARENT, &text);
}

/// Replaces the parent in headers that belong to the same trace. An operator may have removed the header, or set another one.
pub(in crate::upstream) fn replace(headers: &mut HeaderList, parent: &TraceParent) {
    let named = headers.get(names::TRACEPARENT).and_then(|line| trace_id(line.as_bytes()));
    if named == Some(id_of(parent.trace)) {
        set(headers, parent);
    }
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
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is(later) && is(&format!("{later}-more")) && !is(&format!("{later}more")));
    }

    #[test]
    fn a_parent_is_read_and_written() {
        let mut headers = HeaderList::new();
        assert_eq!(parent(&headers), None);
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";
        headers.try_append(names::TRACEPARENT, text.as_bytes()).unwrap();
        let read = parent(&headers).unwrap();
        assert_eq!((read.trace, read.span, read.flags), (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331, 3));
        set(&mut headers, &read);
        assert_eq!(headers.get(names::TRACEPARENT).unwrap(), text);
        headers.try_append(names::TRACEPARENT, text.as_bytes()).unwrap();
        assert_eq!(parent(&headers), None, "two lines");
        replace(&mut headers, &TraceParent { span: 7, ..read });
        assert_eq!(parent(&headers).unwrap().span, 7);
        replace(&mut headers, &TraceParent { trace: 7, ..read });
        assert_eq!(parent(&headers).unwrap().trace, read.trace, "another trace");
    }
}
