//! The attempts of a request as a timeline: connect, wait for the response, read it, and the pause before a retry.
//!
//! Pure functions of an entry.

use super::body::visible;
use super::language::Catalogue;
use super::parts::Status;
use super::time;
use crate::journal::Entry;
use crate::journal::entry::AttemptEntry;

/// A part of an attempt on the axis of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) class: &'static str,
}

/// An attempt.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) endpoint: String,
    pub(super) is_retry: bool,
    pub(super) status: Option<Status>,
    pub(super) reason: String,
    pub(super) took: String,
    pub(super) connect: String,
    pub(super) wait: String,
    pub(super) read: String,
    pub(super) pause: String,
    pub(super) spans: Vec<Span>,
}

/// All attempts.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    pub(super) lines: Vec<Line>,
    pub(super) ticks: Vec<String>,
}

/// The least share of the axis that a part takes, so that it can be seen.
const LEAST: f64 = 0.004;

fn span(from: u64, to: u64, all: u64, class: &'static str) -> Option<Span> {
    let (from, to) = (from.min(all), to.min(all));
    let width = to.checked_sub(from).filter(|width| *width > 0)?;
    let share = |us: u64| us as f64 / all as f64;
    let width = share(width).max(LEAST);
    let x = share(from).min(1.0 - width);
    Some(Span { x: format!("{:.3}%", 100.0 * x), width: format!("{:.3}%", 100.0 * width), class })
}

impl Timeline {
    pub(super) fn new(entry: &Entry, texts: &Catalogue) -> Self {
        let ends = entry.attempts.iter().map(|attempt| attempt.begin_us + attempt.took_us).max().unwrap_or_default();
        let all = entry.duration_us.max(ends).max(1);
        let mut before = 0;
        let mut lines = Vec::new();
        for (at, attempt) in entry.attempts.iter().enumerate() {
            let is_last = at + 1 == entry.attempts.len();
            lines.push(line((at, attempt), before, (all, is_last), texts));
            before = attempt.begin_us + attempt.took_us;
        }
        let ticks = (0..=4).map(|quarter| time::duration(all * quarter / 4)).collect();
        Self { lines, ticks }
    }
}

fn line((at, attempt): (usize, &AttemptEntry), before: u64, (all, is_last): (u64, bool), texts: &Catalogue) -> Line {
    let begin = attempt.begin_us;
    let connected = begin + attempt.connect_us.min(attempt.took_us);
    let end = begin + attempt.took_us;
    // What follows the head of the last response is its body.
    let read_end = if is_last && attempt.status.is_some() { all } else { end };
    let failed = attempt.reason.is_some() || attempt.status.is_some_and(|status| status >= 500);
    let pause = if at > 0 && begin > before { begin - before } else { 0 };
    let spans = [
        span(before, before + pause, all, "span-pause"),
        span(begin, connected, all, "span-connect"),
        span(connected, end, all, if failed { "span-failed" } else { "span-wait" }),
        span(end, read_end, all, "span-read"),
    ];
    let shown = |us: u64| if us == 0 { String::new() } else { time::duration(us) };
    Line {
        number: at + 1,
        endpoint: visible(attempt.endpoint.as_deref().unwrap_or(texts.text("no_endpoint"))),
        is_retry: at > 0,
        status: attempt.status.map(Status::new),
        reason: visible(&attempt.reason.clone().unwrap_or_default().replace('_', " ")),
        took: time::duration(attempt.took_us),
        connect: shown(connected - begin),
        wait: shown(end - connected),
        read: shown(read_end - end),
        pause: shown(pause),
        spans: spans.into_iter().flatten().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_and_stay_on_the_axis() {
        let attempt =
            |begin_us, connect_us, took_us, status| AttemptEntry { begin_us, connect_us, took_us, status, ..AttemptEntry::default() };
        let attempts = vec![attempt(0, 1_000, 40_000, Some(500)), attempt(50_000, 0, 30_000, Some(500))];
        let entry = Entry { duration_us: 100_000, attempts, ..Entry::default() };
        let timeline = Timeline::new(&entry, Catalogue::of(None, None));
        let classes: Vec<Vec<_>> = timeline.lines.iter().map(|line| line.spans.iter().map(|span| span.class).collect()).collect();
        assert_eq!(classes, [vec!["span-connect", "span-failed"], vec!["span-pause", "span-failed", "span-read"]]);
        assert_eq!(timeline.lines[1].spans[2], Span { x: "80.000%".into(), width: "20.000%".into(), class: "span-read" });
        assert_eq!((timeline.lines[1].pause.as_str(), timeline.lines[0].connect.as_str()), ("10 ms", "1.0 ms"));
        assert_eq!(timeline.ticks, ["0 µs", "25 ms", "50 ms", "75 ms", "100 ms"]);
    }

    #[test]
    fn an_entry_without_times_has_an_axis() {
        let entry = Entry { attempts: vec![AttemptEntry::default()], ..Entry::default() };
        assert!(Timeline::new(&entry, Catalogue::of(None, None)).lines[0].spans.is_empty());
    }
}
