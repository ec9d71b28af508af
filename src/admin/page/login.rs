//! The form to log in, and the page that lets a browser ask once more with its cookie.
//!
//! It is shown to strangers, so it tells nothing of the gateway. Must not know how a token is judged.

use askama::Template;
use http::StatusCode;

use super::answer::{self, Answer};
use super::ask::{Query, link};
use super::assets::{ASSETS, Assets};
use super::language::{self, Catalogue};
use super::shell::Choice;

/// Where the form is.
const PATH: &str = "/login";

/// Why a client is not logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Problem {
    /// The token is wrong.
    Wrong,
    /// The form is not one that this process has made for this client.
    Stale,
    /// There were too many wrong tokens. The next one is looked at after this many seconds.
    Limited(u64),
    /// The system has no random numbers for a session.
    Impossible,
}

/// The form for a client.
#[derive(Clone, Copy, Debug)]
pub(in crate::admin) struct Login<'a> {
    /// `Accept-Language`.
    pub(in crate::admin) accept_language: Option<&'a str>,
    /// `Cookie`.
    pub(in crate::admin) cookie: Option<&'a str>,
    /// The query.
    pub(in crate::admin) query: &'a str,
    /// The page that follows.
    pub(in crate::admin) to: &'a str,
    /// The token that the form repeats.
    pub(in crate::admin) csrf: &'a str,
    /// Why the form is shown again.
    pub(in crate::admin) problem: Option<Problem>,
}

#[derive(Template)]
#[template(path = "page/login.html")]
struct Page<'a> {
    texts: &'static Catalogue,
    assets: &'static Assets,
    languages: Vec<Choice>,
    csrf: &'a str,
    to: &'a str,
    problem: String,
}

#[derive(Template)]
#[template(path = "page/again.html")]
struct AgainPage {
    texts: &'static Catalogue,
    assets: &'static Assets,
    href: String,
}

impl Page<'_> {
    /// Returns a text.
    fn t(&self, key: &'static str) -> &'static str {
        self.texts.text(key)
    }
}

impl AgainPage {
    /// Returns a text.
    fn t(&self, key: &'static str) -> &'static str {
        self.texts.text(key)
    }
}

impl Problem {
    const fn status(self) -> StatusCode {
        match self {
            Self::Wrong | Self::Stale => StatusCode::FORBIDDEN,
            Self::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Impossible => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn text(self, texts: &Catalogue) -> String {
        match self {
            Self::Wrong => texts.text("login_wrong").to_owned(),
            Self::Stale => texts.text("login_stale").to_owned(),
            Self::Limited(seconds) => texts.number("login_limited", seconds),
            Self::Impossible => texts.text("login_impossible").to_owned(),
        }
    }
}

impl Login<'_> {
    /// Keeps the language that the query chooses, if it chooses one.
    pub(in crate::admin) fn language(&self) -> Option<Answer> {
        let query = Query::read(self.query);
        query.get("lang").map(|tag| answer::language(tag, PATH, &query))
    }

    /// Shows the form.
    pub(in crate::admin) fn page(&self) -> Answer {
        let texts = Catalogue::of(self.cookie, self.accept_language);
        let query = Query::read("").with("to", Some(self.to));
        let query = Query::read(&query);
        let choice = |(tag, name)| Choice { tag, name, href: link(PATH, &query.with("lang", Some(tag))), is_current: tag == texts.tag };
        let page = Page {
            texts,
            assets: &ASSETS,
            languages: language::all().map(choice).collect(),
            csrf: self.csrf,
            to: self.to,
            problem: self.problem.map(|problem| problem.text(texts)).unwrap_or_default(),
        };
        let status = self.problem.map_or(StatusCode::OK, Problem::status);
        page.render().map_or_else(|_| Answer::html(StatusCode::INTERNAL_SERVER_ERROR, String::new()), |body| Answer::html(status, body))
    }

    /// Lets the browser ask for the form from a page of this gateway. It then sends the strict cookie that it does not send with a link of
    /// another site, so that a session is found.
    pub(in crate::admin) fn again(&self) -> Answer {
        let query = Query::read("").with("to", Some(self.to));
        let href = link(PATH, &Query::read(&query).with("again", Some("1")));
        let page = AgainPage { texts: Catalogue::of(self.cookie, self.accept_language), assets: &ASSETS, href };
        page.render().map_or_else(|_| self.page(), |body| Answer::html(StatusCode::OK, body))
    }
}
