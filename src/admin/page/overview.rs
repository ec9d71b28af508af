//! The overview: is it healthy, what fails now, which backends serve, which limits reject.

use askama::Template;

use super::answer::Answer;
use super::ask::encoded;
use super::body::visible;
use super::chart::{RANGES, Range, Spark, Tone};
use super::gateway::{BackendState, Running};
use super::language::grouped;
use super::parts::{Chip, title_of};
use super::shell::{self, Shell};
use super::sources::{Refusal, Sources};
use super::time::{self, Ago};
use super::traffic::History;
use crate::journal::entry::Millis;
use crate::journal::query::{Group, GroupOrder, GroupQuery, GroupState, Usage};
use crate::journal::store::Store;

/// The groups whose counts are compared.
const MAX_COMPARED: usize = 24;
/// The groups that are shown.
const MAX_SHOWN: usize = 12;
/// An hour.
const HOUR: Millis = 3_600_000;
/// The minutes that are compared with those before.
const RECENT: usize = 10;

/// A group that fails now.
#[derive(Debug)]
pub(super) struct Failing {
    pub(super) chip: Chip,
    pub(super) href: String,
    pub(super) title: String,
    pub(super) route: String,
    pub(super) backend: String,
    pub(super) code: String,
    pub(super) spark: Spark,
    pub(super) recent: String,
    pub(super) last: Ago,
    rank: (u8, u64),
}

/// A figure with its line.
struct Figure {
    name: &'static str,
    value: String,
    unit: &'static str,
    note: String,
    spark: Spark,
}

/// An endpoint of a backend.
struct EndpointView {
    label: String,
    class: &'static str,
    state: &'static str,
    in_flight: String,
}

/// A backend.
struct BackendView {
    name: String,
    href: String,
    class: &'static str,
    summary: String,
    endpoints: Vec<EndpointView>,
    permits: Option<Meter>,
}

/// A share of something that is limited.
struct Meter {
    text: String,
    width: String,
    class: &'static str,
}

/// A limit that rejects.
struct Pressure {
    name: String,
    allows: String,
    recent: String,
    width: String,
}

#[derive(Template)]
#[template(path = "page/overview.html")]
struct Page<'a> {
    shell: &'a Shell<'a>,
    active: &'static str,
    title: String,
    health: &'static str,
    notes: Vec<String>,
    figures: Vec<Figure>,
    failing: Vec<Failing>,
    has_store: bool,
    has_entries: bool,
    /// Why the journal cannot be read; empty if it can.
    failure: String,
    backends: Vec<BackendView>,
    limits: Vec<Pressure>,
    limits_defined: usize,
}

/// Returns true if a group occurs clearly more often within the last minutes than before.
fn is_rising(sums: &[u64]) -> bool {
    let (before, recent) = sums.split_at(sums.len().saturating_sub(RECENT));
    let (before_sum, recent_sum): (u64, u64) = (before.iter().sum(), recent.iter().sum());
    recent_sum >= 5 && recent_sum * before.len() as u64 > 2 * before_sum * RECENT as u64
}

/// Returns how a group is ranked: new and regressed ones first, then those that rise.
const fn urgency(state: GroupState, rising: bool) -> u8 {
    match state {
        GroupState::New | GroupState::Regressed => 2,
        GroupState::Known | GroupState::Resolved | GroupState::Muted => rising as u8,
    }
}

fn failing(group: &Group, store: &dyn Store, shell: &Shell<'_>) -> Result<Failing, Refusal> {
    let range = RANGES[0];
    let sums = range.sums(&range.counts(store, Some(&group.fingerprint), shell.now)?, shell.now);
    let rising = is_rising(&sums);
    let recent: u64 = sums.iter().sum();
    let tone = match (group.state, rising) {
        (GroupState::New | GroupState::Regressed, _) => Tone::Bad,
        (_, true) => Tone::Warn,
        (GroupState::Known | GroupState::Resolved | GroupState::Muted, false) => Tone::Plain,
    };
    Ok(Failing {
        chip: Chip::of_group(group.state, rising, shell.texts),
        href: format!("/groups/{}", encoded(&group.fingerprint)),
        title: title_of(group, shell),
        route: visible(&group.route),
        backend: visible(&group.backend),
        code: visible(&group.code),
        spark: Spark::of_counts(&sums, tone),
        recent: grouped(recent),
        last: Ago::new(group.last_seen, shell.now, shell.texts),
        rank: (urgency(group.state, rising), recent),
    })
}

