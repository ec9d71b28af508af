//! The admin listener: liveness, readiness, metrics, the running configuration and its reload, on an address separate from the data listener.
//!
//! Checks `Host` against DNS rebinding, and sends errors in the envelope format like the gateway. Must not contact backends.

pub mod page;
mod reload;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub use self::reload::{Attempt, Busy, Cause, Outcome, ReloadRequest, Reloads, RunningConfig, ShownProblem, Status};

use crate::context::RequestId;
use crate::envelope::Envelope;
use crate::gateway::Lifecycle;
use crate::header::names;
use crate::message::Messages;
use crate::plan::Plan;
use crate::policy::{Details, Format};
use crate::render::{self, Looks, negotiate::Shape};

/// The maximum number of admin connections. A new connection beyond it closes the oldest, so that idle clients cannot block a probe; the
/// oldest is practically always idle, because responses are immediate.
const MAX_CONNECTIONS: usize = 64;
/// The time within which an admin client must send its headers; it also limits idle time.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// A bound listener that is not served yet.
#[derive(Debug)]
pub struct Bound {
    listener: std::net::TcpListener,
    configured: SocketAddr,
    bound: SocketAddr,
}

/// The admin listener.
#[derive(Debug)]
pub struct AdminListener {
    /// Its address in the configuration.
    pub configured: SocketAddr,
    /// Its address with the actual port.
    pub bound: SocketAddr,
    pages: Arc<Pages>,
    accepting: AbortHandle,
}

/// Binds an address.
///
/// # Errors
/// Returns the system's error.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(Bound { bound: listener.local_addr()?, configured: address, listener })
}

impl Bound {
    /// Serves the listener on the current runtime: shows the plan that is the current one, and passes on requests to reload.
    pub fn serve(self, plan: Arc<ArcSwap<Plan>>, lifecycle: Arc<Lifecycle>, reloads: Reloads) -> AdminListener {
        self.serve_pages(Arc::new(Pages { plan, lifecycle, reloads }))
    }

    fn serve_pages(self, pages: Arc<Pages>) -> AdminListener {
        let Self { listener, configured, bound } = self;
        let serving = Arc::clone(&pages);
        let accepting = tokio::spawn(async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => serve(listener, serving).await,
                Err(error) => tracing::error!(%error, "the admin listener failed"),
            }
        });
        AdminListener { configured, bound, pages, accepting: accepting.abort_handle() }
    }
}

impl AdminListener {
    /// Serves another listener instead. Connections to this one stay until their requests are answered.
    pub fn replace(&mut self, bound: Bound) {
        let next = bound.serve_pages(Arc::clone(&self.pages));
        self.accepting.abort();
        tracing::info!(admin = %next.bound, "listening");
        *self = next;
    }
}

async fn serve(listener: TcpListener, pages: Arc<Pages>) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let pages = Arc::clone(&pages);
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MAX_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let connection = tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let pages = Arc::clone(&pages);
                async move { Ok::<_, Infallible>(pages.respond(&request).await) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            // An error here affects only this client.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
        open.push_back(connection.abort_handle());
    }
}

/// What the pages show.
#[derive(Debug)]
struct Pages {
    plan: Arc<ArcSwap<Plan>>,
    lifecycle: Arc<Lifecycle>,
    reloads: Reloads,
}

/// A page of the admin listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Live,
    Ready,
    Metrics,
    Config,
    Reload,
}

impl Page {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/livez" => Some(Self::Live),
            "/readyz" => Some(Self::Ready),
            "/metrics" => Some(Self::Metrics),
            "/config" => Some(Self::Config),
            "/reload" => Some(Self::Reload),
            _ => None,
        }
    }

    /// Returns true for the pages that need no token, because probes and scrapers rarely have one.
    const fn is_open(self) -> bool {
        match self {
            Self::Live | Self::Ready | Self::Metrics => true,
            Self::Config | Self::Reload => false,
        }
    }

    /// Returns the methods for `Allow`.
    const fn methods(self) -> &'static str {
        match self {
            Self::Live | Self::Ready | Self::Metrics | Self::Config => "GET, HEAD",
            Self::Reload => "POST",
        }
    }
}

