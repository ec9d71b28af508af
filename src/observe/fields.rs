//! Writes the fields of an access line that need a format of their own: durations, addresses and queries.
//!
//! Appends to a buffer without `std::fmt`, which is slower. Must not know the other parts of a line.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use memchr::memchr;

use crate::write::{number, thousandths};

/// Appends a duration in milliseconds with three decimals.
pub(super) fn millis(out: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    number(out, micros / 1000);
    out.push(b'.');
    thousandths(out, (micros % 1000) as u32);
}

/// Appends an IP address.
pub(super) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            for (at, octet) in v4.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                number(out, u64::from(octet));
            }
        }
        // Writing to memory cannot fail.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

/// The maximum length of a masked query, in bytes.
const MAX_QUERY: usize = 512;
/// The maximum length of a name in a query, in bytes. A longer one may be a value.
const MAX_NAME: usize = 64;

/// Appends a query with the names of its parameters and without their values, which may be secrets. A parameter whose value is missing,
/// is empty or begins with `=` is masked as a whole: it may be a secret in base64, whose padding looks like that
/// (<https://www.rfc-editor.org/rfc/rfc4648#section-3.2>).
pub(super) fn masked_query(out: &mut Vec<u8>, query: &str) {
    let begin = out.len();
    let mut rest = query.as_bytes();
    loop {
        let (parameter, more) = match memchr(b'&', rest) {
            Some(end) => (&rest[..end], Some(&rest[end + 1..])),
            None => (rest, None),
        };
        match memchr(b'=', parameter) {
            Some(end) if end <= MAX_NAME && parameter.get(end + 1).is_some_and(|byte| *byte != b'=') => {
                out.extend_from_slice(&parameter[..=end]);
                out.extend_from_slice(b"***");
            }
            None if parameter.is_empty() => {}
            Some(_) | None => out.extend_from_slice(b"***"),
        }
        let Some(more) = more else { return };
        out.push(b'&');
        if out.len() - begin > MAX_QUERY {
            return out.extend_from_slice(b"...");
        }
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_query_are_masked_and_names_are_kept() {
        let masked_query = |query: &str| appended(|out| masked_query(out, query));
        assert_eq!(masked_query("token=hunter2&page=2&empty=&hunter2&&a=b=c&=d"), "token=***&page=***&***&***&&a=***&=***");
        for padded in ["c2VjcmV0LXRva2VuLTEyMw=", "aHVudGVyMg==", "aHVudGVyMg===", "aHVudGVyMg==;a", "="] {
            assert_eq!(masked_query(padded), "***");
            assert_eq!(masked_query(&format!("a=1&{padded}&b=2")), "a=***&***&b=***");
        }
        assert_eq!(masked_query(&format!("{}=1", "x".repeat(65))), "***");
        assert!(masked_query(&"name=1&".repeat(1000)).len() < MAX_QUERY + 16);
    }

    fn appended(append: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        append(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn durations_have_three_decimals() {
        assert_eq!(appended(|out| millis(out, Duration::from_micros(12_034))), "12.034");
        assert_eq!(appended(|out| millis(out, Duration::ZERO)), "0.000");
    }

    proptest::proptest! {
        #[test]
        fn addresses_are_as_displayed(bits in proptest::num::u32::ANY, long in proptest::num::u128::ANY) {
            for ip in [IpAddr::V4(bits.into()), IpAddr::V6(long.into())] {
                proptest::prop_assert_eq!(appended(|out| address(out, ip)), ip.to_string());
            }
        }
    }
}