/// Returns the groups that fail now, the most urgent first.
fn all_failing(store: &dyn Store, shell: &Shell<'_>) -> Result<Vec<Failing>, Refusal> {
    let states = vec![GroupState::New, GroupState::Regressed, GroupState::Known];
    let since = Some(shell.now.saturating_sub(HOUR));
    let groups = store.groups(&GroupQuery { states, since, limit: MAX_COMPARED, order: GroupOrder::LastSeen, ..GroupQuery::default() })?;
    let mut all = groups.iter().map(|group| failing(group, store, shell)).collect::<Result<Vec<_>, _>>()?;
    all.sort_by_key(|failing| std::cmp::Reverse(failing.rank));
    Ok(all)
}

fn backend_view(backend: &BackendState, shell: &Shell<'_>) -> BackendView {
    let (serving, all) = (backend.serving(), backend.endpoints.len());
    let endpoint = |endpoint: &super::gateway::EndpointState| EndpointView {
        label: visible(&endpoint.label),
        class: endpoint.health.class(),
        state: shell.t(endpoint.health.key()),
        in_flight: grouped(endpoint.in_flight as u64),
    };
    let permits = backend.permits.map(|(now, limit, waiting)| {
        let share = if limit > 0 { (now as f64 / limit as f64).min(1.0) } else { 1.0 };
        Meter {
            text: shell.texts.with(
                "permits",
                &[("now", &grouped(now as u64)), ("limit", &grouped(limit as u64)), ("waiting", &grouped(waiting as u64))],
            ),
            width: format!("{:.1}%", 100.0 * share),
            class: if share > 0.9 { "bad" } else { "plain" },
        }
    });
    let key = if serving == 0 {
        "health_down"
    } else if backend.endpoints.iter().any(|endpoint| endpoint.health.class() != "good") {
        "health_degraded"
    } else {
        "health_up"
    };
    BackendView {
        name: visible(&backend.name),
        href: format!("/errors?backend={}", encoded(&backend.name)),
        class: match key {
            "health_up" => "good",
            "health_down" => "bad",
            _ => "warn",
        },
        summary: format!(
            "{} · {}",
            shell.t(key),
            shell.texts.with("endpoints_serving", &[("serving", &serving.to_string()), ("all", &all.to_string())])
        ),
        endpoints: backend.endpoints.iter().map(endpoint).collect(),
        permits,
    }
}

fn pressure(running: &Running, traffic: &History) -> Vec<Pressure> {
    let refused = traffic.refused();
    let most = refused.values().map(|(recent, _)| *recent).max().unwrap_or_default().max(1);
    let mut found: Vec<(u64, Pressure)> = running
        .limits
        .iter()
        .filter_map(|limit| {
            let (recent, _) = refused.get(&limit.name).copied().filter(|(_, all)| *all > 0)?;
            let width = format!("{:.1}%", 100.0 * recent as f64 / most as f64);
            let (name, allows) = (visible(&limit.name), visible(&limit.allows));
            Some((recent, Pressure { name, allows, recent: grouped(recent), width }))
        })
        .collect();
    found.sort_by_key(|(recent, _)| std::cmp::Reverse(*recent));
    found.into_iter().map(|(_, pressure)| pressure).take(MAX_SHOWN).collect()
}

/// Writes a rate with as many digits as one reads.
fn rate(per_second: f64) -> String {
    match per_second {
        _ if per_second >= 100.0 => grouped(per_second.round() as u64),
        _ if per_second >= 10.0 => format!("{per_second:.1}"),
        _ => format!("{per_second:.2}"),
    }
}

/// The parts of the page that the journal answers.
#[derive(Default)]
struct Told {
    failing: Vec<Failing>,
    /// How often requests failed in each minute of the last hour.
    sums: Vec<u64>,
    /// The same for each bar of the last day.
    day: Vec<u64>,
    usage: Usage,
}

