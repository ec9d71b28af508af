//! Drives one client connection to its end: HTTP/1.1 or HTTP/2 by its first bytes, the clocks of a slow client, the drain,
//! and the answer for what never became a request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Uri, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};
use tower::Service as _;

use super::gate::Gate;
use super::guard::{Guard, Shared};
use super::head::{Limits, Refusal, skip_empty_lines};
use crate::body::{Aborted, Body};
use crate::context::{MAX_REQUEST_FIELDS, MAX_REQUEST_TARGET, Wanted};
use crate::failure::{Failure, Kind};
use crate::gateway::{Early, Entry};

/// Begins an HTTP/2 connection by prior knowledge (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Streams of one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// Bytes that are read and thrown away after an early end, so that the client can read the answer before a reset.
const LINGER_BYTES: usize = 256 * 1024;
/// How long a request may take to arrive on a connection that came too late.
const LATE: Duration = Duration::from_secs(1);
/// How long that may take.
const LINGER: Duration = Duration::from_secs(2);

/// Clocks and bounds of client connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) max_header_size: usize,
}

impl Settings {
    fn limits(&self) -> Limits {
        Limits { head: self.max_header_size, target: MAX_REQUEST_TARGET.min(self.max_header_size), fields: MAX_REQUEST_FIELDS }
    }
}

/// Serves until the connection ends. `closing` turns true when no new request is wanted.
pub(super) async fn serve(stream: TcpStream, entry: Entry, settings: Settings, mut closing: watch::Receiver<bool>) {
    let shared = Arc::new(Shared::default());
    let mut guard = Guard::new(stream, Arc::clone(&shared), Gate::new(settings.limits()));
    let sniffed = tokio::select! {
        sniffed = tokio::time::timeout(settings.header_timeout, guard.sniff(PREFACE)) => Some(sniffed),
        _ = closing.wait_for(|closing| *closing) => None,
    };
    let Some(sniffed) = sniffed else { return refuse_late(guard, &entry, settings).await };
    match sniffed {
        Ok(Ok(true)) if guard.held().starts_with(PREFACE) => {
            guard.pass_everything();
            http2(guard, entry, settings, closing, shared).await;
        }
        Ok(Ok(true)) => http1(guard, entry, settings, closing, shared).await,
        Ok(Ok(false) | Err(_)) => {}
        // Nothing was sent: nobody waits for an answer.
        Err(_) if guard.held().is_empty() => {}
        Err(_) => answer_early(guard, &entry, settings, Refusal { kind: Kind::RequestTimeout, rule: "header_timeout" }).await,
    }
}

/// A connection that was queued when the listener closed: its request is told so, if one comes soon.
async fn refuse_late(mut guard: Guard, entry: &Entry, settings: Settings) {
    let sniffed = tokio::time::timeout(LATE, guard.sniff(PREFACE)).await;
    if matches!(sniffed, Ok(Ok(true))) && !guard.held().starts_with(PREFACE) {
        answer_early(guard, entry, settings, TOO_LATE).await;
    }
}

/// For requests that come too late.
const TOO_LATE: Refusal = Refusal { kind: Kind::ShuttingDown, rule: "arrived after the listeners closed" };

/// How a connection came to its end.
enum Ended {
    Hyper(hyper::Result<()>),
    Clock(Wait),
}

