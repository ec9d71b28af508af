//! The list of groups by state.

use askama::Template;

use super::answer::Answer;
use super::ask::{Query, encoded, link};
use super::body::visible;
use super::chart::{RANGES, Spark, Tone};
use super::language::grouped;
use super::parts::{Chip, state_key, title_of};
use super::shell::{self, Shell};
use super::sources::{Refusal, Sources};
use super::time::Ago;
use crate::journal::query::{Group, GroupOrder, GroupQuery, GroupState};
use crate::journal::store::Store;

/// The groups on a page.
const PER_PAGE: usize = 25;
/// The most pages that are skipped.
const MAX_PAGES: usize = 1_000;

/// A link among several, one of which is current.
#[derive(Debug)]
pub(super) struct Tab {
    pub(super) text: String,
    pub(super) href: String,
    pub(super) is_current: bool,
}

/// A group.
struct Row {
    chip: Chip,
    href: String,
    title: String,
    route: String,
    backend: String,
    code: String,
    spark: Spark,
    count: String,
    first: Ago,
    last: Ago,
}

#[derive(Template)]
#[template(path = "page/groups.html")]
struct Page<'a> {
    shell: &'a Shell<'a>,
    active: &'static str,
    title: &'static str,
    tabs: Vec<Tab>,
    orders: Vec<Tab>,
    rows: Vec<Row>,
    newer: String,
    older: String,
    has_store: bool,
    is_filtered: bool,
}

fn states(word: Option<&str>) -> Vec<GroupState> {
    match word {
        Some("all") => Vec::new(),
        Some(word) => GroupState::of_word(word).into_iter().collect(),
        None => vec![GroupState::New, GroupState::Regressed],
    }
}

fn order(word: Option<&str>) -> GroupOrder {
    match word {
        Some("first") => GroupOrder::FirstSeen,
        Some("count") => GroupOrder::Count,
        _ => GroupOrder::LastSeen,
    }
}

/// Returns a word with a capital letter in front, where its script has them.
fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn tabs(shell: &Shell<'_>, query: &Query, current: Option<&str>) -> Vec<Tab> {
    let base = query.without(&["page", "lang"]);
    let tab = |word: Option<&str>, text: &str| Tab {
        text: capitalized(text),
        href: link("/groups", &base.with("state", word)),
        is_current: word == current,
    };
    let mut all = vec![tab(None, shell.t("tab_need_a_look"))];
    let others = [GroupState::Known, GroupState::Muted, GroupState::Resolved];
    all.extend(others.map(|state| tab(Some(state.word()), shell.t(state_key(state)))));
    all.push(tab(Some("all"), shell.t("tab_all")));
    all
}

fn orders(shell: &Shell<'_>, query: &Query) -> Vec<Tab> {
    let base = query.without(&["page", "lang"]);
    let current = query.get("order");
    let one = |(word, key): (Option<&'static str>, &'static str)| Tab {
        text: shell.t(key).to_owned(),
        href: link("/groups", &base.with("order", word)),
        is_current: word == current,
    };
    [(None, "order_last"), (Some("first"), "order_first"), (Some("count"), "order_count")].map(one).into()
}

fn row(group: &Group, store: &dyn Store, shell: &Shell<'_>) -> Result<Row, Refusal> {
    let range = RANGES[1];
    let sums = range.sums(&range.counts(store, Some(&group.fingerprint), shell.now)?, shell.now);
    let tone = match group.state {
        GroupState::New | GroupState::Regressed => Tone::Bad,
        GroupState::Known | GroupState::Muted => Tone::Plain,
        GroupState::Resolved => Tone::Good,
    };
    Ok(Row {
        chip: Chip::of_state(group.state, shell.texts),
        href: format!("/groups/{}", encoded(&group.fingerprint)),
        title: title_of(group, shell),
        route: visible(&group.route),
        backend: visible(&group.backend),
        code: visible(&group.code),
        spark: Spark::of_counts(&sums, tone),
        count: grouped(group.count),
        first: Ago::new(group.first_seen, shell.now, shell.texts),
        last: Ago::new(group.last_seen, shell.now, shell.texts),
    })
}

pub(super) fn page(shell: &Shell<'_>, sources: &Sources<'_>, query: &Query) -> Result<Answer, Refusal> {
    let at = query.get("page").and_then(|page| page.parse::<usize>().ok()).unwrap_or(0).min(MAX_PAGES);
    let state = query.get("state");
    let asked = GroupQuery {
        states: states(state),
        route: query.owned("route"),
        backend: query.owned("backend"),
        order: order(query.get("order")),
        after: None,
        offset: at * PER_PAGE,
        limit: PER_PAGE + 1,
        since: None,
    };
    let (mut rows, has_store) = match sources.store {
        Some(store) => (store.groups(&asked)?.iter().map(|group| row(group, store, shell)).collect::<Result<Vec<_>, _>>()?, true),
        None => (Vec::new(), false),
    };
    let has_more = rows.len() > PER_PAGE;
    rows.truncate(PER_PAGE);
    let to = |at: usize| link("/groups", &query.with("page", (at > 0).then(|| at.to_string()).as_deref()));
    shell::render(&Page {
        shell,
        active: "groups",
        title: shell.t("nav_groups"),
        tabs: tabs(shell, query, state),
        orders: orders(shell, query),
        rows,
        newer: if at > 0 { to(at - 1) } else { String::new() },
        older: if has_more { to(at + 1) } else { String::new() },
        has_store,
        is_filtered: state.is_some(),
    })
}
