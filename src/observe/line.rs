//! Pieces of a log line, appended to a buffer without the formatting machinery: durations, addresses, times. It knows nothing
//! of what a line is about.

use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::write::number;

/// Appends milliseconds with microseconds behind the point.
pub(super) fn millis(out: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    number(out, micros / 1000);
    out.push(b'.');
    thousandths(out, (micros % 1000) as u32);
}

/// Appends exactly three digits of a number below 1000.
fn thousandths(out: &mut Vec<u8>, value: u32) {
    let digit = |place: u32| b'0' + (value / place % 10) as u8;
    out.extend_from_slice(&[digit(100), digit(10), digit(1)]);
}

/// Appends an address.
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

/// Times as RFC 3339 in UTC with milliseconds. Lines come in bursts: the text of the last second is kept.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    second: u64,
    text: String,
}

impl Calendar {
    /// Appends a time.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, at: SystemTime) {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.text.is_empty() || self.second != since.as_secs() {
            self.second = since.as_secs();
            self.text = i64::try_from(self.second)
                .ok()
                .and_then(|second| jiff::Timestamp::from_second(second).ok())
                .map(|second| second.to_string().trim_end_matches('Z').to_owned())
                .unwrap_or_default();
        }
        out.extend_from_slice(self.text.as_bytes());
        out.push(b'.');
        thousandths(out, since.subsec_millis());
        out.push(b'Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appended(append: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        append(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_rfc_3339_across_seconds() {
        let mut calendar = Calendar::default();
        let mut at = |millis| appended(|out| calendar.append(out, UNIX_EPOCH + Duration::from_millis(millis)));
        assert_eq!(at(1_700_000_000_007), "2023-11-14T22:13:20.007Z");
        assert_eq!(at(1_700_000_000_999), "2023-11-14T22:13:20.999Z");
        assert_eq!(at(1_700_000_061_000), "2023-11-14T22:14:21.000Z");
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
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