impl Pages {
    async fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
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
            Page::Config => self.config(),
            Page::Reload => self.reload(request).await,
        }
    }

    /// Shows the configuration that runs, and the last reload.
    fn config(&self) -> Response<Full<Bytes>> {
        let status = self.reloads.status();
        let last = status.last.as_ref().map(|attempt| attempt.json());
        json(StatusCode::OK, &serde_json::json!({ "running": status.running.json(), "last_reload": last }))
    }

    /// Loads the configuration again, and answers when that has ended.
    async fn reload(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let Ok(attempt) = self.reloads.reload(Cause::Admin).await else { return unavailable(request) };
        let status = match attempt.outcome {
            Outcome::Applied { .. } | Outcome::Unchanged => StatusCode::OK,
            Outcome::Rejected { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let mut shown = attempt.json();
        shown["running"] = self.reloads.status().running.json();
        json(status, &shown)
    }

    /// Returns the metrics in the OpenMetrics format if the client accepts it, otherwise in the text format that every scraper reads.
    fn metrics(&self, accept: Option<&HeaderValue>) -> Response<Full<Bytes>> {
        let asks = accept.and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("application/openmetrics-text"));
        let mut response = match asks {
            true => text("application/openmetrics-text; version=1.0.0; charset=utf-8", self.plan.load().metrics.encode()),
            false => text("text/plain; version=0.0.4; charset=utf-8", self.plan.load().metrics.encode_plain()),
        };
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
        response
    }

    /// Returns true if the request has the admin token, or if none is configured.
    fn is_allowed(&self, authorization: Option<&HeaderValue>) -> bool {
        let plan = self.plan.load();
        let Some(token) = &plan.listen.admin_token else { return true };
        // The scheme is not case-sensitive (RFC 9110 11.1).
        let given = authorization.map(HeaderValue::as_bytes).and_then(|value| value.split_at_checked(7));
        given.is_some_and(|(scheme, given)| scheme.eq_ignore_ascii_case(b"bearer ") && is_equal(given, token.reveal().as_bytes()))
    }
}

/// Compares two byte strings in a time that depends only on their lengths, so that a token cannot be guessed byte by byte.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |differing, (one, other)| std::hint::black_box(differing | (one ^ other)));
    one.len() == other.len() && differing == 0
}

/// Returns true if `Host` is an address literal or a name without a dot. A DNS rebinding attack needs a public name, which has a dot.
fn is_safe_host(host: Option<&HeaderValue>) -> bool {
    let Some(authority) = host.and_then(|host| host.to_str().ok()?.parse::<http::uri::Authority>().ok()) else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    name.parse::<IpAddr>().is_ok() || !name.contains('.')
}

/// Returns true if a browser says that a page of another site sends the request. Without a token, nothing else would keep such a page from
/// changing the gateway.
fn is_cross_site(headers: &http::HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let is_foreign = site.is_some_and(|site| !matches!(site, b"same-origin" | b"none"));
    let own = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let of_other_host = origin.is_some_and(|origin| origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://")) != own);
    is_foreign || of_other_host
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = text("application/json", format!("{value:#}\n"));
    *response.status_mut() = status;
    response
}

fn unavailable(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut response = error(request, StatusCode::SERVICE_UNAVAILABLE, "SHUTTING_DOWN");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

fn text(content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn error(request: &Request<Incoming>, status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    let now = SystemTime::now();
    let envelope = Envelope {
        status,
        code: code.to_owned().into(),
        message: Messages::default().of_code(code, "en"),
        negotiated_language: "en".into(),
        is_translated: false,
        errors: Vec::new(),
        details: Details::Map,
        retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(5),
        violated: Vec::new(),
        problem_type: None,
        upstream: None,
        timestamp: now,
        request_id: RequestId::generate(now),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        grpc: 2,
        rpc_id: None,
        debug: None,
    };
    let rendered = render::render(&envelope, Shape::Json(Format::Envelope), &Looks::default());
    let mut response = text("application/json", String::from_utf8_lossy(&rendered.body).into_owned());
    *response.status_mut() = status;
    if let Ok(id) = HeaderValue::from_bytes(envelope.request_id.as_bytes()) {
        response.headers_mut().insert(names::X_REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_could_be_rebound_are_refused() {
        let safe = |host: &'static str| is_safe_host(Some(&HeaderValue::from_static(host)));
        assert!(safe("127.0.0.1:9090") && safe("[::1]:9090") && safe("localhost") && safe("lockgate:9090"));
        assert!(!safe("evil.example:9090") && !safe(""));
        assert!(!is_safe_host(None));
    }
}
