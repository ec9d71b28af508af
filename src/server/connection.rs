//! Drives one client connection to its end: detects HTTP/1.1 or HTTP/2 from its first bytes, parks it while it is idle, drains it at
//! shutdown, and sends a last error response where one is due.
//!
//! Knows nothing of routes or upstreams.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::coop::has_budget_remaining;

use super::client_socket::ClientSocket;
use super::clock::{Clock, Wait};
use super::connection_state::ConnectionState;
use super::early::{answer_early, linger};
use super::framer::RequestFramer;
use super::head::Refusal;
use super::service::ConnectionService;
use super::settings::{PARK_AFTER, Settings};
use crate::failure::Kind;
use crate::gateway::Entry;
use crate::limit::inflight::ConnectionPermit;

/// The connection preface of HTTP/2 with prior knowledge (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes that hyper's parser may buffer beyond the largest head. hyper buffers as much of a response for a client that reads nothing.
const EXTRA_BUFFER: usize = 8 * 1024;
/// Maximum number of concurrent streams of an HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// Timeout for the first request of a connection that has sent none when shutdown begins.
const LATE_TIMEOUT: Duration = Duration::from_secs(1);

/// One client connection.
pub(super) struct Session {
    socket: ClientSocket,
    shared: Arc<ConnectionState>,
    entry: Entry,
    /// Becomes true when no new requests are accepted.
    closing: watch::Receiver<bool>,
    /// Counts the connection while it is open.
    _held: OpenConnection,
}

/// Counts a connection while it is open.
pub(super) struct OpenConnection {
    _permit: ConnectionPermit,
    open: Gauge,
    _alive: mpsc::Sender<Infallible>,
}