/// Asks the journal. It is not asked again once it has failed, as each question may wait for a database.
fn told(store: &dyn Store, shell: &Shell<'_>) -> Result<Told, Refusal> {
    let sums = |range: Range| Ok::<_, Refusal>(range.sums(&range.counts(store, None, shell.now)?, shell.now));
    Ok(Told { usage: store.usage()?, failing: all_failing(store, shell)?, sums: sums(RANGES[0])?, day: sums(RANGES[1])? })
}

/// Returns the figures of the traffic.
fn traffic_figures(shell: &Shell<'_>, sources: &Sources<'_>) -> Vec<Figure> {
    let rates = sources.traffic.rates();
    let recent = sources.traffic.recent(5 * 60_000);
    let (requests, errors) =
        recent.map_or_else(|| ("–".to_owned(), "–".to_owned()), |now| (rate(now.requests), format!("{:.1}", 100.0 * now.errors)));
    let tone = if recent.is_some_and(|now| now.errors >= 0.01) { Tone::Bad } else { Tone::Good };
    let note = if recent.is_some() { shell.t("last_five_minutes") } else { shell.t("no_traffic_yet") };
    let requests_line: Vec<f64> = rates.iter().map(|rates| rates.requests).collect();
    let errors_line: Vec<f64> = rates.iter().map(|rates| rates.errors).collect();
    vec![
        Figure {
            name: shell.t("figure_requests"),
            value: requests,
            unit: if recent.is_some() { "/s" } else { "" },
            note: note.to_owned(),
            spark: Spark::new(&requests_line, Tone::Plain),
        },
        Figure {
            name: shell.t("figure_errors"),
            value: errors,
            unit: if recent.is_some() { "%" } else { "" },
            note: note.to_owned(),
            spark: Spark::new(&errors_line, tone),
        },
    ]
}

/// Returns the figures of the journal.
fn journal_figures(shell: &Shell<'_>, told: &Told) -> Vec<Figure> {
    let Told { sums, day, usage, .. } = told;
    let failures: u64 = sums.iter().sum();
    let minute = sums.iter().rev().nth(1).copied().unwrap_or_default();
    let oldest = usage.oldest.map(|oldest| Ago::new(oldest, shell.now, shell.texts).to_string());
    // The text of the time stands between its tags.
    let oldest = oldest.and_then(|html| Some(html.split_once('>')?.1.split_once('<')?.0.to_owned()));
    let note = match oldest {
        Some(oldest) => shell.texts.with("figure_journal_note", &[("bytes", &bytes(usage.bytes)), ("oldest", &oldest)]),
        None => bytes(usage.bytes),
    };
    vec![
        Figure {
            name: shell.t("figure_failures"),
            value: grouped(failures),
            unit: "",
            note: shell.texts.number("figure_last_minute", minute),
            spark: Spark::of_counts(sums, if failures > 0 { Tone::Bad } else { Tone::Good }),
        },
        Figure {
            name: shell.t("figure_journal"),
            value: grouped(usage.entries),
            unit: "",
            note,
            spark: Spark::of_counts(day, Tone::Plain),
        },
    ]
}

/// Writes a number of bytes with its unit.
fn bytes(n: u64) -> String {
    match n {
        0..1_024 => format!("{n} B"),
        1_024..1_048_576 => format!("{} KiB", n / 1_024),
        1_048_576..1_073_741_824 => format!("{} MiB", n / 1_048_576),
        _ => format!("{:.1} GiB", n as f64 / 1_073_741_824.0),
    }
}

/// Returns what the headline says, and how bad it is.
fn headline(shell: &Shell<'_>, failing: Option<&[Failing]>, backends: &[BackendView], errors: f64) -> (&'static str, String) {
    let is_known = failing.is_some();
    let failing = failing.unwrap_or_default();
    let urgent = failing.iter().filter(|failing| failing.rank.0 > 0).count() as u64;
    let down = backends.iter().filter(|backend| backend.class == "bad").count() as u64;
    if down > 0 {
        return ("bad", shell.texts.number("health_backends_down", down));
    }
    if urgent > 0 {
        return (if errors >= 0.05 { "bad" } else { "warn" }, shell.texts.number("health_need_a_look", urgent));
    }
    if backends.iter().any(|backend| backend.class != "good") {
        return ("warn", shell.t("health_some_degraded").to_owned());
    }
    if !is_known {
        return ("warn", shell.t("health_journal_failed").to_owned());
    }
    if failing.is_empty() { ("good", shell.t("health_quiet").to_owned()) } else { ("good", shell.t("health_nothing_new").to_owned()) }
}

