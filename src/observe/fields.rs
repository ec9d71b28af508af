//! Writes the fields of an access line that need a format of their own: durations, times, addresses, queries and URLs.
//!
//! Appends to a buffer without `std::fmt`, which is slower. Must not know the other parts of a line.

use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::Version;

use crate::write::{number, thousandths, timestamp};

/// Appends a duration in milliseconds with three decimals.
// Inlined, like what else every JSON line has: other formats call it too, so the compiler would not.
#[inline(always)]
pub(super) fn millis(out: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    number(out, micros / 1000);
    out.push(b'.');
    thousandths(out, (micros % 1000) as u32);
}

/// Appends an IP address.
#[inline(always)]
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

/// Appends a time as in the Common Log Format, in UTC: `28/Nov/2026:09:30:00 +0000`.
pub(super) fn clf_time(out: &mut Vec<u8>, time: SystemTime) {
    const MONTHS: [&[u8; 3]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let begin = out.len();
    timestamp(out, time);
    // `2026-11-28T09:30:00.123Z`
    let Some(text) = out[begin..].first_chunk::<19>().copied() else { return };
    let month = 10 * usize::from(text[5] - b'0') + usize::from(text[6] - b'0');
    out.truncate(begin);
    out.extend_from_slice(&text[8..10]);
    out.push(b'/');
    out.extend_from_slice(MONTHS[month.saturating_sub(1) % 12]);
    out.push(b'/');
    out.extend_from_slice(&text[..4]);
    out.push(b':');
    out.extend_from_slice(&text[11..19]);
    out.extend_from_slice(b" +0000");
}

/// Returns the end of a request line with the version of HTTP, as in the logs of Apache: with a minor version also for HTTP/2.
pub(super) const fn protocol_in_full(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b" HTTP/1.0",
        Version::HTTP_2 => b" HTTP/2.0",
        _ => b" HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_in_the_common_log_format() {
        let at = |seconds| appended(|out| clf_time(out, std::time::UNIX_EPOCH + Duration::from_secs(seconds)));
        assert_eq!(at(1_795_858_200), "28/Nov/2026:09:30:00 +0000");
        assert_eq!(at(0), "01/Jan/1970:00:00:00 +0000");
        assert_eq!(at(1_709_164_799), "28/Feb/2024:23:59:59 +0000");
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
