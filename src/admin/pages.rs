//! The pages of the admin listener, who may see them, and how they are asked for.
//!
//! Must not know how connections are served.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use serde_json::json;
use tokio::sync::Semaphore;

use super::api::{self, ApiError};
use super::guard::{self, is_cross_site, is_navigation, is_safe_host};
use super::log_level;
use super::page::live::Stream;
use super::reload::{Cause, Outcome, Reloads};
use super::response::{bad_request, error, error_because, json, text, unavailable};
use super::site::{self, Content, Site};
use crate::explain::route::Question;
use crate::gateway::Lifecycle;
use crate::journal::Journal;
use crate::observe::exposition::Format as Exposition;
use crate::observe::level::Level;
use crate::plan::Plan;

/// The response to a request: complete, or a stream of changes.
pub(super) type Reply = Response<Either<Full<Bytes>, Stream>>;

/// What the paths of assets begin with.
const ASSETS: &str = "/assets/";
/// What the paths of the journal begin with.
const API: &str = "/api/";

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

/// A page of the admin listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Live,
    Ready,
    Metrics,
    Config,
    Reload,
    Route,
    Log,
    Api,
    /// The stream of changes, for pages that are open.
    Changes,
    /// Style sheet, script and icon, which tell nothing.
    Asset,
}

impl Page {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/livez" => Some(Self::Live),
            "/readyz" => Some(Self::Ready),
            "/metrics" => Some(Self::Metrics),
            "/config" => Some(Self::Config),
            "/reload" => Some(Self::Reload),
            "/route" => Some(Self::Route),
            "/log" => Some(Self::Log),
            "/live" => Some(Self::Changes),
            path if path.starts_with(ASSETS) => Some(Self::Asset),
            path if path.starts_with(API) => Some(Self::Api),
            _ => None,
        }
    }

    /// Returns true for the pages that need no token, because probes and scrapers rarely have one.
    const fn is_open(self) -> bool {
        match self {
            Self::Live | Self::Ready | Self::Metrics | Self::Asset => true,
            Self::Config | Self::Reload | Self::Route | Self::Log | Self::Api | Self::Changes => false,
        }
    }

    /// Returns the methods for `Allow`.
    const fn methods(self) -> &'static str {
        match self {
            Self::Live | Self::Ready | Self::Metrics | Self::Config | Self::Route | Self::Changes | Self::Asset => "GET, HEAD",
            Self::Reload => "POST",
            Self::Log => "GET, HEAD, PUT",
            // Each of its pages has its own methods.
            Self::Api => "GET, POST, DELETE",
        }
    }
}