fn notes(shell: &Shell<'_>, running: &Running, failing: &[Failing], backends: &[BackendView]) -> Vec<String> {
    let mut notes = Vec::new();
    let new = failing.iter().filter(|failing| failing.rank.0 == 2).count() as u64;
    if new > 0 {
        notes.push(shell.texts.number("note_new", new));
    }
    let degraded = backends.iter().filter(|backend| backend.class != "good").count();
    if !backends.is_empty() {
        let (degraded, all) = (degraded.to_string(), backends.len().to_string());
        let key = if degraded == "0" { "note_backends_good" } else { "note_backends" };
        notes.push(shell.texts.with(key, &[("degraded", &degraded), ("all", &all)]));
    }
    if running.configuration.since > 0 {
        let since = time::day_and_clock(running.configuration.since);
        notes.push(shell.texts.with("note_configuration", &[("version", &short(&running.configuration.version)), ("since", &since)]));
    }
    if running.configuration.reload.as_ref().is_some_and(|reload| reload.outcome == "rejected") {
        notes.push(shell.t("note_reload_rejected").to_owned());
    }
    notes
}

/// Returns the first characters of a version.
pub(super) fn short(version: &str) -> String {
    version.chars().take(12).collect()
}

pub(super) fn page(shell: &Shell<'_>, sources: &Sources<'_>) -> Result<Answer, Refusal> {
    // Backends, rates and limits are told whatever the journal says.
    let (told, failure) = match sources.store.map(|store| told(store, shell)) {
        None => (Some(Told::default()), String::new()),
        Some(Ok(told)) => (Some(told), String::new()),
        Some(Err(Refusal::Store(why))) => (None, why),
        Some(Err(refusal)) => return Err(refusal),
    };
    let backends: Vec<BackendView> = sources.gateway.backends.iter().map(|backend| backend_view(backend, shell)).collect();
    let errors = sources.traffic.recent(5 * 60_000).map_or(0.0, |recent| recent.errors);
    let (health, title) = headline(shell, told.as_ref().map(|told| told.failing.as_slice()), &backends, errors);
    let mut figures = traffic_figures(shell, sources);
    if let Some(told) = told.as_ref().filter(|_| sources.store.is_some()) {
        figures.extend(journal_figures(shell, told));
    }
    let has_entries = told.as_ref().is_some_and(|told| told.usage.entries > 0);
    let mut failing = told.map(|told| told.failing).unwrap_or_default();
    let notes = notes(shell, sources.gateway, &failing, &backends);
    failing.truncate(MAX_SHOWN);
    shell::render(&Page {
        shell,
        active: "overview",
        title,
        health,
        notes,
        figures,
        failing,
        has_store: sources.store.is_some(),
        has_entries,
        failure,
        backends,
        limits: pressure(sources.gateway, sources.traffic),
        limits_defined: sources.gateway.limits.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_rises_if_the_last_minutes_are_clearly_more() {
        let sums = |before: u64, recent: u64| [vec![before; 50], vec![recent; 10]].concat();
        assert!(is_rising(&sums(0, 1)) && is_rising(&sums(2, 5)));
        assert!(!is_rising(&sums(2, 4)) && !is_rising(&sums(0, 0)) && !is_rising(&[]));
    }

    #[test]
    fn figures_have_as_many_digits_as_one_reads() {
        assert_eq!([0.034, 12.34, 1482.4].map(rate), ["0.03", "12.3", "1,482"]);
        assert_eq!([5, 2_048, 3 << 20, 3 << 30].map(bytes), ["5 B", "2 KiB", "3 MiB", "3.0 GiB"]);
    }
}
