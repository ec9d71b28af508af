//! The pages of the admin listener, who may see them, and how they are asked for.
//!
//! Must not know how connections are served.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use serde_json::json;
use tokio::sync::Semaphore;

use super::api::{self, ApiError, Asked, Question};
use super::audit::{self, Act, Audited};
use super::client::{self, By, Client, Signs, Stranger};
use super::entrance::{self, Visit};
use super::guard::{self, is_cross_site, is_navigation, is_safe_host};
use super::log_level;
use super::openapi;
use super::page::live::Stream;
use super::page::{assets, has_own_token, see_other};
use super::reload::{Cause, Outcome, Reloads};
use super::response::{bad_request, error, error_because, json, text, unavailable};
use super::site::{self, Content, Site};
use super::table::{self, Found, Open, Page, People, Program};
use crate::envelope::Item;
use crate::explain::route::Question as RouteQuestion;
use crate::gateway::Lifecycle;
use crate::journal::Journal;
use crate::observe::exposition::Format as Exposition;
use crate::observe::level::Level;
use crate::observe::login_metrics::LoginOutcome;
use crate::plan::Plan;
use crate::text::Text;

/// The response to a request: complete, or a stream of changes.
pub(super) type Reply = Response<Either<Full<Bytes>, Stream>>;

/// What the pages show and change.
#[derive(Debug)]
pub struct Pages {
    /// The plan of new requests.
    pub plan: Arc<ArcSwap<Plan>>,
    /// The state of the shutdown.
    pub lifecycle: Arc<Lifecycle>,
    /// The reload.
    pub reloads: Reloads,
    /// The level of the log.
    pub level: Level,
    /// The journal, if there is one.
    pub journal: Option<Journal>,
    /// The pages of the journal.
    pub site: Arc<Site>,
    /// The permit to do what takes long and much memory.
    pub turn: Arc<Semaphore>,
}

