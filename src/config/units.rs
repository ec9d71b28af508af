//! Parses values with units: `"10s"`, `"32KiB"`, `"100/s"`, `"off"`.
//!
//! Text in, a typed value or an error message out. Must not know TOML or keys.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

/// A message that says which text is expected; the caller adds the place.
pub type Complaint = String;

/// Parses a duration: `"250ms"`, `"10s"`, `"2m"`, `"1h"`, `"14d"`, at most 365 days. Zero is an error, because it does not mean infinite.
pub fn duration(text: &str) -> Result<Duration, Complaint> {
    let (number, unit) = split(text);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("expected a duration such as \"250ms\", \"10s\", \"2m\", \"1h\" or \"1d\"".into()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a whole number before the unit, such as \"10s\"".to_owned())?;
    match number.checked_mul(millis) {
        Some(0) => Err("zero is not a duration; to disable a timeout, write \"off\"".into()),
        Some(millis) if millis <= 365 * 86_400_000 => Ok(Duration::from_millis(millis)),
        _ => Err("a duration is at most 365d".into()),
    }
}

/// Parses the address of a listener.
pub fn address(text: &str) -> Result<SocketAddr, Complaint> {
    text.parse().map_err(|_| "expected ADDRESS:PORT, such as \"0.0.0.0:8080\", \"127.0.0.1:9090\" or \"[::]:8080\"".to_owned())
}

/// Parses the URL below which pages are found. Returns it without a slash at its end.
pub fn base_url(text: &str) -> Result<String, Complaint> {
    const EXAMPLE: &str = "expected a URL without user, query and fragment, such as \"https://gateway.example.com\"";
    let uri = text.parse::<http::Uri>().map_err(|_| EXAMPLE.to_owned())?;
    let has_host = uri.authority().is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    let is_plain = matches!(uri.scheme_str(), Some("http" | "https")) && has_host && uri.query().is_none() && !text.contains('#');
    is_plain.then(|| text.trim_end_matches('/').to_owned()).ok_or_else(|| EXAMPLE.to_owned())
}

/// Parses a duration; `"off"` is `None`.
pub fn duration_or_off(text: &str) -> Result<Option<Duration>, Complaint> {
    match text {
        "off" => Ok(None),
        _ if means_off(text) => Err(WRITE_OFF.into()),
        _ => duration(text).map(Some),
    }
}

/// Returns true for the values with which other programs disable a timeout or a limit.
fn means_off(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "never" | "none" | "infinite" | "infinity" | "unlimited" | "disabled" | "no" | "false" | "0" | "0s" | "-1" | ""
    )
}

const WRITE_OFF: &str = "write \"off\" to disable it";

/// Parses a size: `"512B"`, `"32KiB"`, `"10MiB"`, `"1GiB"`, from 1 B to 1024 GiB.
pub fn size(text: &str) -> Result<u64, Complaint> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("expected a size such as \"512B\", \"32KiB\", \"10MiB\" or \"1GiB\"".into()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a whole number before the unit, such as \"32KiB\"".to_owned())?;
    match number.checked_mul(factor) {
        Some(0) => Err("zero is not a size; to disable a limit, write \"off\"".into()),
        Some(bytes) if bytes <= 1 << 40 => Ok(bytes),
        _ => Err("a size is at most 1024GiB".into()),
    }
}

/// Parses a size; `"off"` is `None`.
pub fn size_or_off(text: &str) -> Result<Option<u64>, Complaint> {
    match text {
        "off" => Ok(None),
        _ if means_off(text) => Err(WRITE_OFF.into()),
        _ => size(text).map(Some),
    }
}

/// Parses a data rate in bytes per second: `"240B/s"`, `"1KiB/s"`, at most 1 GiB/s; `"off"` is `None`.
pub fn min_rate(text: &str) -> Result<Option<NonZeroU32>, Complaint> {
    if text == "off" {
        return Ok(None);
    }
    let help = "expected bytes per second such as \"240B/s\" or \"1KiB/s\", or \"off\"";
    let bytes = size(text.strip_suffix("/s").ok_or(help)?).map_err(|_| help)?;
    let bytes = u32::try_from(bytes).ok().filter(|bytes| *bytes <= 1 << 30).ok_or("a rate is at most 1GiB/s")?;
    Ok(NonZeroU32::new(bytes))
}

/// A number of requests per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests per window.
    pub count: NonZeroU32,
    /// One second, minute, hour or day.
    pub window: Duration,
}

/// Parses a request rate: `"100/s"`, `"1000/m"`, `"5/h"`, `"10000/d"`, at most one request per nanosecond.
pub fn rate(text: &str) -> Result<Rate, Complaint> {
    let help = || "expected a rate such as \"100/s\", \"1000/m\", \"5000/h\" or \"10000/d\"".to_owned();
    let (count, unit) = text.split_once('/').ok_or_else(help)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(help()),
    };
    let count: u32 = count.parse().map_err(|_| help())?;
    let count = NonZeroU32::new(count).ok_or_else(|| "a rate of zero rejects every request; remove the route instead".to_owned())?;
    if u64::from(count.get()) > seconds * 1_000_000_000 {
        return Err("a rate is at most one request per nanosecond".into());
    }
    Ok(Rate { count, window: Duration::from_secs(seconds) })
}

