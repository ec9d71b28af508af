//! How much the gateway has served, as its metrics say it: the totals of now, and their changes within the last hour.
//!
//! Reads the text of the metrics, so that it depends on names and labels only. Knows no page.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::entry::Millis;
use crate::observe::names;

/// The time between two samples that are kept.
pub const EVERY: Millis = 10_000;
/// The most samples: those of an hour.
const MAX_SAMPLES: usize = 360;

/// Numbers of requests that ended, by how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// 1xx to 3xx.
    pub good: u64,
    /// 4xx.
    pub client_errors: u64,
    /// 5xx.
    pub server_errors: u64,
}

impl Ends {
    /// Returns the number of all requests.
    pub const fn all(self) -> u64 {
        self.good + self.client_errors + self.server_errors
    }

    /// Adds requests that ended with a status, such as `502`, or with one of a class, such as `5xx`.
    fn add(&mut self, code: &str, count: u64) {
        match code.as_bytes().first() {
            Some(b'4') => self.client_errors += count,
            Some(b'5') => self.server_errors += count,
            _ => self.good += count,
        }
    }

    const fn since(self, before: Self) -> Self {
        Self {
            good: self.good.saturating_sub(before.good),
            client_errors: self.client_errors.saturating_sub(before.client_errors),
            server_errors: self.server_errors.saturating_sub(before.server_errors),
        }
    }
}

/// What the metrics say at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Millis,
    /// The requests of each route.
    pub routes: BTreeMap<String, Ends>,
    /// The rejections of each limit.
    pub refused: BTreeMap<String, u64>,
}

impl Sample {
    /// Reads the text of the metrics, in the format of Prometheus or OpenMetrics.
    pub fn read(metrics: &str, at: Millis) -> Self {
        let mut sample = Self { at, ..Self::default() };
        for line in metrics.lines() {
            let Some((name, labels, value)) = split(line) else { continue };
            if name == names::REQUESTS.name {
                let (Some(route), Some(code)) = (label(labels, "route"), label(labels, "code")) else { continue };
                sample.routes.entry(route).or_default().add(&code, value);
            } else if name == names::RATE_LIMITED.name
                && let Some(limit) = label(labels, "limit")
            {
                *sample.refused.entry(limit).or_default() += value;
            }
        }
        sample
    }

    /// Returns the requests of all routes.
    pub fn total(&self) -> Ends {
        self.routes.values().fold(Ends::default(), |sum, ends| Ends {
            good: sum.good + ends.good,
            client_errors: sum.client_errors + ends.client_errors,
            server_errors: sum.server_errors + ends.server_errors,
        })
    }
}

/// Divides a line into the name without `_total`, the labels and the value.
fn split(line: &str) -> Option<(&str, &str, u64)> {
    // An exemplar follows (OpenMetrics 1.0).
    let line = line.split_once(" # ").map_or(line, |(line, _)| line);
    let (name, rest) = line.split_once('{')?;
    let (labels, value) = rest.rsplit_once('}')?;
    let value = value.split_whitespace().next()?.parse::<f64>().ok().filter(|value| *value >= 0.0)?;
    // Counters are whole numbers far below 2^53.
    Some((name.trim_end_matches("_total"), labels, value as u64))
}

/// Returns the value of a label.
fn label(labels: &str, name: &str) -> Option<String> {
    let start = labels.match_indices(&format!("{name}=\"")).find(|(at, _)| *at == 0 || labels[..*at].ends_with(','))?.0 + name.len() + 2;
    let mut value = String::new();
    let mut rest = labels.get(start..)?.chars();
    loop {
        match rest.next()? {
            '"' => return Some(value),
            '\\' => match rest.next()? {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}

/// What was served within an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Requests per second.
    pub(super) requests: f64,
    /// The share of requests that got an error of the server, from 0 to 1.
    pub(super) errors: f64,
}

/// The samples of the last hour. Bounded.
#[derive(Debug, Default)]
pub struct History(Mutex<VecDeque<Arc<Sample>>>);

impl History {
    /// Adds a sample; the oldest one goes when there are too many.
    pub fn add(&self, sample: Sample) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() >= MAX_SAMPLES {
            samples.pop_front();
        }
        samples.push_back(Arc::new(sample));
    }

    fn samples(&self) -> Vec<Arc<Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Returns the last sample.
    pub(super) fn last(&self) -> Option<Arc<Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).back().cloned()
    }

    /// Returns the rates of each interval.
    pub(super) fn rates(&self) -> Vec<Rates> {
        let samples = self.samples();
        samples.windows(2).map(|pair| rates(&pair[0], &pair[1])).collect()
    }

    /// Returns the rates of about the last `within` milliseconds. `None` if nothing is known yet.
    pub(super) fn recent(&self, within: Millis) -> Option<Rates> {
        let samples = self.samples();
        let last = samples.last()?;
        let first = samples.iter().find(|sample| sample.at + within >= last.at).filter(|first| first.at < last.at)?;
        Some(rates(first, last))
    }

    /// Returns how often each limit rejected a request within the time that is known, and in all.
    pub(super) fn refused(&self) -> BTreeMap<String, (u64, u64)> {
        let samples = self.samples();
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return BTreeMap::new() };
        let since = |(name, all): (&String, &u64)| {
            let before = first.refused.get(name).copied().unwrap_or_default();
            (name.clone(), (all.saturating_sub(before), *all))
        };
        last.refused.iter().map(since).collect()
    }
}

fn rates(first: &Sample, last: &Sample) -> Rates {
    let ends = last.total().since(first.total());
    let seconds = last.at.saturating_sub(first.at) as f64 / 1000.0;
    Rates {
        requests: if seconds > 0.0 { ends.all() as f64 / seconds } else { 0.0 },
        errors: if ends.all() > 0 { ends.server_errors as f64 / ends.all() as f64 } else { 0.0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(good: u64, bad: u64) -> String {
        format!(
            "# TYPE lockgate_requests counter\nlockgate_requests_total{{route=\"a\\\"b\",code=\"200\"}} {good}\n\
             lockgate_requests_total{{route=\"a\\\"b\",code=\"502\"}} {bad}\nlockgate_rate_limited_total{{limit=\"login\"}} 7\nother 1\n"
        )
    }

    #[test]
    fn the_text_of_the_metrics_is_read() {
        let sample = Sample::read(&metrics(90, 10), 5);
        assert_eq!(sample.routes["a\"b"], Ends { good: 90, client_errors: 0, server_errors: 10 });
        assert_eq!(sample.refused["login"], 7);
    }

    #[test]
    fn rates_are_changes_over_time() {
        let history = History::default();
        assert!(history.recent(60_000).is_none() && history.rates().is_empty());
        history.add(Sample::read(&metrics(0, 0), 0));
        history.add(Sample::read(&metrics(75, 25), 10_000));
        assert_eq!(history.rates(), [Rates { requests: 10.0, errors: 0.25 }]);
        assert_eq!(history.recent(60_000), Some(Rates { requests: 10.0, errors: 0.25 }));
        for at in 0..2 * MAX_SAMPLES as u64 {
            history.add(Sample::read(&metrics(75, 25), 20_000 + at));
        }
        assert_eq!(history.samples().len(), MAX_SAMPLES);
    }
}