impl Pages {
    /// Answers a request.
    pub(super) async fn respond(&self, request: Request<Incoming>) -> Reply {
        let is_stream = Page::of(request.uri().path()) == Some(Page::Changes) && request.method() == Method::GET;
        let answer = self.answer(request).await;
        // The stream takes the place of the empty body.
        let streams = is_stream && answer.status() == StatusCode::OK;
        answer.map(|body| if streams { Either::Right(self.site.changes.stream()) } else { Either::Left(body) })
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let request = &Request::from_parts(head, ());
        let headers = request.headers();
        if !is_safe_host(headers.get(header::HOST)) {
            return error(request, StatusCode::MISDIRECTED_REQUEST, "MISDIRECTED_REQUEST");
        }
        let page = Page::of(request.uri().path());
        if !page.is_some_and(Page::is_open) && !self.is_allowed(headers.get(header::AUTHORIZATION)) {
            let mut response = error(request, StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"lockgate\", Basic realm=\"lockgate\""));
            return response;
        }
        let Some(page) = page else { return self.site_page(request, body).await };
        if !page.methods().split(", ").any(|method| method == request.method().as_str()) {
            let mut response = error(request, StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(page.methods()));
            return response;
        }
        if !page.is_open() && is_cross_site(headers) && !(request.method().is_safe() && is_navigation(headers)) {
            return error(request, StatusCode::FORBIDDEN, "FORBIDDEN");
        }
        match page {
            Page::Changes => text("text/event-stream", String::new()),
            Page::Asset => self.site_page(request, body).await,
            Page::Metrics => self.metrics(headers.get(header::ACCEPT)),
            Page::Live => text("text/plain; charset=utf-8", "ok\n".into()),
            Page::Ready if self.lifecycle.is_ready() => text("text/plain; charset=utf-8", "ready\n".into()),
            Page::Ready => unavailable(request),
            Page::Config => self.config(request).await,
            Page::Route => self.route(request).await,
            Page::Api => self.api(request).await,
            Page::Reload => self.reload(request).await,
            Page::Log => self.log_level(request, body).await,
        }
    }

    /// Answers with a page of the journal.
    async fn site_page(&self, request: &Request<()>, body: Incoming) -> Response<Full<Bytes>> {
        if !Page::of(request.uri().path()).is_some_and(Page::is_open)
            && is_cross_site(request.headers())
            && !(request.method().is_safe() && is_navigation(request.headers()))
        {
            return error(request, StatusCode::FORBIDDEN, "FORBIDDEN");
        }
        let form = if request.method() == Method::POST { site::form(body).await } else { Bytes::new() };
        let content = Content {
            site: Arc::clone(&self.site),
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
        let question = match Question::from_query(request.uri().query().unwrap_or_default()) {
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
    async fn api(&self, request: &Request<()>) -> Response<Full<Bytes>> {
        let Some(journal) = self.journal.clone() else { return error(request, StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND") };
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let ask = move || {
            let store = &**journal.store();
            api::answer(store, Some(&journal), &method, uri.path().strip_prefix(API).unwrap_or_default(), uri.query().unwrap_or_default())
        };
        // A removal may take minutes, and others need not wait for it.
        let answer = match *request.method() {
            Method::DELETE => tokio::task::spawn_blocking(ask).await.ok(),
            _ => self.costly(ask).await,
        };
        match answer {
            Some(Ok((status, found))) => json(status, &found),
            Some(Err(ApiError::NotFound)) => error(request, StatusCode::NOT_FOUND, "NOT_FOUND"),
            Some(Err(ApiError::Bad(why))) => bad_request(request, &why),
            Some(Err(ApiError::Method(allowed))) => {
                let mut response = error(request, StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED");
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
                response
            }
            Some(Err(ApiError::Store(cause))) => {
                tracing::warn!(%cause, "the journal cannot be used");
                error(request, StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE")
            }
            None => unavailable(request),
        }
    }

    /// Loads the configuration again, and answers when that has ended.
    async fn reload(&self, request: &Request<()>) -> Response<Full<Bytes>> {
        let Ok(attempt) = self.reloads.reload(Cause::Admin).await else {
            if !self.lifecycle.is_ready() {
                return unavailable(request);
            }
            let mut response = error(request, StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        };
        let status = match attempt.outcome {
            Outcome::Applied { .. } | Outcome::Unchanged => StatusCode::OK,
            Outcome::Rejected { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let mut shown = attempt.json();
        shown["running"] = self.reloads.status().running.json();
        json(status, &shown)
    }

    /// Shows the level of the log; changes it first if the request asks for that.
    async fn log_level(&self, request: &Request<()>, body: Incoming) -> Response<Full<Bytes>> {
        if request.method() == Method::PUT
            && let Err(problem) = log_level::change(&self.level, body).await
        {
            return error_because(request, StatusCode::BAD_REQUEST, "BAD_REQUEST", vec![problem]);
        }
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

    /// Returns true if the request has the admin token, or if none is configured.
    fn is_allowed(&self, authorization: Option<&HeaderValue>) -> bool {
        let plan = self.plan.load();
        plan.listen.admin_token.as_ref().is_none_or(|token| guard::has_token(authorization, token.reveal()))
    }
}