/// Parses a percentage from 0 to 100: `"20%"`.
pub fn percent(text: &str) -> Result<u32, Complaint> {
    let number = text.strip_suffix('%').and_then(|number| number.parse::<u32>().ok());
    number.filter(|number| *number <= 100).ok_or_else(|| "expected a percentage such as \"20%\", at most \"100%\"".to_owned())
}

/// Parses a percentile from `"p50"` to `"p99.9"` into thousandths.
pub fn percentile(text: &str) -> Result<u32, Complaint> {
    let help = || "expected a percentile such as \"p95\" or \"p99.9\", from p50 to p99.9".to_owned();
    let number: f64 = text.strip_prefix('p').and_then(|number| number.parse().ok()).ok_or_else(help)?;
    let thousandths = (number * 10.0).round();
    if (500.0..=999.0).contains(&thousandths) { Ok(thousandths as u32) } else { Err(help()) }
}

/// A number of failed requests out of the latest requests; a circuit breaker opens when it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The number of failed requests.
    pub bad: u32,
    /// The number of latest requests that are considered.
    pub of: u32,
}

/// Parses a share such as `"50% of 20"`, which is half of the latest twenty. Rounds the number of failed requests up.
pub fn share(text: &str) -> Result<Share, Complaint> {
    let help = || "expected a share of the latest requests, such as \"50% of 20\" (from 1 to 1000 requests)".to_owned();
    let (share, of) = text.split_once(" of ").ok_or_else(help)?;
    let share = percent(share).ok().filter(|share| *share > 0).ok_or_else(help)?;
    let of: u32 = of.parse().ok().filter(|of| (1..=1000).contains(of)).ok_or_else(help)?;
    Ok(Share { bad: (share * of).div_ceil(100), of })
}

/// Parses ranges of status codes: `"200-399"`, `"200, 204, 401"`.
pub fn statuses(text: &str) -> Result<Vec<(u16, u16)>, Complaint> {
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..=599).contains(status));
    let range = |part: &str| match part.split_once('-') {
        Some((from, to)) => status(from).zip(status(to)).filter(|(from, to)| from <= to),
        None => status(part).map(|status| (status, status)),
    };
    text.split(',').map(range).collect::<Option<Vec<_>>>().ok_or_else(|| "expected statuses such as \"200-399\" or \"200, 204\"".to_owned())
}

/// Parses a time in the format of RFC 3339, such as `"2026-12-01T06:00:00Z"`.
pub fn moment(text: &str) -> Result<std::time::SystemTime, Complaint> {
    let parsed = text.parse::<jiff::Timestamp>();
    parsed.map(Into::into).map_err(|_| "expected true or an RFC 3339 time, such as \"2026-12-01T06:00:00Z\"".to_owned())
}

fn split(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_mean_what_they_say() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration_or_off("off"), Ok(None));
        assert_eq!(size("32KiB"), Ok(32_768));
        assert_eq!(rate("5/m"), Ok(Rate { count: NonZeroU32::new(5).unwrap(), window: Duration::from_secs(60) }));
        for bad in ["", "10", "s", "0s", "-1s", "1.5s", "10 s", "10sec", "99999999999999999999d", "off"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(percent("20%"), Ok(20));
        assert_eq!(percentile("p99.9"), Ok(999));
        assert_eq!(share("50% of 20"), Ok(Share { bad: 10, of: 20 }));
        assert_eq!(share("1% of 20"), Ok(Share { bad: 1, of: 20 }));
        assert_eq!(statuses("200-299, 401"), Ok(vec![(200, 299), (401, 401)]));
        assert_eq!(moment("1970-01-01T00:01:00+00:00"), Ok(std::time::UNIX_EPOCH + Duration::from_secs(60)));
        for bad in ["", "20", "101%", "-1%", "0% of 20", "50% of 0", "50% of 1001", "50 of 20", "p49", "p100", "300-200", "99", "tomorrow"]
        {
            assert!(percent(bad).is_err() && percentile(bad).is_err() && share(bad).is_err() && statuses(bad).is_err(), "{bad}");
            assert!(moment(bad).is_err(), "{bad}");
        }
        for bad in ["1KB", "0B", "B", "18446744073709551615GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        for bad in ["0/s", "1", "/s", "1/w", "x/s"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_value_or_a_message(text in ".{0,24}") {
            let more = [percentile(&text).err(), share(&text).err(), statuses(&text).err(), moment(&text).err()];
            for complaint in [duration(&text).err(), size(&text).err(), rate(&text).err()].into_iter().chain(more).flatten() {
                proptest::prop_assert!(!complaint.is_empty());
            }
        }
    }
}
