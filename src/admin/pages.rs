//! The pages of the admin listener, who may see them, and how they are asked for.
//!
//! Must not know how connections are served.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;

use super::guard::{self, is_cross_site, is_safe_host};
use super::log_level;
use super::reload::{Cause, Outcome, Reloads};
use super::response::{bad_request, error, error_because, json, text, unavailable};
use crate::explain::route::Question;
use crate::gateway::Lifecycle;
use crate::observe::exposition::Format as Exposition;
use crate::observe::level::Level;
use crate::plan::Plan;

/// What the pages show.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) plan: Arc<ArcSwap<Plan>>,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) reloads: Reloads,
    pub(super) level: Level,
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
            _ => None,
        }
    }

    /// Returns true for the pages that need no token, because probes and scrapers rarely have one.
    const fn is_open(self) -> bool {
        match self {
            Self::Live | Self::Ready | Self::Metrics => true,
            Self::Config | Self::Reload | Self::Route | Self::Log => false,
        }
    }

    /// Returns the methods for `Allow`.
    const fn methods(self) -> &'static str {
        match self {
            Self::Live | Self::Ready | Self::Metrics | Self::Config | Self::Route => "GET, HEAD",
            Self::Reload => "POST",
            Self::Log => "GET, HEAD, PUT",
        }
    }
}

impl Pages {
    /// Answers a request.
    pub(super) async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let request = &Request::from_parts(head, ());
        let headers = request.headers();
        if !is_safe_host(headers.get(header::HOST)) {
            return error(request, StatusCode::MISDIRECTED_REQUEST, "MISDIRECTED_REQUEST");
        }
        let page = Page::of(request.uri().path());
        if !page.is_some_and(Page::is_open) && !self.is_allowed(headers.get(header::AUTHORIZATION)) {
            let mut response = error(request, StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"lockgate\""));
            return response;
        }
        let Some(page) = page else { return error(request, StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND") };
        if !page.methods().split(", ").any(|method| method == request.method().as_str()) {
            let mut response = error(request, StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(page.methods()));
            return response;
        }
        if !request.method().is_safe() && is_cross_site(headers) {
            return error(request, StatusCode::FORBIDDEN, "FORBIDDEN");
        }
        match page {
            Page::Metrics => self.metrics(headers.get(header::ACCEPT)),
            Page::Live => text("text/plain; charset=utf-8", "ok\n".into()),
            Page::Ready if self.lifecycle.is_ready() => text("text/plain; charset=utf-8", "ready\n".into()),
            Page::Ready => unavailable(request),
            Page::Config => self.config(request).await,
            Page::Route => self.route(request).await,
            Page::Reload => self.reload(request).await,
            Page::Log => self.log_level(request, body).await,
        }
    }

    /// Shows the configuration that runs with the origin of each value, and the last reload.
    async fn config(&self, request: &Request<()>) -> Response<Full<Bytes>> {
        let status = self.reloads.status();
        let running = Arc::clone(&status.running);
        // This takes long for many routes.
        let Ok(effective) = tokio::task::spawn_blocking(move || running.effective().json()).await else { return unavailable(request) };
        let last = status.last.as_ref().map(|attempt| attempt.json());
        json(StatusCode::OK, &json!({ "running": status.running.json(), "last_reload": last, "effective": effective }))
    }

    /// Explains what the configuration that runs does with a request.
    async fn route(&self, request: &Request<()>) -> Response<Full<Bytes>> {
        let question = match Question::from_query(request.uri().query().unwrap_or_default()) {
            Ok(question) => question,
            Err(why) => return bad_request(request, &why),
        };
        let (status, plan) = (self.reloads.status(), self.plan.load_full());
        match tokio::task::spawn_blocking(move || status.running.explain(&plan, &question)).await {
            Ok(Ok(explanation)) => json(StatusCode::OK, &explanation.json()),
            Ok(Err(why)) => bad_request(request, &why),
            Err(_) => unavailable(request),
        }
    }

    /// Loads the configuration again, and answers when that has ended.
    async fn reload(&self, request: &Request<()>) -> Response<Full<Bytes>> {
        let Ok(attempt) = self.reloads.reload(Cause::Admin).await else { return unavailable(request) };
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
