//! Charts as inline SVG: a sparkline, and bars over time that are stacked by status or backend.
//!
//! Pure functions of counts. Positions are attributes, because the page allows no inline style.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use askama::Template;
use askama::filters::HtmlSafe;

use super::language::{Catalogue, grouped};
use super::time;
use crate::journal::entry::Millis;
use crate::journal::query::{Count, CountQuery, Step};
use crate::journal::store::{Store, StoreError};

/// A stretch of time that a chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The word for URLs.
    pub(super) word: &'static str,
    step: Step,
    /// The number of steps in a bar.
    steps: u64,
    bars: u64,
}

/// The stretches of time that can be chosen.
pub(super) const RANGES: [Range; 4] = [
    Range { word: "1h", step: Step::Minute, steps: 1, bars: 60 },
    Range { word: "24h", step: Step::Minute, steps: 20, bars: 72 },
    Range { word: "7d", step: Step::Hour, steps: 2, bars: 84 },
    Range { word: "30d", step: Step::Hour, steps: 8, bars: 90 },
];

impl Range {
    pub(super) fn of(word: Option<&str>) -> Self {
        RANGES.into_iter().find(|range| Some(range.word) == word).unwrap_or(RANGES[0])
    }

    /// Returns the width of a bar.
    pub(super) const fn width(self) -> Millis {
        self.step.millis() * self.steps
    }

    /// Returns the beginning of the first bar. The last bar is the one of `now`.
    pub(super) const fn begin(self, now: Millis) -> Millis {
        (now - now % self.width() + self.width()).saturating_sub(self.bars * self.width())
    }

    /// Asks the store for the counts.
    pub(super) fn counts(self, store: &dyn Store, group: Option<&str>, now: Millis) -> Result<Vec<Count>, StoreError> {
        let until = self.begin(now) + self.bars * self.width();
        store.counts(&CountQuery { group: group.map(str::to_owned), since: self.begin(now), until, step: self.step })
    }

    /// Adds counts up, one sum for each bar.
    pub(super) fn sums(self, counts: &[Count], now: Millis) -> Vec<u64> {
        let mut sums = vec![0; usize::try_from(self.bars).unwrap_or_default()];
        for count in counts {
            if let Some(sum) = self.bar(count.at, now).and_then(|at| sums.get_mut(at)) {
                *sum += count.count;
            }
        }
        sums
    }

    fn bar(self, at: Millis, now: Millis) -> Option<usize> {
        usize::try_from(at.checked_sub(self.begin(now))? / self.width()).ok()
    }
}

/// How a chart is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Warn,
    Bad,
}

impl Tone {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A line without axes. What it shows stands beside it in words.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<svg class="spark tone-{{ tone }}" viewBox="0 0 120 28" preserveAspectRatio="none" aria-hidden="true" focusable="false"><path class="area" d="{{ line }} V28 H0 Z"/><path class="line" d="{{ line }}"/></svg>"#
)]
pub(super) struct Spark {
    tone: &'static str,
    line: String,
}

impl HtmlSafe for Spark {}

impl Spark {
    /// Draws values; the highest one reaches the top.
    pub(super) fn new(values: &[f64], tone: Tone) -> Self {
        let top = values.iter().copied().fold(0.0, f64::max);
        let last = values.len().saturating_sub(1).max(1);
        let mut line = String::new();
        for (at, value) in values.iter().enumerate() {
            let share = if top > 0.0 { value / top } else { 0.0 };
            let (x, y) = (120.0 * at as f64 / last as f64, 26.5 - 24.0 * share);
            // Writing to a string cannot fail.
            let _ = write!(line, "{}{x:.1} {y:.1}", if at == 0 { "M" } else { " L" });
        }
        if values.len() < 2 {
            line = "M0.0 26.5 L120.0 26.5".to_owned();
        }
        Self { tone: tone.word(), line }
    }

    /// Draws counts. The last one is left out unless it is the only one: its time is not over, so it would look like an end.
    pub(super) fn of_counts(sums: &[u64], tone: Tone) -> Self {
        let sums = match sums.split_last() {
            Some((_, whole)) if whole.iter().any(|sum| *sum > 0) => whole,
            _ => sums,
        };
        Self::new(&sums.iter().map(|sum| *sum as f64).collect::<Vec<_>>(), tone)
    }
}

/// A part of a bar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rect {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) y: String,
    pub(super) height: String,
    pub(super) class: String,
}

/// A part of all bars, as the legend shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) class: String,
    pub(super) total: String,
}

