//! The page of the journal on the admin listener: overview, groups, errors, one occurrence, routes and limits, the configuration.
//!
//! Pages are rendered on the server and work without a script. [`respond`] is the one entry: a request and its sources become an answer.
//! Models are pure functions from what a store and the gateway say to plain structs; templates (`templates/page`) show them. What came from
//! outside is shown as escaped text only. Must not know how a client has shown who it is, and must not contact backends.
//!
//! | file | purpose |
//! |---|---|
//! | `ask`, `answer` | the request, and the response with its `Content-Security-Policy` |
//! | `sources` | where pages get their content, and why there may be none |
//! | `shell` | what all pages have in common: navigation, language, search |
//! | `language` | the texts (`languages/*.toml`) |
//! | `assets` | style sheet, script and icon, by the hash of their content |
//! | `time`, `chart`, `parts` | times, charts and other small parts of pages |
//! | `gateway`, `traffic` | what runs, and how much it serves |
//! | `overview`, `groups`, `group`, `errors`, `occurrence`, `routes`, `configuration` | one page each |
//! | `body`, `stack`, `attempts` | parts of an occurrence |
//! | `login` | the form to log in |
//! | `export`, `test_case` | an occurrence as cURL, Markdown, JSON and a test case |
//! | `live` | the stream that tells an open page of changes |

mod answer;
mod ask;
pub(super) mod assets;
mod attempts;
mod body;
mod chart;
mod configuration;
mod errors;
mod export;
pub mod gateway;
mod group;
mod groups;
mod language;
pub mod live;
mod login;
mod occurrence;
mod overview;
mod parts;
mod routes;
mod shell;
mod sources;
mod stack;
mod test_case;
mod time;
pub mod traffic;

use http::StatusCode;

use self::ask::Query;
use self::shell::Shell;
use self::sources::Refusal;
use super::guard::is_equal;
use super::table::{self, Open, Page, People};
use crate::journal::query::GroupState;

pub use super::role::Role;
pub use answer::Answer;
pub(super) use answer::see_other;
pub use ask::Ask;
pub(super) use login::{Login, Problem};
pub(super) use parts::public_title;
pub use sources::{Actions, Sources};

/// Answers a request for a page. Returns `None` if the path is not that of a page. May wait for the store, so it is called where that is
/// allowed.
///
/// Every page but the assets needs a client that has shown who it is; the caller sees to that, and to requests of other sites. What the role
/// of the client permits is decided here.
pub fn respond(ask: &Ask<'_>, sources: &Sources<'_>) -> Option<Answer> {
    let found = table::find(ask.path)?;
    let query = Query::read(ask.query.unwrap_or_default());
    let shell = Shell::new(ask, &query, sources);
    let Some(row) = found.row(ask.method.as_str()) else {
        return found.is_for_people().then(|| refuse(&shell, Refusal::Method(found.allow())));
    };
    let page = match row.page {
        Page::Open(Open::Asset) => return assets::find(ask.path),
        Page::Open(_) | Page::Program(..) => return None,
        Page::People(_, needed) if !ask.role.may_use(needed) => return Some(refuse(&shell, Refusal::Forbidden)),
        Page::People(page, _) => page,
    };
    if let Some(tag) = query.get("lang").filter(|_| row.method == "GET") {
        return Some(answer::language(tag, ask.path, &query));
    }
    let name = table::last_segment(ask.path);
    let page = match page {
        People::Overview => overview::page(&shell, sources),
        People::Groups => groups::page(&shell, sources, &query),
        People::Group => group::page(&shell, sources, name, &query),
        People::SetState => change(ask, sources, name),
        People::Errors => errors::page(&shell, sources, &query),
        People::Occurrence => occurrence::page(&shell, sources, name),
        People::Export => export::page(&shell, sources, name),
        People::Routes => routes::page(&shell, sources),
        People::Configuration => configuration::page(&shell, sources, &query),
        // The caller has the sessions.
        People::LogOut => return None,
    };
    Some(page.unwrap_or_else(|refusal| refuse(&shell, refusal)))
}

/// Returns true if a form repeats the token of its client. No client has an empty one.
fn is_own(form: &Query, csrf: &str) -> bool {
    !csrf.is_empty() && is_equal(form.get("csrf").unwrap_or_default().as_bytes(), csrf.as_bytes())
}

/// Returns true if the body of a form repeats the token of its client.
pub(super) fn has_own_token(form: &[u8], csrf: &str) -> bool {
    std::str::from_utf8(form).is_ok_and(|form| is_own(&Query::read(form), csrf))
}

/// Changes the state of a group.
fn change(ask: &Ask<'_>, sources: &Sources<'_>, fingerprint: &str) -> Result<Answer, Refusal> {
    let form = Query::read(std::str::from_utf8(ask.form).map_err(|_| Refusal::BadForm)?);
    if !is_own(&form, ask.csrf) {
        return Err(Refusal::Forbidden);
    }
    let state = form.get("state").and_then(GroupState::of_word).ok_or(Refusal::BadForm)?;
    match sources.actions.set_state(fingerprint, state)? {
        true => Ok(answer::see_other(&format!("/groups/{}", ask::encoded(fingerprint)))),
        false => Err(Refusal::NotFound),
    }
}

/// Shows why there is no page.
fn refuse(shell: &Shell<'_>, refusal: Refusal) -> Answer {
    let (status, key, detail) = match &refusal {
        Refusal::NotFound => (StatusCode::NOT_FOUND, "not_found", String::new()),
        Refusal::NoTestCase => (StatusCode::NOT_FOUND, "no_test_case", String::new()),
        Refusal::Forbidden => (StatusCode::FORBIDDEN, "forbidden", String::new()),
        Refusal::BadForm => (StatusCode::BAD_REQUEST, "bad_form", String::new()),
        Refusal::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "bad_method", String::new()),
        Refusal::Store(detail) => (StatusCode::SERVICE_UNAVAILABLE, "store_failed", detail.clone()),
        Refusal::Render => (StatusCode::INTERNAL_SERVER_ERROR, "render_failed", String::new()),
    };
    let mut answer = shell::refusal(shell, status, key, &detail);
    if let Refusal::Method(allowed) = refusal {
        answer.headers.extend(http::HeaderValue::try_from(allowed).ok().map(|allowed| (http::header::ALLOW, allowed)));
    }
    answer
}
