//! Drives one client connection to its end: HTTP/1.1 or HTTP/2 by its first bytes, parked while it is idle, the drain, and what
//! its end has to say.

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

/// Begins an HTTP/2 connection by prior knowledge (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes that the parser of a connection may hold beyond the largest head. As much of an answer is written to memory for a client that
/// takes nothing.
const BUFFER: usize = 8 * 1024;
/// Streams of one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// How long a request may take to arrive on a connection that came too late.
const LATE: Duration = Duration::from_secs(1);

/// One client connection.
pub(super) struct Session {
    guard: ClientSocket,
    shared: Arc<ConnectionState>,
    entry: Entry,
    /// Turns true when no new request is wanted.
    closing: watch::Receiver<bool>,
    /// Held as long as the connection is open.
    _held: OpenConnection,
}

/// What counts a connection while it is open.
pub(super) struct OpenConnection {
    _place: ConnectionPermit,
    open: Gauge,
    _alive: mpsc::Sender<Infallible>,
}

impl OpenConnection {
    /// Takes a place among all connections, counts as open, and keeps the worker from ending.
    pub(super) fn new(place: ConnectionPermit, open: &Gauge, alive: mpsc::Sender<Infallible>) -> Self {
        open.inc();
        Self { _place: place, open: open.clone(), _alive: alive }
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
            guard: ClientSocket::new(stream, Arc::clone(&shared), RequestFramer::new(limits), takes),
            shared,
            entry,
            closing,
            _held: held,
        }
    }

    /// Serves until the connection ends. What happens once in a connection's life is on the heap while it happens: an idle
    /// one costs what this function holds. By reference: an argument by value would be held twice.
    pub(super) async fn serve(&mut self) {
        match Box::pin(self.begin()).await {
            Protocol::Http1 => self.http1().await,
            Protocol::Http2 => Box::pin(self.http2()).await,
            Protocol::Late => Box::pin(self.refuse_late()).await,
            Protocol::Slow => {
                let refusal = Refusal { kind: Kind::RequestTimeout, rule: "header_timeout" };
                Box::pin(self.answer_early(refusal)).await;
            }
            Protocol::Nothing => {}
        }
    }

    fn settings(&self) -> Settings {
        Settings::of(&self.entry.client.gateway.plan.listen)
    }
}

/// What the first bytes of a connection say.
enum Protocol {
    Http1,
    Http2,
    /// It came after the listeners closed.
    Late,
    /// Its first request did not come in time.
    Slow,
    /// Nothing was sent: nobody waits for an answer.
    Nothing,
}

impl Session {
    async fn begin(&mut self) -> Protocol {
        let sniffed = tokio::select! {
            sniffed = tokio::time::timeout(self.settings().header_timeout, self.guard.sniff(PREFACE)) => sniffed,
            _ = self.closing.wait_for(|closing| *closing) => return Protocol::Late,
        };
        match sniffed {
            Ok(Ok(true)) if self.guard.held().starts_with(PREFACE) => Protocol::Http2,
            Ok(Ok(true)) => Protocol::Http1,
            Err(_) if !self.guard.held().is_empty() => Protocol::Slow,
            Ok(Ok(false) | Err(_)) | Err(_) => Protocol::Nothing,
        }
    }

    async fn answer_early(&mut self, refusal: Refusal) {
        let settings = self.settings();
        answer_early(&mut self.guard, &self.entry, settings, refusal).await;
    }

    /// A connection that was queued when the listener closed: its request is told so, if one comes soon.
    async fn refuse_late(&mut self) {
        let sniffed = tokio::time::timeout(LATE, self.guard.sniff(PREFACE)).await;
        if matches!(sniffed, Ok(Ok(true))) && !self.guard.held().starts_with(PREFACE) {
            self.answer_early(TOO_LATE).await;
        }
    }

    /// Serves HTTP/1.1. A connection that stays idle is parked: it gives back the parser with its buffers and keeps what it
    /// needs to wake up.
    async fn http1(&mut self) {
        loop {
            let mut ended = Box::pin(self.active()).await;
            if matches!(ended, ActivityEnd::Clock(Wait::Idle)) && self.guard.is_at_rest() {
                match self.parked().await {
                    Some(over) => ended = over,
                    None => continue,
                }
            }
            return Box::pin(self.finish(ended)).await;
        }
    }

    /// Waits for the next byte; its end, where there is none.
    async fn parked(&mut self) -> Option<ActivityEnd> {
        let rest = self.settings().idle_timeout.saturating_sub(PARK_AFTER);
        let stream = &self.guard.stream;
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
        let Self { guard, shared, entry, closing, .. } = self;
        let service = ConnectionService { entry: entry.clone(), shared: Arc::clone(shared) };
        let mut connection = http1::Builder::new()
            .header_read_timeout(None)
            .half_close(false)
            .max_buf_size(entry.client.gateway.plan.listen.max_header_size.saturating_add(BUFFER))
            .serve_connection(&mut *guard, service);
        let ended = {
            let mut closing = std::pin::pin!(closing.wait_for(|closing| *closing));
            let (mut closed, mut listening) = (false, false);
            std::future::poll_fn(|cx| {
                // Once it knows this task it wakes it, and the lifecycle says so before it does (see the shutdown): to ask it
                // again before that would only cost.
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
                    // A refusal waits for the answers before it; when they are out hyper must look again to see the end.
                    if !(shared.is_refused() && shared.settled()) {
                        break;
                    }
                }
                clock.poll(cx, shared).map(ActivityEnd::Clock)
            })
            .await
        };
        let unread = connection.into_parts().read_buf;
        guard.note_unread(!unread.is_empty());
        ended
    }

    /// The last words of an HTTP/1 connection.
    async fn finish(&mut self, ended: ActivityEnd) {
        let settings = self.settings();
        let Self { guard, shared, entry, .. } = self;
        let refusal = match ended {
            _ if shared.is_reset() => None,
            ActivityEnd::Clock(Wait::Head) => Some(Refusal { kind: Kind::RequestTimeout, rule: "header_timeout" }),
            ActivityEnd::Hyper(Ok(()) | Err(_)) => guard.refusal.filter(|_| !shared.is_busy() || !shared.has_served()),
            ActivityEnd::Clock(_) => None,
        };
        // The beginning of a request that will not be served: it is told so.
        let late = || (entry.client.gateway.lifecycle.is_closing() && !shared.is_busy() && guard.holds_a_request()).then_some(TOO_LATE);
        let refusal = refusal.or_else(late).filter(|_| !shared.is_reset());
        if let Some(refusal) = refusal {
            answer_early(guard, entry, settings, refusal).await;
            return;
        }
        let abort = shared.is_reset() || matches!(ended, ActivityEnd::Clock(Wait::Write));
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

    async fn http2(&mut self) {
        let settings = self.settings();
        let Self { guard, shared, entry, closing, .. } = self;
        guard.pass_everything();
        let service = ConnectionService { entry: entry.clone(), shared: Arc::clone(shared) };
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

/// How an active time of a connection came to its end.
enum ActivityEnd {
    Hyper(hyper::Result<()>),
    Clock(Wait),
}

/// For requests that come too late.
const TOO_LATE: Refusal = Refusal { kind: Kind::ShuttingDown, rule: "arrived after the listeners closed" };