/// A line of the table that says the same as the chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) time: String,
    pub(super) count: String,
}

/// A text beside an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: String,
    pub(super) text: String,
    /// The time, for the script; empty on the other axis.
    pub(super) iso: String,
    pub(super) anchor: &'static str,
}

/// Bars over time.
#[derive(Clone, Debug, Template)]
#[template(path = "page/bars.html")]
pub(super) struct Bars {
    label: String,
    rects: Vec<Rect>,
    lines: Vec<Tick>,
    ticks: Vec<Tick>,
    marker: Option<Tick>,
    pub(super) legend: Vec<Part>,
    rows: Vec<Row>,
    when: String,
    count: String,
    table: String,
    is_day: bool,
}

impl HtmlSafe for Bars {}

/// The height of the bars, in pixels.
const HEIGHT: f64 = 150.0;
/// The place above the bars, in pixels.
const ABOVE: f64 = 18.0;
/// The most parts of a bar.
const MAX_PARTS: usize = 6;

/// What a bar is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Status,
    Backend,
}

impl By {
    pub(super) fn of(word: Option<&str>) -> Self {
        if word == Some("backend") { Self::Backend } else { Self::Status }
    }

    fn part(self, count: &Count) -> String {
        match self {
            Self::Status => count.status.to_string(),
            Self::Backend => count.backend.clone(),
        }
    }
}

/// Returns a round number that is not less.
fn round_up(most: u64) -> u64 {
    let mut unit = 1;
    loop {
        for factor in [1, 2, 4, 5, 10] {
            if unit * factor >= most {
                return unit * factor;
            }
        }
        unit *= 10;
    }
}

fn percent(share: f64) -> String {
    format!("{:.3}%", 100.0 * share)
}

impl Bars {
    /// Draws counts. `mark` is a time with a text that the chart points to.
    pub(super) fn new(counts: &[Count], range: Range, by: By, now: Millis, mark: Option<(Millis, &str)>, texts: &Catalogue) -> Self {
        let mut totals: BTreeMap<String, u64> = BTreeMap::new();
        for count in counts {
            *totals.entry(by.part(count)).or_default() += count.count;
        }
        let mut names: Vec<(String, u64)> = totals.into_iter().collect();
        names.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        names.truncate(MAX_PARTS);
        let sums = range.sums(counts, now);
        let top = round_up(sums.iter().copied().max().unwrap_or_default().max(4));
        let begin = range.begin(now);
        let marker = mark.filter(|(at, _)| *at >= begin).map(|(at, text)| {
            let share = (at - begin) as f64 / (range.bars * range.width()) as f64;
            Tick { at: percent(share), text: text.to_owned(), iso: time::iso(at), anchor: if share > 0.7 { "end" } else { "start" } }
        });
        let total: u64 = sums.iter().sum();
        let most = sums.iter().copied().max().unwrap_or_default();
        let stretch = texts.text(range_key(range));
        let label = texts.with("chart_label", &[("total", &grouped(total)), ("range", stretch), ("most", &grouped(most))]);
        let is_day = range.width() * range.bars > 24 * 3_600_000;
        Self {
            label,
            rects: rects(counts, &names, (range, by, now), top),
            lines: [1.0, 0.5].map(|share| line(share, top)).to_vec(),
            ticks: (0..=4).map(|quarter| tick(quarter, begin, range, is_day)).collect(),
            marker,
            legend: names.iter().enumerate().map(|(at, (name, total))| part(at, name, *total, by)).collect(),
            rows: rows(&sums, begin, range, is_day),
            when: texts.text("chart_when").to_owned(),
            count: texts.text("chart_count").to_owned(),
            table: texts.text("chart_table").to_owned(),
            is_day,
        }
    }
}

/// Returns the key of the name of a stretch of time.
pub(super) const fn range_key(range: Range) -> &'static str {
    match range.word.as_bytes() {
        b"24h" => "range_24h",
        b"7d" => "range_7d",
        b"30d" => "range_30d",
        _ => "range_1h",
    }
}

fn line(share: f64, top: u64) -> Tick {
    let y = ABOVE + HEIGHT * (1.0 - share);
    Tick { at: format!("{y:.0}"), text: grouped((top as f64 * share) as u64), iso: String::new(), anchor: "end" }
}

fn tick(quarter: u64, begin: Millis, range: Range, is_day: bool) -> Tick {
    let at = begin + range.bars * range.width() * quarter / 4;
    let anchor = match quarter {
        0 => "start",
        4 => "end",
        _ => "middle",
    };
    let text = if is_day { time::day_and_clock(at) } else { time::clock(at) };
    Tick { at: format!("{}%", quarter * 25), text, iso: time::iso(at), anchor }
}

