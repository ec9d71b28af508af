//! The way in and out for browsers: the form to log in, the session that follows, and its end.
//!
//! Must not know what pages show.

use std::time::{Duration, Instant};

use http::header;

use super::attempts::{Attempts, Verdict};
use super::audit::{self, Act};
use super::client::{self, By, Client, Signs};
use super::guard;
use super::page::{Answer, Login, Problem, has_own_token, see_other};
use super::session::{Session, Sessions, random};
use super::table;
use crate::observe::login_metrics::LoginOutcome;
use crate::plan::Plan;

/// How long a form to log in may be used.
const FORM_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The longest address that a login leads back to, in bytes.
const MAX_TARGET: usize = 2048;
/// The length of the random text of a form, in hexadecimal digits.
const NONCE: usize = 64;

/// The sessions, and the attempts to open one.
#[derive(Debug, Default)]
pub(super) struct Entrance {
    pub(super) sessions: Sessions,
    pub(super) attempts: Attempts,
}

/// A request for the form, or one that it has sent.
pub(super) struct Visit<'v> {
    pub(super) entrance: &'v Entrance,
    pub(super) signs: &'v Signs<'v>,
    pub(super) plan: &'v Plan,
    pub(super) query: &'v str,
    pub(super) now: Instant,
}

fn field(form: &str, name: &str) -> String {
    form_urlencoded::parse(form.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Returns the page that follows a login: the one that was asked for, if it is one of this gateway for people, else the first.
fn target(asked: &str) -> &str {
    let path = asked.split(['?', '#']).next().unwrap_or_default();
    let is_plain = asked.len() <= MAX_TARGET && asked.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'\\');
    let row = table::find(path).and_then(|found| found.row("GET"));
    if is_plain && row.is_some_and(table::Row::is_for_people) { asked } else { "/" }
}

/// Returns where a stranger logs in who asked for this.
pub(super) fn way_in(asked: &str) -> Answer {
    let to = target(asked);
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("to", to).finish();
    see_other(&if to == "/" { "/login".to_owned() } else { format!("/login?{query}") })
}

impl Visit<'_> {
    fn login<'l>(&'l self, to: &'l str, csrf: &'l str, problem: Option<Problem>) -> Login<'l> {
        let text = |name: header::HeaderName| self.signs.headers.get(name).and_then(|value| value.to_str().ok());
        Login { accept_language: text(header::ACCEPT_LANGUAGE), cookie: text(header::COOKIE), query: self.query, to, csrf, problem }
    }

    /// Shows the form. Its token is signed, and belongs to a random text in a cookie, so no other site can send it.
    fn form(&self, to: &str, problem: Option<Problem>) -> Answer {
        let known = self.signs.form().filter(|nonce| nonce.len() == NONCE).map(str::to_owned);
        let made = known.or_else(random).and_then(|nonce| Some((self.entrance.sessions.form_token(&nonce)?, nonce)));
        let Some((csrf, nonce)) = made else { return self.login(to, "", Some(Problem::Impossible)).page() };
        let mut answer = self.login(to, &csrf, problem).page();
        answer.headers.extend(self.signs.set_form(Some(&nonce), FORM_LIFETIME).map(|cookie| (header::SET_COOKIE, cookie)));
        if let Some(Problem::Limited(seconds)) = problem {
            answer.headers.push((header::RETRY_AFTER, seconds.into()));
        }
        answer
    }

    /// Answers a request for the form.
    pub(super) fn show(&self) -> Answer {
        let Some(tokens) = client::tokens(self.plan) else { return see_other("/") };
        let asked = field(self.query, "to");
        let to = target(&asked);
        let login = self.login(to, "", None);
        if let Some(answer) = login.language() {
            return answer;
        }
        match self.signs.session() {
            Some(id) if self.entrance.sessions.find(id, tokens, self.now, self.plan.listen.admin_session).is_some() => see_other(to),
            None if guard::is_from_elsewhere(self.signs.headers) && field(self.query, "again").is_empty() => login.again(),
            Some(_) | None => self.form(to, None),
        }
    }

    /// Answers the form.
    pub(super) fn log_in(&self, form: &[u8]) -> Answer {
        let Some(tokens) = client::tokens(self.plan) else { return see_other("/") };
        let form = std::str::from_utf8(form).unwrap_or_default();
        let (asked, given) = (field(form, "to"), field(form, "token"));
        let to = target(&asked);
        let expected = self.signs.form().and_then(|nonce| self.entrance.sessions.form_token(nonce)).unwrap_or_default();
        if !has_own_token(form.as_bytes(), &expected) {
            return self.form(to, Some(Problem::Stale));
        }
        // A browser, or whoever copies a token, may add white space; no token begins or ends with it.
        let compare = || tokens.role_of(given.trim().as_bytes());
        let verdict = self.entrance.attempts.judge(self.signs.address, self.now, compare);
        count(self.plan, &verdict);
        match verdict {
            Verdict::Right(role) => match self.entrance.sessions.open(role, tokens, self.now) {
                Some((id, session)) => self.welcome(&id, session, to),
                None => self.form(to, Some(Problem::Impossible)),
            },
            Verdict::Wrong { is_last } => {
                audit::write_failure(self.signs.address, true, is_last);
                self.form(to, Some(Problem::Wrong))
            }
            Verdict::Limited(wait) => self.form(to, Some(Problem::Limited(seconds(wait)))),
        }
    }

    fn welcome(&self, id: &str, session: Session, to: &str) -> Answer {
        // A session that the browser had before would stay open for nobody.
        if let Some(before) = self.signs.session() {
            self.entrance.sessions.close(before);
        }
        let client = Client { role: session.role, by: By::Session(session.name), address: self.signs.address, csrf: None };
        audit::write(&client, Act::LoggedIn);
        let mut answer = see_other(to);
        let cookies = [self.signs.set_session(Some(id), self.plan.listen.admin_session), self.signs.set_form(None, FORM_LIFETIME)];
        answer.headers.extend(cookies.into_iter().flatten().map(|cookie| (header::SET_COOKIE, cookie)));
        answer
    }

    /// Ends the session of a client whose form has the right token.
    pub(super) fn log_out(&self, client: &Client) -> Answer {
        let mut answer = see_other("/login");
        if self.signs.session().is_some_and(|id| self.entrance.sessions.close(id)) {
            audit::write(client, Act::LoggedOut);
        }
        answer.headers.extend(self.signs.set_session(None, Duration::ZERO).map(|cookie| (header::SET_COOKIE, cookie)));
        answer
    }
}