impl OpenConnection {
    /// Counts a connection as open and keeps the worker running.
    pub(super) fn new(permit: ConnectionPermit, open: &Gauge, alive: mpsc::Sender<Infallible>) -> Self {
        open.inc();
        Self { _permit: permit, open: open.clone(), _alive: alive }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl Session {
    pub(super) fn new(stream: TcpStream, entry: Entry, closing: watch::Receiver<bool>, held: OpenConnection) -> Self {
        let shared = Arc::new(ConnectionState::default());
        let limits = Settings::of(&entry.client.gateway.plan.listen).limits();
        let takes = Arc::clone(&entry.client.takes);
        Self {
            socket: ClientSocket::new(stream, Arc::clone(&shared), RequestFramer::new(limits), takes),
            shared,
            entry,
            closing,
            _held: held,
        }
    }

    /// Serves until the connection ends. The futures of one-time phases are boxed, so that an idle connection costs only what this function
    /// holds. Takes `&mut self`, because a future would store a moved argument twice.
    pub(super) async fn serve(&mut self) {
        match Box::pin(self.detect_protocol()).await {
            Protocol::Http1 => self.http1().await,
            Protocol::Http2 => Box::pin(self.http2()).await,
            Protocol::Late => Box::pin(self.answer_late()).await,
            Protocol::TimedOut => {
                let refusal = Refusal { kind: Kind::RequestTimeout, rule: "header_timeout" };
                Box::pin(self.answer_early(refusal)).await;
            }
            Protocol::NoRequest => {}
        }
    }

    fn settings(&self) -> Settings {
        Settings::of(&self.entry.client.gateway.plan.listen)
    }
}

/// The protocol that the first bytes of a connection select.
enum Protocol {
    Http1,
    Http2,
    /// Shutdown began before its first request arrived.
    Late,
    /// The first request did not arrive completely in time.
    TimedOut,
    /// Nothing was sent, so no response is due.
    NoRequest,
}

impl Session {
    /// Reads until the protocol is known.
    async fn detect_protocol(&mut self) -> Protocol {
        let sniffed = tokio::select! {
            sniffed = tokio::time::timeout(self.settings().header_timeout, self.socket.sniff(PREFACE)) => sniffed,
            _ = self.closing.wait_for(|closing| *closing) => return Protocol::Late,
        };
        match sniffed {
            Ok(Ok(true)) if self.socket.held().starts_with(PREFACE) => Protocol::Http2,
            Ok(Ok(true)) => Protocol::Http1,
            Err(_) if !self.socket.held().is_empty() => Protocol::TimedOut,
            Ok(Ok(false) | Err(_)) | Err(_) => Protocol::NoRequest,
        }
    }

    async fn answer_early(&mut self, refusal: Refusal) {
        let settings = self.settings();
        answer_early(&mut self.socket, &self.entry, settings, refusal).await;
    }

    /// Answers the request of a connection whose first request had not arrived when shutdown began, if it arrives soon.
    async fn answer_late(&mut self) {
        let sniffed = tokio::time::timeout(LATE_TIMEOUT, self.socket.sniff(PREFACE)).await;
        if matches!(sniffed, Ok(Ok(true))) && !self.socket.held().starts_with(PREFACE) {
            self.answer_early(SHUTTING_DOWN).await;
        }
    }

    /// Serves HTTP/1.1. A connection that stays idle is parked: its parser and buffers are dropped, and only the state to resume it is
    /// kept.
    async fn http1(&mut self) {
        loop {
            let mut ended = Box::pin(self.active()).await;
            if matches!(ended, ActivityEnd::Clock(Wait::Idle)) && self.socket.is_idle() {
                match self.parked().await {
                    Some(over) => ended = over,
                    None => continue,
                }
            }
            return Box::pin(self.finish(ended)).await;
        }
    }

    /// Waits for the next byte. Returns the connection's end if none arrives.
    async fn parked(&mut self) -> Option<ActivityEnd> {
        let rest = self.settings().idle_timeout.saturating_sub(PARK_AFTER);
        let stream = &self.socket.stream;
        tokio::select! {
            biased;
            _ = self.closing.wait_for(|closing| *closing) => Some(ActivityEnd::Hyper(Ok(()))),
            readable = tokio::time::timeout(rest, std::future::poll_fn(|cx| stream.poll_read_ready(cx))) => {
                readable.is_err().then_some(ActivityEnd::Clock(Wait::Idle))
            }
        }
    }

    /// Serves requests until the connection ends or has been idle for [`PARK_AFTER`].
    async fn active(&mut self) -> ActivityEnd {
        let mut clock = Clock::new(self.settings(), false);
        let Self { socket, shared, entry, closing, .. } = self;
        let service = ConnectionService { entry: entry.clone(), shared: Arc::clone(shared) };
        let mut connection = http1::Builder::new()
            .header_read_timeout(None)
            .half_close(false)
            .max_buf_size(entry.client.gateway.plan.listen.max_header_size.saturating_add(EXTRA_BUFFER))
            .serve_connection(&mut *socket, service);
        let ended = {
            let mut closing = std::pin::pin!(closing.wait_for(|closing| *closing));
            let (mut closed, mut listening) = (false, false);
            std::future::poll_fn(|cx| {
                // Once polled with a budget, the channel wakes this task, and the lifecycle's flag is set before it does (see the
                // shutdown). Polling it earlier again would only cost time.
                if !closed && (!listening || entry.client.gateway.lifecycle.is_closing()) {
                    listening = has_budget_remaining();
                    closed = closing.as_mut().poll(cx).is_ready();
                    if closed {
                        Pin::new(&mut connection).graceful_shutdown();
                    }
                }
                for _ in 0..2 {
                    if let Poll::Ready(result) = connection.poll_without_shutdown(cx) {
                        return Poll::Ready(ActivityEnd::Hyper(result));
                    }
                    // A refusal waits for the earlier responses. Once they are sent, hyper is polled again to see the end of the stream.
                    if !(shared.is_refused() && shared.is_settled()) {
                        break;
                    }
                }
                clock.poll(cx, shared).map(ActivityEnd::Clock)
            })
            .await
        };
        let unread = connection.into_parts().read_buf;
        socket.set_unread(!unread.is_empty());
        ended
    }

    /// Ends an HTTP/1 connection: sends a last error response if one is due, then closes or resets it.
    async fn finish(&mut self, ended: ActivityEnd) {
        let settings = self.settings();
        let Self { socket, shared, entry, .. } = self;
        let refusal = match ended {
            _ if shared.is_reset() => None,
            ActivityEnd::Clock(Wait::Head) => Some(Refusal { kind: Kind::RequestTimeout, rule: "header_timeout" }),
            ActivityEnd::Hyper(Ok(()) | Err(_)) => socket.refusal.filter(|_| !shared.is_busy() || !shared.has_served()),
            ActivityEnd::Clock(_) => None,
        };
        // The start of a request that arrived during shutdown is answered too.
        let late =
            || (entry.client.gateway.lifecycle.is_closing() && !shared.is_busy() && socket.holds_request_start()).then_some(SHUTTING_DOWN);
        let refusal = refusal.or_else(late).filter(|_| !shared.is_reset());
        if let Some(refusal) = refusal {
            answer_early(socket, entry, settings, refusal).await;
            return;
        }
        let abort = shared.is_reset() || matches!(ended, ActivityEnd::Clock(Wait::Write));
        if abort {
            // With a linger of 0 the client sees a reset instead of an end that looks complete.
            let _ = socket2::SockRef::from(&socket.stream).set_linger(Some(Duration::ZERO));
            return;
        }
        let _ = socket.stream.shutdown().await;
        if socket.has_unread() {
            linger(&mut socket.stream).await;
        }
    }

    async fn http2(&mut self) {
        let settings = self.settings();
        let Self { socket, shared, entry, closing, .. } = self;
        socket.stop_validating();
        let service = ConnectionService { entry: entry.clone(), shared: Arc::clone(shared) };
        // HPACK lists may exceed the limit up to eightfold, so that the gateway itself can answer 431 with its error response. Beyond that
        // h2 does.
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
                .serve_connection(socket, service)
        );
        let mut clock = Clock::new(settings, true);
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
            match clock.poll(cx, shared) {
                Poll::Ready(Wait::Write) => Poll::Ready(()),
                Poll::Ready(_) if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                    connection.as_mut().poll(cx).map(drop)
                }
                Poll::Ready(_) | Poll::Pending => Poll::Pending,
            }
        })
        .await;
    }
}

/// Why an active period of a connection ended.
enum ActivityEnd {
    Hyper(hyper::Result<()>),
    Clock(Wait),
}

/// The refusal of requests that arrive during shutdown.
const SHUTTING_DOWN: Refusal = Refusal { kind: Kind::ShuttingDown, rule: "arrived after the listeners closed" };