async fn http1(guard: Guard, entry: Entry, settings: Settings, mut closing: watch::Receiver<bool>, shared: Arc<Shared>) {
    let service = Counted { entry: entry.clone(), shared: Arc::clone(&shared) };
    let mut connection = http1::Builder::new().header_read_timeout(None).half_close(false).serve_connection(guard, service);
    let mut watch = Clock::new(settings);
    let ended = {
        let mut closing = std::pin::pin!(closing.wait_for(|closing| *closing));
        let mut closed = false;
        std::future::poll_fn(|cx| {
            if !closed && closing.as_mut().poll(cx).is_ready() {
                closed = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            for _ in 0..2 {
                if let Poll::Ready(result) = connection.poll_without_shutdown(cx) {
                    return Poll::Ready(Ended::Hyper(result));
                }
                // A refusal waits for the answers before it; when they are out hyper must look again to see the end.
                if !(shared.is_refused() && shared.settled()) {
                    break;
                }
            }
            watch.poll(cx, &shared).map(Ended::Clock)
        })
        .await
    };
    let guard = connection.into_parts().io;
    finish(guard, ended, &entry, settings, &shared).await;
}

/// The last words of an HTTP/1 connection.
async fn finish(mut guard: Guard, ended: Ended, entry: &Entry, settings: Settings, shared: &Shared) {
    let refusal = match ended {
        _ if shared.is_reset() => None,
        Ended::Clock(Wait::Head) => Some(Refusal { kind: Kind::RequestTimeout, rule: "header_timeout" }),
        Ended::Hyper(Ok(()) | Err(_)) => guard.refusal.filter(|_| !shared.is_busy() || !shared.has_served()),
        Ended::Clock(_) => None,
    };
    // The beginning of a request that will not be served: it is told so.
    let late = || (entry.gateway.lifecycle.is_closing() && !shared.is_busy() && !guard.held().is_empty()).then_some(TOO_LATE);
    let refusal = refusal.or_else(late).filter(|_| !shared.is_reset());
    if let Some(refusal) = refusal {
        answer_early(guard, entry, settings, refusal).await;
        return;
    }
    let abort = shared.is_reset() || matches!(ended, Ended::Clock(Wait::Write));
    if abort {
        // Linger 0: the client sees a reset, never an end that looks whole.
        let _ = socket2::SockRef::from(&guard.stream).set_linger(Some(Duration::ZERO));
        return;
    }
    let _ = guard.stream.shutdown().await;
    if guard.has_unread() {
        linger(&mut guard.stream).await;
    }
}

/// Reads on for a moment: to close a socket with unread bytes in it would reset it, and the answer would be lost.
async fn linger(stream: &mut TcpStream) {
    let mut left = LINGER_BYTES;
    let mut scratch = [0; 4096];
    let drain = async {
        while left > 0 {
            match stream.read(&mut scratch).await {
                Ok(0) | Err(_) => return,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, drain).await;
}

/// Writes the envelope for bytes that never became a request, and ends the connection.
async fn answer_early(mut guard: Guard, entry: &Entry, settings: Settings, refusal: Refusal) {
    let (method, uri) = request_line(guard.held());
    let early = Early { failure: Failure::because(refusal.kind, refusal.rule), method, uri, wanted: Wanted::default() };
    let response = entry.gateway.answer_early(&entry.client.peer, early);
    let bytes = to_bytes(response).await;
    let write = async {
        guard.stream.write_all(&bytes).await?;
        guard.stream.shutdown().await
    };
    if matches!(tokio::time::timeout(settings.write_timeout, write).await, Ok(Ok(()))) {
        linger(&mut guard.stream).await;
    }
}

/// Method and target of a broken head, as far as they can be shown.
fn request_line(head: &[u8]) -> (Method, Uri) {
    let line = skip_empty_lines(head).split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut parts = line.split(|b| *b == b' ');
    let method = parts.next().filter(|m| m.len() <= 32).and_then(|m| Method::from_bytes(m).ok());
    let target = parts.next().filter(|t| t.len() <= 1024).and_then(|t| Uri::try_from(t).ok()).filter(|uri| uri.path().starts_with('/'));
    let unknown = || Method::from_bytes(b"-").unwrap_or(Method::GET);
    (method.unwrap_or_else(unknown), target.unwrap_or_else(|| Uri::from_static("/")))
}

/// An answer as HTTP/1.1 bytes. Its body is ready: nothing here waits for an upstream.
async fn to_bytes(response: Response<Body>) -> Vec<u8> {
    let (parts, mut body) = response.into_parts();
    let phrase = parts.status.canonical_reason().unwrap_or_default();
    let mut bytes = format!(
        "HTTP/1.1 {} {phrase}\r\nconnection: close\r\ndate: {}\r\n",
        parts.status.as_u16(),
        httpdate::fmt_http_date(std::time::SystemTime::now())
    )
    .into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    bytes
}

async fn http2(guard: Guard, entry: Entry, settings: Settings, mut closing: watch::Receiver<bool>, shared: Arc<Shared>) {
    let service = Counted { entry, shared: Arc::clone(&shared) };
    // HPACK lists may be larger than the bound: the gateway answers 431 itself, with the envelope. Beyond this h2 does.
    let list = u32::try_from(settings.max_header_size.saturating_mul(8)).unwrap_or(u32::MAX);
    let mut connection = std::pin::pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(list)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(128)
            .max_send_buf_size(64 * 1024)
            .keep_alive_interval(settings.idle_timeout / 2)
            .keep_alive_timeout(settings.write_timeout)
            .serve_connection(guard, service)
    );
    let mut watch = Clock::new(settings);
    let mut closing = std::pin::pin!(closing.wait_for(|closing| *closing));
    let mut ending = false;
    std::future::poll_fn(|cx| {
        if !ending && closing.as_mut().poll(cx).is_ready() {
            ending = true;
            connection.as_mut().graceful_shutdown();
        }
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match watch.poll(cx, &shared) {
            Poll::Ready(Wait::Write) => Poll::Ready(()),
            Poll::Ready(_) if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
                connection.as_mut().poll(cx).map(drop)
            }
            _ => Poll::Pending,
        }
    })
    .await;
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The first request's first byte.
    Begin,
    /// The next request's first byte.
    Idle,
    /// The rest of a head.
    Head,
    /// The client, to take some of the answer.
    Write,
    /// The gateway: its own clocks run.
    Busy,
}

/// The clocks of one connection: one timer, moved only when it fires or must fire earlier.
struct Clock {
    settings: Settings,
    wait: (Wait, u32),
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Clock {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        Self { settings, wait: (Wait::Begin, 0), since: now, timer: Box::pin(tokio::time::sleep_until(now + settings.header_timeout)) }
    }

    fn limit(&self, wait: Wait) -> Option<Duration> {
        match wait {
            Wait::Begin | Wait::Head => Some(self.settings.header_timeout),
            Wait::Idle => Some(self.settings.idle_timeout),
            Wait::Write => Some(self.settings.write_timeout),
            Wait::Busy => None,
        }
    }

    /// Ready when the current wait has lasted too long.
    fn poll(&mut self, cx: &mut Context<'_>, shared: &Shared) -> Poll<Wait> {
        let wait = now_waiting(shared);
        if wait != self.wait {
            self.wait = wait;
            self.since = Instant::now();
        }
        let Some(limit) = self.limit(wait.0) else { return Poll::Pending };
        let due = self.since + limit;
        if self.timer.deadline() > due {
            self.timer.as_mut().reset(due);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(wait.0);
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

fn now_waiting(shared: &Shared) -> (Wait, u32) {
    if shared.is_stalled() {
        (Wait::Write, shared.steps())
    } else if shared.is_blocked() {
        (Wait::Write, shared.written())
    } else if shared.is_busy() || shared.open() > 0 {
        (Wait::Busy, 0)
    } else if shared.is_partial() {
        (Wait::Head, 0)
    } else if shared.has_served() {
        (Wait::Idle, 0)
    } else {
        (Wait::Begin, 0)
    }
}

/// The gateway's entry, counting requests and answers for the guard.
struct Counted {
    entry: Entry,
    shared: Arc<Shared>,
}

impl hyper::service::Service<Request<Incoming>> for Counted {
    type Response = Response<CountedBody>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        self.shared.called(version == Version::HTTP_2);
        let mut entry = self.entry.clone();
        let count = Count(Arc::clone(&self.shared));
        Box::pin(async move {
            let last = !entry.gateway.lifecycle.is_ready() || entry.client.surplus;
            let answered = entry.call(request).await;
            answered.map(|response| {
                let mut response = response.map(|body| CountedBody {
                    body,
                    close_delimited: version == Version::HTTP_10,
                    stream: version == Version::HTTP_2,
                    handed: false,
                    count,
                });
                if last && version < Version::HTTP_2 {
                    response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
                }
                response
            })
        })
    }
}

/// One answer under way; counted as finished when it is dropped.
struct Count(Arc<Shared>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.finished();
    }
}

struct CountedBody {
    body: Body,
    /// Only the connection's end shows the client where this body ends.
    close_delimited: bool,
    /// One of many on its connection.
    stream: bool,
    /// A frame was handed over and the next was not asked for: the client takes nothing.
    handed: bool,
    count: Count,
}

impl CountedBody {
    fn set_handed(&mut self, handed: bool) {
        if self.stream && self.handed != handed {
            self.handed = handed;
            self.count.0.stalled(handed);
        }
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        self.set_handed(false);
    }
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let this = self.get_mut();
        this.set_handed(false);
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        this.set_handed(matches!(frame, Poll::Ready(Some(Ok(_)))));
        if this.close_delimited && matches!(frame, Poll::Ready(Some(Err(_)))) {
            this.count.0.must_reset();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