fn class_of(at: usize, name: &str, by: By) -> String {
    match by {
        By::Status if name.starts_with('5') => format!("bar-bad shade-{}", at % 3),
        By::Status => format!("bar-warn shade-{}", at % 3),
        By::Backend => format!("bar-{}", at % MAX_PARTS),
    }
}

fn part(at: usize, name: &str, total: u64, by: By) -> Part {
    Part { name: name.to_owned(), class: class_of(at, name, by), total: grouped(total) }
}

fn rows(sums: &[u64], begin: Millis, range: Range, is_day: bool) -> Vec<Row> {
    let filled = sums.iter().enumerate().filter(|(_, sum)| **sum > 0);
    let row = |(at, sum): (usize, &u64)| {
        let at = begin + at as u64 * range.width();
        Row { time: if is_day { time::day_and_clock(at) } else { time::clock(at) }, count: grouped(*sum) }
    };
    filled.map(row).collect()
}

fn rects(counts: &[Count], names: &[(String, u64)], (range, by, now): (Range, By, Millis), top: u64) -> Vec<Rect> {
    // By bar and part. What is in no part that is shown counts as the last one.
    let mut cells: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for count in counts {
        let name = by.part(count);
        let part = names.iter().position(|(known, _)| *known == name).unwrap_or(names.len().saturating_sub(1));
        if let Some(bar) = range.bar(count.at, now).filter(|bar| (*bar as u64) < range.bars) {
            *cells.entry((bar, part)).or_default() += count.count;
        }
    }
    let mut rects = Vec::with_capacity(cells.len());
    let (mut bar, mut below) = (usize::MAX, 0.0);
    for ((at, part), count) in cells {
        if at != bar {
            (bar, below) = (at, 0.0);
        }
        let height = (HEIGHT * count as f64 / top as f64).max(1.0);
        below += height;
        let width = 1.0 / range.bars as f64;
        rects.push(Rect {
            x: percent((at as f64 + 0.12) * width),
            width: percent(0.76 * width),
            y: format!("{:.1}", ABOVE + HEIGHT - below),
            height: format!("{height:.1}"),
            class: class_of(part, names.get(part).map_or("", |(name, _)| name), by),
        });
    }
    rects
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_700_000_000_000;

    fn count(ago: Millis, backend: &str, status: u16, count: u64) -> Count {
        let at = NOW - ago;
        Count { at: at - at % 60_000, backend: backend.into(), status, count }
    }

    #[test]
    fn counts_stand_in_the_bar_of_their_time() {
        let range = Range::of(Some("1h"));
        let sums = range.sums(&[count(0, "a", 502, 3), count(60_000, "a", 502, 2), count(3 * 3_600_000, "a", 502, 9)], NOW);
        assert_eq!((sums.len(), sums[59], sums[58], sums.iter().sum::<u64>()), (60, 3, 2, 5));
    }

    #[test]
    fn bars_are_stacked_and_never_higher_than_the_chart() {
        let counts = [count(0, "a", 502, 30), count(0, "b", 404, 70), count(60_000, "b", 404, 1)];
        let bars = Bars::new(&counts, RANGES[0], By::Status, NOW, Some((NOW, "first")), Catalogue::of(None, None));
        assert_eq!(bars.legend.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["404", "502"]);
        let last: Vec<_> = bars.rects.iter().filter(|rect| rect.x.starts_with("98.5")).collect();
        let heights: f64 = last.iter().map(|rect| rect.height.parse::<f64>().unwrap()).sum();
        assert!(last.len() == 2 && heights <= HEIGHT + 0.2, "{:?}", bars.rects);
        assert!(bars.label.contains("101") && bars.marker.is_some());
    }

    #[test]
    fn scales_are_round() {
        assert_eq!([0, 4, 7, 21, 1234].map(round_up), [1, 4, 10, 40, 2000]);
    }

    #[test]
    fn sparklines_are_drawn_of_anything() {
        assert_eq!(Spark::new(&[], Tone::Bad).line, "M0.0 26.5 L120.0 26.5");
        assert_eq!(Spark::new(&[0.0, 0.0], Tone::Bad).line, "M0.0 26.5 L120.0 26.5");
        assert_eq!(Spark::new(&[1.0, 2.0, 0.0], Tone::Bad).line, "M0.0 14.5 L60.0 2.5 L120.0 26.5");
    }
}
