//! The parameters of questions about the journal.
//!
//! Pure functions of texts. Must not know stores.

use std::time::Duration;

use super::error::ApiError;
use crate::config::units;
use crate::journal::entry::{Millis, now};
use crate::journal::query::{Filter, GroupState, MAX_LIMIT};

/// Reads a time: milliseconds since 1970, RFC 3339, or how long ago it is (`15m`).
pub(super) fn time(text: &str) -> Result<Millis, ApiError> {
    let ago = |ago: Duration| now().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(Millis::MAX));
    let moment = || text.parse::<jiff::Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok());
    let found = text.parse().ok().or_else(|| units::duration(text).ok().map(ago)).or_else(moment);
    found.ok_or_else(|| ApiError::Bad(format!("`{text}` is not a time; expected 15m, 2026-12-01T06:00:00Z or milliseconds since 1970")))
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

pub(super) fn state(word: &str) -> Result<GroupState, ApiError> {
    GroupState::of_word(word)
        .ok_or_else(|| ApiError::Bad(format!("`{word}` is not a state; expected new, known, resolved, regressed or muted")))
}
