//! The deadline of a request: the route's `total_timeout` or the deadline that the client names, whichever is first. It is sent to the
//! upstream; a request whose deadline has passed is not sent.

use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue};
use tokio::time::Instant;

use super::request::Request;
use crate::failure::{Failure, Kind};
use crate::header::{HeaderList, header_value, names};
use crate::plan::Route;
use crate::write;

/// The longest deadline. `grpc-timeout` could name eleven thousand years.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// The deadline of a request.
///
/// # Errors
/// It has passed.
pub(super) fn of(route: &Route, request: Request<'_>) -> Result<Option<Instant>, Failure> {
    let own = route.policy.timeouts.total;
    let rare = request.seen.rare();
    let named = rare.deadline.as_ref().and_then(|value| left_until(value, request.context.wall));
    let grpc = rare.grpc_timeout.as_ref().and_then(|value| timeout(value.as_bytes()));
    let Some(left) = [own, named, grpc].into_iter().flatten().min().map(|left| left.min(LONGEST)) else { return Ok(None) };
    if left.is_zero() {
        return Err(Failure::because(Kind::TotalTimeout, "the client's deadline had passed before the request was sent"));
    }
    Ok(Some(request.context.arrival + left))
}

/// Fails when the deadline has passed at `now`, the time of the upstream's head: nothing was sent yet, so the client gets an error instead
/// of a cut body.
pub(super) fn check(deadline: Option<Instant>, now: Instant) -> Result<(), Failure> {
    if deadline.is_some_and(|deadline| deadline <= now) { Err(Kind::TotalTimeout.into()) } else { Ok(()) }
}

/// The time left until a moment (RFC 3339). `None` if the value is no moment.
fn left_until(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let moment: SystemTime = value.to_str().ok()?.trim().parse::<jiff::Timestamp>().ok()?.into();
    Some(moment.duration_since(now).unwrap_or_default())
}

/// Writes the deadline into the headers of the upstream's request.
///
/// # Errors
/// It has passed: the request waited too long within the gateway.
pub(super) fn write(headers: &mut HeaderList, deadline: Option<Instant>, request: Request<'_>) -> Result<(), Failure> {
    let Some(deadline) = deadline else { return Ok(()) };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Kind::TotalTimeout.into());
    }
    let context = request.context;
    let at = context.wall + deadline.saturating_duration_since(context.arrival);
    let mut text = Vec::with_capacity(24);
    write::timestamp(&mut text, at);
    if let Ok(value) = header_value(&text) {
        headers.insert(names::X_REQUEST_DEADLINE, value);
    }
    if request.is_grpc()
        && let Ok(value) = header_value(timeout_text(left).as_bytes())
    {
        headers.insert(GRPC_TIMEOUT, value);
    }
    Ok(())
}

/// The header that names a gRPC timeout
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>: at most eight digits and a unit).
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Reads a `grpc-timeout`. `None` if the value is not valid.
fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let digits =
        std::str::from_utf8(digits).ok().filter(|text| (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()))?;
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Writes a `grpc-timeout`. Microseconds are truncated; larger units are rounded up.
fn timeout_text(left: Duration) -> String {
    let micros = left.as_micros();
    match micros {
        0..100_000_000 => format!("{micros}u"),
        100_000_000..=99_999_999_000 => format!("{}m", micros.div_ceil(1000)),
        _ => format!("{}S", micros.div_ceil(1_000_000).min(99_999_999)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_and_written() {
        assert_eq!(timeout(b"100m"), Some(Duration::from_millis(100)));
        assert_eq!(timeout(b"5S"), Some(Duration::from_secs(5)));
        for bad in [&b""[..], b"S", b"5", b"5s", b"123456789S", b"-1S"] {
            assert_eq!(timeout(bad), None);
        }
        for left in [
            Duration::ZERO,
            Duration::from_micros(1),
            Duration::from_millis(99_999),
            Duration::from_secs(500),
            Duration::from_micros(99_999_999_999),
            Duration::MAX,
        ] {
            let text = timeout_text(left);
            assert!(text.len() <= 9, "{text}");
            assert!(timeout(text.as_bytes()).unwrap() >= left.min(Duration::from_secs(99_999_999)), "{text}");
        }
    }

    #[test]
    fn moments_leave_time_or_none() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        let left = |text: &'static str| left_until(&HeaderValue::from_static(text), now);
        assert_eq!(left("1970-01-01T00:01:02.5Z"), Some(Duration::from_millis(2500)));
        assert_eq!(left("1970-01-01T00:00:59Z"), Some(Duration::ZERO));
        assert_eq!(left("soon"), None);
    }
}
