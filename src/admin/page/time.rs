//! Times as pages show them: how long ago, and in UTC. The script of the page shows the same in the viewer's zone.
//!
//! Pure functions.

use askama::Template;
use askama::filters::HtmlSafe;

use super::language::Catalogue;
use crate::journal::entry::Millis;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long ago something was.
#[derive(Clone, Debug, Template)]
#[template(ext = "html", source = r#"<time datetime="{{ iso }}" data-ago title="{{ absolute }}">{{ relative }}</time>"#)]
pub(super) struct Ago {
    iso: String,
    absolute: String,
    relative: String,
}

impl HtmlSafe for Ago {}

/// A point in time.
#[derive(Clone, Debug, Template)]
#[template(ext = "html", source = r#"<time datetime="{{ iso }}" data-at>{{ absolute }}</time>"#)]
pub(super) struct At {
    iso: String,
    absolute: String,
}

impl HtmlSafe for At {}

fn format(at: Millis, pattern: &str) -> String {
    let at = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map(|at| at.strftime(pattern).to_string()).unwrap_or_default()
}

/// Returns a time in the format of RFC 3339.
pub(super) fn iso(at: Millis) -> String {
    format(at, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

/// Returns the time of day, in UTC.
pub(super) fn clock(at: Millis) -> String {
    format(at, "%H:%M")
}

/// Returns the day and the time of day, in UTC.
pub(super) fn day_and_clock(at: Millis) -> String {
    format(at, "%m-%d %H:%M")
}

impl Ago {
    pub(super) fn new(at: Millis, now: Millis, texts: &Catalogue) -> Self {
        Self { iso: iso(at), absolute: format(at, "%Y-%m-%d %H:%M:%S UTC"), relative: relative(now.saturating_sub(at), texts) }
    }
}

impl At {
    pub(super) fn new(at: Millis) -> Self {
        Self { iso: iso(at), absolute: format(at, "%Y-%m-%d %H:%M:%S%.3f UTC") }
    }
}

fn relative(passed: u64, texts: &Catalogue) -> String {
    match passed {
        0..SECOND => texts.text("ago_now").to_owned(),
        SECOND..MINUTE => texts.number("ago_seconds", passed / SECOND),
        MINUTE..HOUR => texts.number("ago_minutes", passed / MINUTE),
        HOUR..DAY => texts.number("ago_hours", passed / HOUR),
        _ => texts.number("ago_days", passed / DAY),
    }
}

/// Writes a duration in microseconds with its unit.
pub(super) fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..60_000_000 => format!("{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
        _ => format!("{} min {} s", us / 60_000_000, us % 60_000_000 / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_words_and_in_utc() {
        let texts = Catalogue::of(None, None);
        let ago = Ago::new(1_700_000_000_000, 1_700_000_012_400, texts);
        assert_eq!(ago.relative, "12 s ago");
        assert_eq!(ago.iso, "2023-11-14T22:13:20.000Z");
        assert_eq!(relative(0, texts), "just now");
        assert_eq!(relative(3 * DAY, texts), "3 days ago");
        assert_eq!(clock(1_700_000_000_000), "22:13");
        assert_eq!(iso(u64::MAX), "");
    }

    #[test]
    fn durations_have_their_unit() {
        assert_eq!([7, 1_234, 84_000, 5_004_000, 61_000_000].map(duration), ["7 µs", "1.2 ms", "84 ms", "5.00 s", "1 min 1 s"]);
    }
}
