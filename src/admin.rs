//! The admin listener: liveness, readiness and metrics, on an address separate from the data listener.
//!
//! Checks `Host` against DNS rebinding, and sends errors in the envelope format like the gateway. Must not contact backends.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::context::RequestId;
use crate::envelope::Envelope;
use crate::gateway::Lifecycle;
use crate::header::names;
use crate::message::Messages;
use crate::observe::exposition::Format as Exposition;
use crate::plan::Plan;
use crate::policy::{Details, Format};
use crate::render::{self, Looks, negotiate::Shape};

/// The maximum number of admin connections. A new connection beyond it closes the oldest, so that idle clients cannot block a probe; the
/// oldest is practically always idle, because responses are immediate.
const MAX_CONNECTIONS: usize = 64;
/// The time within which an admin client must send its headers; it also limits idle time.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// The pages that need no token, because probes and scrapers rarely have one.
const OPEN_PAGES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Binds the listener and serves it on the current runtime. Returns its address.
///
/// # Errors
/// Fails if the address cannot be bound.
pub fn start(plan: Arc<Plan>, lifecycle: Arc<Lifecycle>) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(plan.listen.admin)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    let page = Arc::new(Pages { plan, lifecycle });
    tokio::spawn(serve(listener, page));
    Ok(address)
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
                let response = pages.respond(&request);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            // An error here affects only this client.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
        open.push_back(connection.abort_handle());
    }
}

struct Pages {
    plan: Arc<Plan>,
    lifecycle: Arc<Lifecycle>,
}

impl Pages {
    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !is_safe_host(request.headers().get(header::HOST)) {
            return error(request, StatusCode::MISDIRECTED_REQUEST, "MISDIRECTED_REQUEST");
        }
        let path = request.uri().path();
        if !OPEN_PAGES.contains(&path) {
            if !self.is_allowed(request.headers().get(header::AUTHORIZATION)) {
                let mut response = error(request, StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"lockgate\""));
                return response;
            }
            return error(request, StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = error(request, StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/metrics" => self.metrics(request.headers().get(header::ACCEPT)),
            "/livez" => text("text/plain; charset=utf-8", "ok\n".into()),
            _ if self.lifecycle.is_ready() => text("text/plain; charset=utf-8", "ready\n".into()),
            _ => {
                let mut response = error(request, StatusCode::SERVICE_UNAVAILABLE, "SHUTTING_DOWN");
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
                response
            }
        }
    }
}

impl Pages {
    /// Returns the metrics in the OpenMetrics format if the client accepts it, otherwise in the text format that every scraper reads.
    fn metrics(&self, accept: Option<&HeaderValue>) -> Response<Full<Bytes>> {
        let asks = accept.and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("application/openmetrics-text"));
        let mut response = match asks {
            true => text("application/openmetrics-text; version=1.0.0; charset=utf-8", self.plan.metrics.encode(Exposition::OpenMetrics)),
            false => text("text/plain; version=0.0.4; charset=utf-8", self.plan.metrics.encode(Exposition::Plain)),
        };
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
        response
    }

    /// Returns true if the request has the admin token, or if none is configured.
    fn is_allowed(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some(token) = &self.plan.listen.admin_token else { return true };
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
