//! One group: its trend, what changed, where it occurs, and its last occurrences.

use std::collections::BTreeMap;

use askama::Template;

use super::answer::Answer;
use super::ask::{Query, decoded, encoded, link};
use super::body::visible;
use super::chart::{Bars, By, RANGES, Range, range_key};
use super::groups::Tab;
use super::language::grouped;
use super::overview::short;
use super::parts::{Chip, Row, title_of};
use super::shell::{self, Shell};
use super::sources::{Refusal, Sources};
use super::time::{Ago, At};
use crate::journal::query::{Filter, Group, GroupState, ListQuery, Summary};

/// The occurrences that tell where a group occurs.
const SAMPLE: usize = 200;
/// The occurrences that are shown.
const MAX_SHOWN: usize = 15;
/// The most lines of a list of shares.
const MAX_SHARES: usize = 6;

/// A share of the occurrences.
struct Share {
    name: String,
    count: String,
    width: String,
    href: String,
}

/// A list of shares.
struct Shares {
    title: &'static str,
    all: Vec<Share>,
}

/// A state that can be set.
struct Button {
    state: &'static str,
    text: &'static str,
    help: &'static str,
    is_main: bool,
}

#[derive(Template)]
#[template(path = "page/group.html")]
struct Page<'a> {
    shell: &'a Shell<'a>,
    active: &'static str,
    title: String,
    fingerprint: String,
    chip: Chip,
    code: String,
    reason: String,
    exception: String,
    route: String,
    backend: String,
    count: String,
    first: Ago,
    first_at: At,
    last: Ago,
    config: String,
    is_current_config: bool,
    current_since: Option<Ago>,
    ranges: Vec<Tab>,
    divisions: Vec<Tab>,
    bars: Bars,
    shares: Vec<Shares>,
    sampled: usize,
    rows: Vec<Row>,
    all_href: String,
    action: String,
    buttons: Vec<Button>,
}

