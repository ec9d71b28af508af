//! The parameters of questions about the journal.
//!
//! Pure functions of texts. Must not know stores.

use std::borrow::Cow;
use std::time::Duration;

use super::error::ApiError;
use crate::config::units;
use crate::journal::entry::{Millis, now};
use crate::journal::query::{Cursor, Filter, GroupOrder, GroupState, MAX_LIMIT};

/// The digits of the milliseconds since 1970 from 2001 to 2286. No date and no time in seconds has so many.
const MILLIS_DIGITS: usize = 13;

/// Reads a time: how long ago it is (`15m`), a time of RFC 3339, a date, which begins at midnight UTC, or the milliseconds since 1970 as
/// entries have them. A shorter or longer number could be a date or seconds, and is none of them.
///
/// # Errors
/// It is none of these.
pub fn time(text: &str) -> Result<Millis, ApiError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let ago = |ago: Duration| now().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(Millis::MAX));
    let midnight = || Some(text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp());
    let moment = || text.parse::<jiff::Timestamp>().ok().or_else(midnight).and_then(|at| u64::try_from(at.as_millisecond()).ok());
    let found = match is_number {
        true => text.parse().ok().filter(|_| text.len() == MILLIS_DIGITS),
        false => units::duration(text).ok().map(ago).or_else(moment),
    };
    found.ok_or_else(|| {
        let why = if is_number { "a number could be a date, seconds or milliseconds" } else { "it is not a time" };
        let expected = "expected how long ago it is, as 15m or 7d, a date, as 2026-12-01, or a time, as 2026-12-01T06:00:00Z";
        ApiError::Bad(format!("`{text}` cannot be read: {why}; {expected}"))
    })
}

/// Returns the parameters of a query. One without a value is as if it were not there.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.trim().is_empty())
}

/// Reads statuses: `502`, `5xx` or `500-504`.
fn statuses(text: &str) -> Result<(u16, u16), ApiError> {
    let bad = || ApiError::Bad(format!("`{text}` is not a status; expected 502, 5xx or 500-504"));
    let number = |text: &str| text.parse::<u16>().ok().filter(|status| (100..600).contains(status)).ok_or_else(bad);
    match (text.strip_suffix("xx"), text.split_once('-')) {
        (Some(class), _) => {
            class.parse::<u16>().ok().filter(|class| (1..=5).contains(class)).map(|class| (class * 100, class * 100 + 99)).ok_or_else(bad)
        }
        (None, Some((first, last))) => Ok((number(first)?, number(last)?)),
        (None, None) => number(text).map(|status| (status, status)),
    }
}

pub(super) fn limit(text: &str) -> Result<usize, ApiError> {
    text.parse()
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| ApiError::Bad(format!("`limit` must be from 1 to {MAX_LIMIT}")))
}

pub(super) fn unknown(name: &str, known: &str) -> ApiError {
    ApiError::Bad(format!("`{name}` is not a parameter; expected {known}"))
}

/// Reads a parameter that says which entries are meant. Returns false if it is another one.
pub(super) fn filter(filter: &mut Filter, name: &str, text: &str) -> Result<bool, ApiError> {
    match name {
        "since" => filter.since = Some(time(text)?),
        "until" => filter.until = Some(time(text)?),
        "route" => filter.route = Some(text.to_owned()),
        "backend" => filter.backend = Some(text.to_owned()),
        "endpoint" => filter.endpoint = Some(text.to_owned()),
        "status" => filter.status = Some(statuses(text)?),
        "code" => filter.code = Some(text.to_owned()),
        "reason" => filter.reason = Some(text.to_owned()),
        "exception" => filter.exception = Some(text.to_owned()),
        "group" => filter.group = Some(text.to_owned()),
        "text" => filter.text = Some(text.to_owned()),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The parameters of [`filter`].
pub(super) const FILTERS: &str = "since, until, route, backend, endpoint, status, code, reason, exception, group, text";

pub(super) fn flag(name: &str, text: &str) -> Result<bool, ApiError> {
    text.parse().map_err(|_| ApiError::Bad(format!("`{name}` must be true or false")))
}

pub(super) fn order(word: &str) -> Result<GroupOrder, ApiError> {
    match word {
        "last" => Ok(GroupOrder::LastSeen),
        "first" => Ok(GroupOrder::FirstSeen),
        "count" => Ok(GroupOrder::Count),
        _ => Err(ApiError::Bad("`order` must be last, first or count".to_owned())),
    }
}

pub(super) fn cursor(text: &str) -> Result<Cursor, ApiError> {
    Cursor::decode(text).ok_or_else(|| ApiError::Bad("`after` is not a cursor".to_owned()))
}

pub(super) fn state(word: &str) -> Result<GroupState, ApiError> {
    GroupState::of_word(word)
        .ok_or_else(|| ApiError::Bad(format!("`{word}` is not a state; expected new, known, resolved, regressed or muted")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_never_taken_for_another_one() {
        let read = |text: &str| time(text).map_err(|error| format!("{error:?}"));
        assert_eq!(read("2026-11-01"), Ok(1_793_491_200_000));
        assert_eq!(read("2026-11-01T00:00:00Z"), Ok(1_793_491_200_000));
        assert_eq!(read("2026-11-01T02:00:00+02:00"), Ok(1_793_491_200_000));
        assert_eq!(read("1793491200000"), Ok(1_793_491_200_000));
        assert!(read("7d").is_ok_and(|at| now() - at >= 7 * 86_400_000));
        for text in ["20261101", "1793491200", "20261101000000", "0", "7", "", "yesterday", "-5", "1e12", "2026-11", "1969-12-31"] {
            assert!(read(text).is_err_and(|why| why.contains("2026-12-01")), "{text}");
        }
    }
}
