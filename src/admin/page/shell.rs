//! What all pages have in common: navigation, search, language, and the page that says why there is no other.
//!
//! Knows no content.

use askama::Template;
use http::StatusCode;

use super::super::role::Role;
use super::answer::Answer;
use super::ask::{Ask, Query, link};
use super::assets::{ASSETS, Assets};
use super::language::{self, Catalogue};
use super::sources::{Refusal, Sources};
use crate::journal::entry::Millis;

/// An entry of the navigation: the word that marks it as current, the key of its text, its link, and the key of the keyboard.
const NAVIGATION: [(&str, &str, &str, &str); 5] = [
    ("overview", "nav_overview", "/", "o"),
    ("groups", "nav_groups", "/groups", "g"),
    ("errors", "nav_errors", "/errors", "e"),
    ("routes", "nav_routes", "/routes", "r"),
    ("configuration", "nav_configuration", "/configuration", "c"),
];

/// A language to choose.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) tag: &'static str,
    pub(super) name: &'static str,
    pub(super) href: String,
    pub(super) is_current: bool,
}

/// An entry of the navigation.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) word: &'static str,
    pub(super) text: &'static str,
    pub(super) href: &'static str,
    pub(super) key: &'static str,
}

/// What all pages have in common.
pub(super) struct Shell<'a> {
    pub(super) texts: &'static Catalogue,
    pub(super) assets: &'static Assets,
    pub(super) role: Role,
    pub(super) csrf: &'a str,
    pub(super) has_session: bool,
    pub(super) now: Millis,
    pub(super) search: String,
    pub(super) languages: Vec<Choice>,
    pub(super) version: &'static str,
    pub(super) gateway: String,
}

impl<'a> Shell<'a> {
    pub(super) fn new(ask: &Ask<'a>, query: &Query, sources: &Sources<'_>) -> Self {
        let texts = Catalogue::of(ask.cookie, ask.accept_language);
        let choice = |(tag, name)| Choice { tag, name, href: link(ask.path, &query.with("lang", Some(tag))), is_current: tag == texts.tag };
        Self {
            texts,
            assets: &ASSETS,
            role: ask.role,
            csrf: ask.csrf,
            has_session: ask.has_session,
            now: sources.now,
            search: query.owned("q").unwrap_or_default(),
            languages: language::all().map(choice).collect(),
            version: env!("CARGO_PKG_VERSION"),
            gateway: sources.gateway.name.clone(),
        }
    }

    /// Returns a text.
    pub(super) fn t(&self, key: &'static str) -> &'static str {
        self.texts.text(key)
    }

    /// Returns a text with a number.
    pub(super) fn n(&self, key: &str, n: impl std::borrow::Borrow<usize>) -> String {
        self.texts.number(key, *n.borrow() as u64)
    }

    /// Returns true if the client may see what upstreams said.
    pub(super) const fn shows_originals(&self) -> bool {
        self.role.shows_originals()
    }

    /// Returns true if the client may change the state of groups.
    pub(super) const fn may_change(&self) -> bool {
        self.shows_originals() && !self.csrf.is_empty()
    }

    /// Returns what the client is called.
    pub(super) fn role_text(&self) -> &'static str {
        match self.role {
            Role::Operator => self.t("role_operator"),
            Role::Viewer => self.t("role_viewer"),
        }
    }

    pub(super) fn places(&self) -> Vec<Place> {
        NAVIGATION.iter().map(|(word, key, href, shortcut)| Place { word, text: self.texts.text(key), href, key: shortcut }).collect()
    }
}

/// Makes a page of a template.
pub(super) fn render(template: &impl Template) -> Result<Answer, Refusal> {
    Ok(Answer::html(StatusCode::OK, template.render()?))
}

#[derive(Template)]
#[template(path = "page/refusal.html")]
struct RefusalPage<'a> {
    shell: &'a Shell<'a>,
    active: &'static str,
    status: u16,
    title: String,
    help: String,
    detail: &'a str,
}

/// Shows why there is no page. `key` names the texts.
pub(super) fn refusal(shell: &Shell<'_>, status: StatusCode, key: &str, detail: &str) -> Answer {
    let text = |part: &str| shell.texts.with(&format!("refusal_{key}_{part}"), &[]);
    let page = RefusalPage { shell, active: "", status: status.as_u16(), title: text("title"), help: text("help"), detail };
    match page.render() {
        Ok(body) => Answer::html(status, body),
        Err(_) => Answer::html(status, String::new()),
    }
}