fn shares<'s>(summaries: &'s [Summary], title: &'static str, key: &str, what: impl Fn(&'s Summary) -> String) -> Shares {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for summary in summaries {
        *counts.entry(what(summary)).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().filter(|(name, _)| !name.is_empty()).collect();
    counts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let share = |(name, count): (String, usize)| Share {
        count: format!("{:.0} %", 100.0 * count as f64 / summaries.len().max(1) as f64),
        width: format!("{:.1}%", 100.0 * count as f64 / summaries.len().max(1) as f64),
        href: if key.is_empty() { String::new() } else { format!("/errors?{key}={}", encoded(&name)) },
        name: visible(&name),
    };
    Shares { title, all: counts.into_iter().take(MAX_SHARES).map(share).collect() }
}

fn buttons(state: GroupState, shell: &Shell<'_>) -> Vec<Button> {
    let button = |to: GroupState, text, help, is_main| Button { state: to.word(), text: shell.t(text), help: shell.t(help), is_main };
    let resolve = |is_main| button(GroupState::Resolved, "action_resolve", "action_resolve_help", is_main);
    let know = |is_main| button(GroupState::Known, "action_know", "action_know_help", is_main);
    let mute = button(GroupState::Muted, "action_mute", "action_mute_help", false);
    match state {
        GroupState::New | GroupState::Regressed => vec![know(true), resolve(false), mute],
        GroupState::Known => vec![resolve(true), mute],
        GroupState::Resolved => vec![button(GroupState::Known, "action_reopen", "action_reopen_help", false)],
        GroupState::Muted => vec![button(GroupState::Known, "action_unmute", "action_unmute_help", false), resolve(false)],
    }
}

fn choices(shell: &Shell<'_>, path: &str, query: &Query) -> (Vec<Tab>, Vec<Tab>) {
    let base = query.without(&["lang"]);
    let (range, by) = (Range::of(query.get("range")), By::of(query.get("by")));
    let ranges = RANGES.map(|one| Tab {
        text: shell.t(range_key(one)).to_owned(),
        href: link(path, &base.with("range", Some(one.word))),
        is_current: one == range,
    });
    let divisions = [(By::Status, "by_status", "status"), (By::Backend, "by_backend", "backend")].map(|(one, key, word)| Tab {
        text: shell.t(key).to_owned(),
        href: link(path, &base.with("by", Some(word))),
        is_current: one == by,
    });
    (ranges.into(), divisions.into())
}

/// Returns a path with `…` in the place of segments that are numbers or ids.
fn shape(path: &str) -> String {
    let is_id = |segment: &str| {
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        digits > 0
            && (digits == segment.len() || (segment.len() >= 8 && segment.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')))
    };
    path.split('/').map(|segment| if is_id(segment) { "…" } else { segment }).collect::<Vec<_>>().join("/")
}

fn where_it_occurs(shell: &Shell<'_>, sample: &[Summary]) -> Vec<Shares> {
    let all = [
        shares(sample, shell.t("shares_routes"), "route", |summary| summary.route.clone()),
        shares(sample, shell.t("shares_endpoints"), "endpoint", |summary| summary.endpoint.clone().unwrap_or_default()),
        shares(sample, shell.t("shares_received"), "", |summary| summary.received.map(|status| status.to_string()).unwrap_or_default()),
        shares(sample, shell.t("shares_paths"), "", |summary| shape(&summary.path)),
    ];
    all.into_iter().filter(|shares| !shares.all.is_empty()).collect()
}

pub(super) fn page(shell: &Shell<'_>, sources: &Sources<'_>, segment: &str, query: &Query) -> Result<Answer, Refusal> {
    let fingerprint = decoded(segment);
    let store = sources.store.ok_or(Refusal::NotFound)?;
    let group: Group = store.group(&fingerprint)?.ok_or(Refusal::NotFound)?;
    let filter = Filter { group: Some(group.fingerprint.clone()), ..Filter::default() };
    let sample = store.list(&ListQuery { filter, after: None, limit: SAMPLE })?.items;
    let path = format!("/groups/{}", encoded(&group.fingerprint));
    let (ranges, divisions) = choices(shell, &path, query);
    let range = Range::of(query.get("range"));
    let counts = range.counts(store, Some(&group.fingerprint), shell.now)?;
    let bars = Bars::new(&counts, range, By::of(query.get("by")), shell.now, Some((group.first_seen, shell.t("first_seen"))), shell.texts);
    let configuration = &sources.gateway.configuration;
    shell::render(&Page {
        shell,
        active: "groups",
        title: title_of(&group, shell),
        chip: Chip::of_state(group.state, shell.texts),
        code: visible(&group.code),
        reason: visible(&group.reason.replace('_', " ")),
        exception: group.exception.as_deref().filter(|_| shell.shows_originals()).map(visible).unwrap_or_default(),
        route: visible(&group.route),
        backend: visible(&group.backend),
        count: grouped(group.count),
        first: Ago::new(group.first_seen, shell.now, shell.texts),
        first_at: At::new(group.first_seen),
        last: Ago::new(group.last_seen, shell.now, shell.texts),
        config: visible(&short(&group.first_config)),
        is_current_config: !group.first_config.is_empty() && group.first_config == configuration.version,
        current_since: (configuration.since > 0).then(|| Ago::new(configuration.since, shell.now, shell.texts)),
        ranges,
        divisions,
        bars,
        shares: where_it_occurs(shell, &sample),
        sampled: sample.len(),
        rows: sample.iter().take(MAX_SHOWN).map(|summary| Row::new(summary, shell)).collect(),
        all_href: format!("/errors?group={}", encoded(&group.fingerprint)),
        action: path,
        buttons: if shell.may_change() { buttons(group.state, shell) } else { Vec::new() },
        fingerprint: visible(&group.fingerprint),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_paths_are_left_out() {
        assert_eq!(shape("/orders/42/items"), "/orders/…/items");
        assert_eq!(shape("/a/01a2224e-105a-7b24-98a2-3308e5110632.jpg"), "/a/01a2224e-105a-7b24-98a2-3308e5110632.jpg");
        assert_eq!(shape("/a/01a2224e-105a-7b24/deadbeef/v2"), "/a/…/deadbeef/v2");
    }
}
