//! Writes the fields of an access line that need a format of their own: durations, times, addresses, queries and URLs.
//!
//! Appends to a buffer without `std::fmt`, which is slower. Must not know the other parts of a line.

use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::Version;
use memchr::memchr;

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

/// The maximum length of a masked query, in bytes.
const MAX_QUERY: usize = 512;
/// The maximum length of a name in a query, in bytes. A longer one may be a value.
const MAX_NAME: usize = 64;

/// Appends a query with the names of its parameters and without their values, which may be secrets. A parameter whose value is missing,
/// is empty or begins with `=` is masked as a whole: it may be a secret in base64, whose padding looks like that
/// (<https://www.rfc-editor.org/rfc/rfc4648#section-3.2>).
pub(super) fn masked_query(out: &mut Vec<u8>, query: &[u8]) {
    let begin = out.len();
    let mut rest = query;
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

/// Appends a URL that a client sent: without a user, without the values of its query, and without its fragment, which may be secrets.
pub(super) fn masked_url(out: &mut Vec<u8>, url: &[u8]) {
    let (url, query) = match url.iter().position(|byte| matches!(byte, b'?' | b'#')) {
        Some(end) if url[end] == b'?' => {
            let query = &url[end + 1..];
            (&url[..end], Some(&query[..memchr(b'#', query).unwrap_or(query.len())]))
        }
        Some(end) => (&url[..end], None),
        None => (url, None),
    };
    // The user ends at the last `@` of the authority (RFC 3986 3.2.1). One that was cut off has no end.
    let authority = memchr::memmem::find(url, b"//").map_or(0, |at| at + 2);
    let length = memchr(b'/', &url[authority..]).unwrap_or(url.len() - authority);
    match memchr::memrchr(b'@', &url[authority..authority + length]) {
        Some(end) => {
            out.extend_from_slice(&url[..authority]);
            out.extend_from_slice(b"***");
            out.extend_from_slice(&url[authority + end..]);
        }
        None if length > MAX_AUTHORITY => out.extend_from_slice(b"***"),
        None => out.extend_from_slice(url),
    }
    if let Some(query) = query {
        out.push(b'?');
        masked_query(out, query);
    }
}

/// The maximum length of the authority of a URL, in bytes. A longer one may be a user whose end was cut off.
const MAX_AUTHORITY: usize = 512;

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
    fn urls_lose_what_may_be_secret() {
        let masked = |url: &str| appended(|out| masked_url(out, url.as_bytes()));
        assert_eq!(masked("https://shop.example/a/b?token=hunter2&x#hunter2"), "https://shop.example/a/b?token=***&***");
        assert_eq!(masked("https://user:hunter2@shop.example/a@b"), "https://***@shop.example/a@b");
        assert_eq!(masked("https://shop.example#hunter2?x"), "https://shop.example");
        assert_eq!(masked("user:hunter2@x"), "***@x");
        assert_eq!(masked(&format!("https://user:{}", "x".repeat(900))), "***");
        assert_eq!((masked(""), masked("?"), masked("/only/path")), (String::new(), "?".into(), "/only/path".into()));
    }

    #[test]
    fn times_are_as_in_the_common_log_format() {
        let at = |seconds| appended(|out| clf_time(out, std::time::UNIX_EPOCH + Duration::from_secs(seconds)));
        assert_eq!(at(1_795_858_200), "28/Nov/2026:09:30:00 +0000");
        assert_eq!(at(0), "01/Jan/1970:00:00:00 +0000");
        assert_eq!(at(1_709_164_799), "28/Feb/2024:23:59:59 +0000");
    }

    #[test]
    fn values_of_a_query_are_masked_and_names_are_kept() {
        let masked_query = |query: &str| appended(|out| masked_query(out, query.as_bytes()));
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