impl Pages {
    /// Answers a request of a client with this address.
    pub(super) async fn respond(&self, request: Request<Incoming>, peer: IpAddr) -> Reply {
        let row = table::find(request.uri().path()).and_then(|found| found.row("GET")).map(|row| row.page);
        let is_stream = request.method() == Method::GET && matches!(row, Some(Page::Program(Program::Changes, _)));
        let answer = self.answer(request, peer).await;
        // The stream takes the place of the empty body.
        let streams = is_stream && answer.status() == StatusCode::OK;
        answer.map(|body| if streams { Either::Right(self.site.changes.stream()) } else { Either::Left(body) })
    }

    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let request = &Request::from_parts(head, ());
        let headers = request.headers();
        if !is_safe_host(headers.get(header::HOST)) {
            return error(request, StatusCode::MISDIRECTED_REQUEST, "MISDIRECTED_REQUEST");
        }
        let plan = self.plan.load_full();
        let signs = Signs::of(headers, peer, &plan.trusted);
        let found = table::find(request.uri().path());
        let row = found.and_then(|found| found.row(request.method().as_str()));
        if is_cross_site(headers) && !request.method().is_safe() {
            return error(request, StatusCode::FORBIDDEN, "FORBIDDEN");
        }
        match (found, row.map(|row| row.page)) {
            (_, Some(Page::Open(page))) => return self.open_page(request, page, &signs, &plan, body).await,
            (Some(found), None) if found.is_open() => return method_not_allowed(request, found),
            (_, Some(Page::Program(..) | Page::People(..)) | None) => {}
        }
        let Site { entrance, .. } = &*self.site;
        let client = match client::find(&signs, &plan, &entrance.sessions, &entrance.attempts, Instant::now()) {
            Ok(client) => client,
            Err(stranger) => return refuse_stranger(request, &signs, &plan, found, stranger),
        };
        let Some(found) = found else { return error(request, StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND") };
        if is_cross_site(headers) && !is_navigation(headers) {
            return error(request, StatusCode::FORBIDDEN, "FORBIDDEN");
        }
        match row.map(|row| row.page) {
            Some(Page::People(People::LogOut, _)) => self.log_out(&signs, &plan, &client, body).await,
            // The pages themselves refuse a role or a method, in the language of the client.
            Some(Page::People(..)) => self.site_page(request, client, body).await,
            None if found.is_for_people() => self.site_page(request, client, body).await,
            Some(Page::Program(_, needed)) if !client.role.may_use(needed) => forbidden(request, "this needs the token of an operator"),
            // Only forms, which repeat a token of the session, change something for a cookie.
            Some(Page::Program(..)) if !request.method().is_safe() && matches!(client.by, By::Session(_)) => {
                forbidden(request, "this needs a token in `Authorization`; a session changes something by the forms of the pages only")
            }
            Some(Page::Program(page, _)) => self.program_page(request, page, client, body).await,
            Some(Page::Open(_)) | None => method_not_allowed(request, found),
        }
    }

    /// Answers with a page that needs no client.
    async fn open_page(&self, request: &Request<()>, page: Open, signs: &Signs<'_>, plan: &Plan, body: Incoming) -> Response<Full<Bytes>> {
        let query = request.uri().query().unwrap_or_default();
        let visit = Visit { entrance: &self.site.entrance, signs, plan, query, now: Instant::now() };
        match page {
            Open::Metrics => self.metrics(request.headers().get(header::ACCEPT)),
            Open::Livez => text("text/plain; charset=utf-8", "ok\n".into()),
            Open::Readyz if self.lifecycle.is_ready() => text("text/plain; charset=utf-8", "ready\n".into()),
            Open::Readyz => unavailable(request),
            Open::Asset => match assets::find(request.uri().path()) {
                Some(asset) => site::response(asset),
                None => error(request, StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND"),
            },
            Open::Login => site::response(visit.show()),
            Open::LogIn => site::response(visit.log_in(&site::form(body).await)),
        }
    }

    /// Answers with a page for programs, which the role of the client permits.
    async fn program_page(&self, request: &Request<()>, page: Program, client: Client, body: Incoming) -> Response<Full<Bytes>> {
        match page {
            Program::Changes => text("text/event-stream", String::new()),
            Program::OpenApi => text("application/json", openapi::DOCUMENT.into()),
            Program::Config => self.config(request).await,
            Program::Route => self.route(request).await,
            Program::Reload => self.reload(request, &client).await,
            Program::Log => text("application/json", log_level::shown(&self.level)),
            Program::SetLog => self.set_log_level(request, &client, body).await,
            Program::Errors
            | Program::Error
            | Program::Tail
            | Program::Purge
            | Program::PurgeOne
            | Program::Groups
            | Program::Group
            | Program::SetState => self.api(request, client, page).await,
        }
    }

    /// Ends the session of a client.
    async fn log_out(&self, signs: &Signs<'_>, plan: &Plan, client: &Client, body: Incoming) -> Response<Full<Bytes>> {
        let form = site::form(body).await;
        let visit = Visit { entrance: &self.site.entrance, signs, plan, query: "", now: Instant::now() };
        // A page that is older than the session has another token. Its viewer wanted to leave; nothing is changed, and the way out is shown.
        let answer = if has_own_token(&form, self.site.csrf(client)) { visit.log_out(client) } else { see_other("/") };
        site::response(answer)
    }

    /// Answers with a page of the journal.
    async fn site_page(&self, request: &Request<()>, client: Client, body: Incoming) -> Response<Full<Bytes>> {
        let form = if request.method() == Method::POST { site::form(body).await } else { Bytes::new() };
        let content = Content {
            site: Arc::clone(&self.site),
            client,
            journal: self.journal.clone(),
            plan: self.plan.load_full(),
            status: self.reloads.status(),
        };
        let mut asked = Request::new(());
        (*asked.method_mut(), *asked.uri_mut()) = (request.method().clone(), request.uri().clone());
        *asked.headers_mut() = request.headers().clone();
        match self.costly(move || site::respond(&content, &asked, &form)).await {
            Some(Some(response)) => response,
            Some(None) => error(request, StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND"),
            None => unavailable(request),
        }
    }

    /// Shows the configuration that runs with the origin of each value, and the last reload.
    async fn config(&self, request: &Request<()>) -> Response<Full<Bytes>> {
        let status = self.reloads.status();
        let shown = self.costly(move || {
            let last = status.last.as_ref().map(|attempt| attempt.json());
            let effective = status.running.effective().json();
            json!({ "running": status.running.json(), "last_reload": last, "effective": effective }).to_string()
        });
        match shown.await {
            Some(shown) => text("application/json", shown),
            None => unavailable(request),
        }
    }

    /// Explains what the configuration that runs does with a request.
    async fn route(&self, request: &Request<()>) -> Response<Full<Bytes>> {
        let question = match RouteQuestion::from_query(request.uri().query().unwrap_or_default()) {
            Ok(question) => question,
            Err(why) => return bad_request(request, &why),
        };
        let (status, plan) = (self.reloads.status(), self.plan.load_full());
        match self.costly(move || status.running.explain(&plan, &question)).await {
            Some(Ok(explanation)) => json(StatusCode::OK, &explanation.json()),
            Some(Err(why)) => bad_request(request, &why),
            None => unavailable(request),
        }
    }

    /// Does what may take long and much memory on a thread of its own, one at a time. `None` if that is not possible any more.
    async fn costly<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok()?;
        // A client that leaves does not end the work, so the turn belongs to the work.
        let work = move || {
            let done = work();
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// Answers a question about the journal, or changes the state of a group.
    async fn api(&self, request: &Request<()>, client: Client, page: Program) -> Response<Full<Bytes>> {
        let Some(journal) = self.journal.clone() else { return error(request, StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND") };
        let (site, uri) = (Arc::clone(&self.site), request.uri().clone());
        let ask = move || {
            let actions = Audited { journal: Some(&journal), changes: &site.changes, client: &client };
            let asked = Asked { store: &**journal.store(), journal: Some(&journal), actions: &actions };
            let (name, query) = (table::last_segment(uri.path()), uri.query().unwrap_or_default());
            api::answer(&asked, &Question { page, name, query, role: client.role })
        };
        // A removal may take minutes, and others need not wait for it.
        let removes = matches!(page, Program::Purge | Program::PurgeOne);
        let answer = if removes { tokio::task::spawn_blocking(ask).await.ok() } else { self.costly(ask).await };
        match answer {
            Some(Ok(found)) => json(StatusCode::OK, &found),
            Some(Err(ApiError::NotFound)) => error(request, StatusCode::NOT_FOUND, "NOT_FOUND"),
            Some(Err(ApiError::Bad(why))) => bad_request(request, &why),
            Some(Err(ApiError::Forbidden(why))) => forbidden(request, why),
            Some(Err(ApiError::Store(cause))) => {
                tracing::warn!(%cause, "the journal cannot be used");
                error(request, StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE")
            }
            None => unavailable(request),
        }
    }

    /// Loads the configuration again, and answers when that has ended.
    async fn reload(&self, request: &Request<()>, client: &Client) -> Response<Full<Bytes>> {
        let Ok(attempt) = self.reloads.reload(Cause::Admin).await else {
            if !self.lifecycle.is_ready() {
                return unavailable(request);
            }
            let mut response = error(request, StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        };
        audit::write(client, Act::Reloaded { outcome: attempt.outcome.result().word() });
        let status = match attempt.outcome {
            Outcome::Applied { .. } | Outcome::Unchanged => StatusCode::OK,
            Outcome::Rejected { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let mut shown = attempt.json();
        shown["running"] = self.reloads.status().running.json();
        json(status, &shown)
    }

    /// Changes the level of the log, and shows it.
    async fn set_log_level(&self, request: &Request<()>, client: &Client, body: Incoming) -> Response<Full<Bytes>> {
        if let Err(problem) = log_level::change(&self.level, body).await {
            return error_because(request, StatusCode::BAD_REQUEST, "BAD_REQUEST", vec![problem]);
        }
        audit::write(client, Act::LevelChanged { level: self.level.get().as_str() });
        text("application/json", log_level::shown(&self.level))
    }

    /// Returns the metrics in the OpenMetrics format if the client accepts it, otherwise in the text format that every scraper reads.
    fn metrics(&self, accept: Option<&HeaderValue>) -> Response<Full<Bytes>> {
        let asks = accept.and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("application/openmetrics-text"));
        let mut response = match asks {
            true => {
                text("application/openmetrics-text; version=1.0.0; charset=utf-8", self.plan.load().metrics.encode(Exposition::OpenMetrics))
            }
            false => text("text/plain; version=0.0.4; charset=utf-8", self.plan.load().metrics.encode(Exposition::Plain)),
        };
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
        response
    }
}

fn forbidden(request: &Request<()>, why: &str) -> Response<Full<Bytes>> {
    let item = Item { field: None, code: None, message: Text::own(why.to_owned()) };
    error_because(request, StatusCode::FORBIDDEN, "FORBIDDEN", vec![item])
}

fn method_not_allowed(request: &Request<()>, found: Found) -> Response<Full<Bytes>> {
    let mut response = error(request, StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED");
    if let Ok(allow) = HeaderValue::try_from(found.allow()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// Answers a client that has not shown who it is: a person gets the form to log in, a program an error.
fn refuse_stranger(
    request: &Request<()>,
    signs: &Signs<'_>,
    plan: &Plan,
    found: Option<Found>,
    stranger: Stranger,
) -> Response<Full<Bytes>> {
    let is_page = found.is_none_or(|found| found.is_for_people()) && guard::wants_page(request.headers());
    match stranger {
        Stranger::Unknown if is_page => {
            return site::response(entrance::way_in(request.uri().path_and_query().map_or("/", |asked| asked.as_str())));
        }
        Stranger::Unknown => {}
        Stranger::Wrong { is_last } => {
            plan.metrics.logins.record(LoginOutcome::Failed);
            audit::write_failure(signs.address, false, is_last);
        }
        Stranger::Limited(wait) => {
            plan.metrics.logins.record(LoginOutcome::Limited);
            let mut response = error(request, StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED");
            response.headers_mut().insert(header::RETRY_AFTER, entrance::seconds(wait).into());
            return response;
        }
    }
    let mut response = error(request, StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    // The dialog of a browser would come up for each request of a page whose session is over.
    let challenge = match guard::is_of_browser(request.headers()) {
        true => "Bearer realm=\"lockgate\"",
        false => "Bearer realm=\"lockgate\", Basic realm=\"lockgate\"",
    };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}
