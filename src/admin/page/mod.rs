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
//! | `export` | an occurrence as cURL, Markdown, JSON and a test case |
//! | `live` | the stream that tells an open page of changes |

mod answer;
mod ask;
mod assets;
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
mod occurrence;
mod overview;
mod parts;
mod routes;
mod shell;
mod sources;
mod stack;
mod time;
pub mod traffic;

use http::{Method, StatusCode};

use self::ask::Query;
use self::shell::Shell;
use self::sources::Refusal;
use super::guard::is_equal;
use crate::journal::query::GroupState;

pub use answer::Answer;
pub use ask::{Ask, Role};
pub use sources::{Actions, Sources};

/// Answers a request for a page. Returns `None` if the path is not that of a page. May wait for the store, so it is called where that is
/// allowed.
///
/// Every page but the assets needs a client that has shown who it is; the caller sees to that, and to requests of other sites.
pub fn respond(ask: &Ask<'_>, sources: &Sources<'_>) -> Option<Answer> {
    if let Some(asset) = assets::find(ask.path) {
        return Some(asset);
    }
    let segments: Vec<&str> = ask.path.trim_matches('/').split('/').collect();
    let query = Query::read(ask.query.unwrap_or_default());
    if let Some(tag) = query.get("lang").filter(|_| ask.method == Method::GET) {
        return Some(answer::language(tag, ask.path, &query));
    }
    let shell = Shell::new(ask, &query, sources);
    let page = match segments.as_slice() {
        [""] => only_get(ask, || overview::page(&shell, sources)),
        ["groups"] => only_get(ask, || groups::page(&shell, sources, &query)),
        ["groups", fingerprint] if ask.method == Method::POST => change(ask, sources, fingerprint),
        ["groups", fingerprint] => only_get(ask, || group::page(&shell, sources, fingerprint, &query)),
        ["errors"] => only_get(ask, || errors::page(&shell, sources, &query)),
        ["errors", id] => only_get(ask, || occurrence(&shell, sources, id)),
        ["routes"] => only_get(ask, || routes::page(&shell, sources)),
        ["configuration"] => only_get(ask, || configuration::page(&shell, sources, &query)),
        _ => return None,
    };
    Some(page.unwrap_or_else(|refusal| refuse(&shell, refusal)))
}

fn only_get(ask: &Ask<'_>, page: impl FnOnce() -> Result<Answer, Refusal>) -> Result<Answer, Refusal> {
    if ask.method == Method::GET || ask.method == Method::HEAD { page() } else { Err(Refusal::Method("GET, HEAD")) }
}

/// Shows an occurrence, or exports it: `ID.json`, `ID.md`, `ID.curl`, `ID.toml`.
fn occurrence(shell: &Shell<'_>, sources: &Sources<'_>, name: &str) -> Result<Answer, Refusal> {
    match name.rsplit_once('.').and_then(|(id, form)| Some((id, export::Form::of_extension(form)?))) {
        Some((id, form)) => export::page(shell, sources, id, form),
        None => occurrence::page(shell, sources, name),
    }
}

/// Changes the state of a group.
fn change(ask: &Ask<'_>, sources: &Sources<'_>, fingerprint: &str) -> Result<Answer, Refusal> {
    let form = Query::read(std::str::from_utf8(ask.form).map_err(|_| Refusal::BadForm)?);
    // No client has an empty token.
    let is_own = !ask.csrf.is_empty() && is_equal(form.get("csrf").unwrap_or_default().as_bytes(), ask.csrf.as_bytes());
    if ask.role != Role::Operator || !is_own {
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
        Refusal::Forbidden => (StatusCode::FORBIDDEN, "forbidden", String::new()),
        Refusal::BadForm => (StatusCode::BAD_REQUEST, "bad_form", String::new()),
        Refusal::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "bad_method", String::new()),
        Refusal::Store(detail) => (StatusCode::SERVICE_UNAVAILABLE, "store_failed", detail.clone()),
        Refusal::Render => (StatusCode::INTERNAL_SERVER_ERROR, "render_failed", String::new()),
    };
    let mut answer = shell::refusal(shell, status, key, &detail);
    if let Refusal::Method(allowed) = refusal {
        answer.headers.push((http::header::ALLOW, http::HeaderValue::from_static(allowed)));
    }
    answer
}
