//! The list of errors with filters and search.

use askama::Template;

use super::answer::{self, Answer};
use super::ask::{Query, encoded, link};
use super::body::visible;
use super::parts::Row;
use super::shell::{self, Shell};
use super::sources::{Refusal, Sources};
use crate::journal::entry::Millis;
use crate::journal::query::{Cursor, Filter, ListQuery};
use crate::journal::store::Store;

/// The errors on a page.
const PER_PAGE: usize = 50;

/// A value to choose.
struct Choice {
    value: String,
    text: String,
    is_current: bool,
}

/// A filter that is set, and the list without it.
struct Set {
    name: &'static str,
    value: String,
    href: String,
}

#[derive(Template)]
#[template(path = "page/errors.html")]
struct Page<'a> {
    shell: &'a Shell<'a>,
    active: &'static str,
    title: &'static str,
    rows: Vec<Row>,
    routes: Vec<Choice>,
    backends: Vec<Choice>,
    statuses: Vec<Choice>,
    times: Vec<Choice>,
    set: Vec<Set>,
    kept: Vec<(&'static str, String)>,
    older: String,
    first: String,
    has_store: bool,
    has_entries: bool,
    says_only_ids: bool,
}

/// The stretches of time to choose: word, key of the text, milliseconds.
const TIMES: [(&str, &str, Millis); 4] =
    [("1h", "range_1h", 3_600_000), ("24h", "range_24h", 86_400_000), ("7d", "range_7d", 604_800_000), ("30d", "range_30d", 2_592_000_000)];

/// Reads statuses: `502`, `5xx`, `400-499`.
fn statuses(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx").and_then(|class| class.parse::<u16>().ok()).filter(|class| (1..=5).contains(class)) {
        return Some((class * 100, class * 100 + 99));
    }
    match text.split_once('-') {
        Some((from, to)) => Some((from.parse().ok()?, to.parse().ok()?)),
        None => text.parse().ok().map(|status| (status, status)),
    }
}

/// Returns the filter of a query. Words and exceptions are matched against what upstreams said, so a viewer cannot ask for them.
fn filter(query: &Query, now: Millis, shows_originals: bool) -> Filter {
    let since = query.get("since").and_then(|word| TIMES.iter().find(|(known, ..)| *known == word));
    Filter {
        since: since.map(|(.., span)| now.saturating_sub(*span)),
        until: None,
        route: query.owned("route"),
        backend: query.owned("backend"),
        endpoint: query.owned("endpoint"),
        status: query.get("status").and_then(statuses),
        code: query.owned("code"),
        reason: query.owned("reason"),
        exception: query.owned("exception").filter(|_| shows_originals),
        group: query.owned("group"),
        text: query.owned("q").filter(|_| shows_originals),
    }
}

/// The parameters that filter, with the keys of their names.
const FILTERS: [(&str, &str); 10] = [
    ("q", "filter_text"),
    ("route", "filter_route"),
    ("backend", "filter_backend"),
    ("endpoint", "filter_endpoint"),
    ("status", "filter_status"),
    ("code", "filter_code"),
    ("reason", "filter_reason"),
    ("exception", "filter_exception"),
    ("group", "filter_group"),
    ("since", "filter_since"),
];

fn choice(value: &str, text: String, current: Option<&str>) -> Choice {
    Choice { value: value.to_owned(), text, is_current: current.unwrap_or_default() == value }
}

/// Returns names to choose, and the one that is chosen even if it is not among them.
fn names(all: impl Iterator<Item = String>, any: &str, current: Option<&str>) -> Vec<Choice> {
    let mut choices = vec![choice("", any.to_owned(), current)];
    choices.extend(all.filter(|name| !name.is_empty()).map(|name| choice(&name, visible(&name), current)));
    if let Some(current) = current.filter(|current| !choices.iter().any(|choice| choice.value == *current)) {
        choices.push(choice(current, visible(current), Some(current)));
    }
    choices
}

/// The parameters that only an operator can filter by.
const OF_OPERATORS: [&str; 2] = ["q", "exception"];

/// Returns the filters that are set and have an effect.
fn set_filters(shell: &Shell<'_>, query: &Query) -> Vec<Set> {
    let base = query.without(&["after", "lang"]);
    let one = |(name, key): (&'static str, &'static str)| {
        let value = query.get(name)?;
        Some(Set { name: shell.t(key), value: visible(value), href: link("/errors", &base.with(name, None)) })
    };
    let applies = |name: &str| shell.shows_originals() || !OF_OPERATORS.contains(&name);
    FILTERS.into_iter().filter(|(name, _)| applies(name)).filter_map(one).collect()
}

pub(super) fn page(shell: &Shell<'_>, sources: &Sources<'_>, query: &Query) -> Result<Answer, Refusal> {
    let after = query.get("after").and_then(Cursor::decode);
    let filter = filter(query, shell.now, shell.shows_originals());
    let (page, has_entries) = match sources.store {
        Some(store) => {
            // What looks like an id is looked up first.
            if let Some(id) =
                query.get("q").filter(|text| text.len() >= 16 && !text.contains(char::is_whitespace)).filter(|_| after.is_none())
                && store.find(id)?.is_some()
            {
                return Ok(answer::see_other(&format!("/errors/{}", encoded(id))));
            }
            (store.list(&ListQuery { filter, after: after.clone(), limit: PER_PAGE })?, store.usage()?.entries > 0)
        }
        None => Default::default(),
    };
    let (route, backend) = (query.get("route"), query.get("backend"));
    let running = sources.gateway;
    let times = TIMES.iter().map(|(word, key, _)| choice(word, shell.texts.text(key).to_owned(), query.get("since")));
    let codes = ["5xx", "4xx", "500", "502", "503", "504"].into_iter().map(str::to_owned);
    shell::render(&Page {
        shell,
        active: "errors",
        title: shell.t("nav_errors"),
        rows: page.items.iter().map(|summary| Row::new(summary, shell)).collect(),
        routes: names(running.routes.iter().map(|route| route.name.clone()), shell.t("any_route"), route),
        backends: names(running.backends.iter().map(|backend| backend.name.clone()), shell.t("any_backend"), backend),
        statuses: names(codes, shell.t("any_status"), query.get("status")),
        times: std::iter::once(choice("", shell.t("any_time").to_owned(), query.get("since"))).chain(times).collect(),
        set: set_filters(shell, query),
        kept: ["endpoint", "code", "reason", "exception", "group"]
            .into_iter()
            .filter_map(|name| Some((name, query.owned(name)?)))
            .collect(),
        older: page.next.map(|next| link("/errors", &query.with("after", Some(&next.encode())))).unwrap_or_default(),
        first: if after.is_some() { link("/errors", &query.with("after", None)) } else { String::new() },
        has_store: sources.store.is_some_and(|_: &dyn Store| true),
        has_entries,
        says_only_ids: !shell.shows_originals() && query.get("q").is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_single_ones_classes_and_stretches() {
        assert_eq!(
            ["502", "5xx", "400-404", "x", "9xx", "1-"].map(statuses),
            [Some((502, 502)), Some((500, 599)), Some((400, 404)), None, None, None]
        );
    }

    #[test]
    fn a_viewer_does_not_search_in_what_upstreams_said() {
        let query = Query::read("q=ORA-00942&exception=SQLException&route=a&since=1h");
        let seen = filter(&query, 4_000_000, false);
        assert_eq!((seen.text, seen.exception, seen.route.as_deref(), seen.since), (None, None, Some("a"), Some(400_000)));
        assert_eq!(filter(&query, 0, true).text.as_deref(), Some("ORA-00942"));
    }
}
