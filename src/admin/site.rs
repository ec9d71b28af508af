//! Serves the pages of the journal: gathers what they show.
//!
//! Must not know how a page is rendered; `page` does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;

use super::audit::Audited;
use super::client::Client;
use super::entrance::Entrance;
use super::page::gateway::Running;
use super::page::live::Changes;
use super::page::traffic::History;
use super::page::{self, Answer, Ask, Sources};
use super::reload::Status;
use super::session::random;
use crate::journal::entry::now;
use crate::journal::{Journal, Store};
use crate::plan::Plan;

/// The largest form, in bytes.
const MAX_FORM: usize = 8 * 1024;
/// The time within which a form must arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(5);

/// What the pages show besides the journal.
#[derive(Debug)]
pub struct Site {
    /// What the gateway has served within the last hour.
    pub traffic: Arc<History>,
    /// Tells open pages of changes.
    pub changes: Changes,
    /// The token that forms of clients without a session repeat. No page of another site knows it. Empty if the system has no random
    /// numbers; then every form is refused.
    csrf: String,
    /// The sessions of browsers.
    pub(super) entrance: Entrance,
    /// The name of this gateway.
    name: String,
}

impl Site {
    /// Creates the site of a gateway with this name.
    pub fn new(name: String, changes: Changes) -> Self {
        Self { traffic: Arc::default(), changes, csrf: random().unwrap_or_default(), name, entrance: Entrance::default() }
    }

    /// Returns the token that forms of a client repeat.
    pub(super) fn csrf<'s>(&'s self, client: &'s Client) -> &'s str {
        client.csrf.as_deref().unwrap_or(&self.csrf)
    }
}

/// What a request for a page is answered from.
pub(super) struct Content {
    pub(super) site: Arc<Site>,
    pub(super) client: Client,
    pub(super) journal: Option<Journal>,
    pub(super) plan: Arc<Plan>,
    pub(super) status: Arc<Status>,
}

/// Reads the body of a form; empty if it is too large or does not arrive in time.
pub(super) async fn form(body: Incoming) -> Bytes {
    let read = tokio::time::timeout(FORM_TIMEOUT, Limited::new(body, MAX_FORM).collect()).await;
    read.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default()
}

/// Answers a request for a page; `None` if there is no such page. May wait for the store.
pub(super) fn respond(content: &Content, request: &Request<()>, form: &[u8]) -> Option<Response<Full<Bytes>>> {
    let Content { site, client, journal, plan, status } = content;
    let uri = request.uri();
    let mut running = Running::of(plan, status, &site.name);
    if uri.path() == "/configuration" {
        running = running.with_values(status);
    }
    let actions = Audited { journal: journal.as_ref(), changes: &site.changes, client };
    let sources = Sources {
        store: journal.as_ref().map(|journal| &**journal.store() as &dyn Store),
        gateway: &running,
        traffic: &site.traffic,
        redactor: &plan.fallback_presenter.redactor,
        actions: &actions,
        now: now(),
    };
    let text = |name: &header::HeaderName| header_text(request.headers(), name);
    let ask = Ask {
        method: request.method(),
        path: uri.path(),
        query: uri.query(),
        form,
        accept_language: text(&header::ACCEPT_LANGUAGE),
        cookie: text(&header::COOKIE),
        role: client.role,
        csrf: site.csrf(client),
        has_session: client.csrf.is_some(),
    };
    page::respond(&ask, &sources).map(response)
}

fn header_text<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h str> {
    headers.get(name).map(HeaderValue::to_str).and_then(Result::ok)
}

/// Makes a response of an answer.
pub(super) fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    for (name, value) in answer.headers {
        response.headers_mut().append(name, value);
    }
    response
}