/// Counts an attempt.
fn count<T>(plan: &Plan, verdict: &Verdict<T>) {
    plan.metrics.logins.record(match verdict {
        Verdict::Right(_) => LoginOutcome::Succeeded,
        Verdict::Wrong { .. } => LoginOutcome::Failed,
        Verdict::Limited(_) => LoginOutcome::Limited,
    });
}

/// Returns a wait in whole seconds, at least one.
pub(super) fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_pages_of_this_gateway_only() {
        for good in ["/", "/errors", "/errors?route=a&q=b", "/errors/01a2.md", "/groups/abc#rows", "/configuration?show=all"] {
            assert_eq!(target(good), good);
        }
        let long = format!("/errors?q={}", "x".repeat(MAX_TARGET));
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example/errors",
            "/errors/../..//evil.example",
            "javascript:alert(1)",
            "/%2f/evil.example",
            "errors",
            "/login",
            "/logout",
            "/login?to=/errors",
            "/metrics",
            "/config",
            "/nope",
            "/errors?a=b\r\nSet-Cookie: a=b",
            "/errors?\u{e9}",
            " /errors",
            "/errors\t",
            "//errors",
            "/errors?a=\\b",
            &long,
        ] {
            assert_eq!(target(bad), "/", "{bad}");
        }
    }
}
