//! Drives one client connection to its end: HTTP/1.1 or HTTP/2 by its first bytes, the drain,
//! and what its end has to say.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::clock::{Clock, Wait};
use super::early::{answer_early, linger};
use super::gate::Gate;
use super::guard::{Guard, Shared};
use super::head::{Limits, Refusal};
use super::service::Counted;
use crate::context::{MAX_REQUEST_FIELDS, MAX_REQUEST_TARGET};
use crate::failure::Kind;
use crate::gateway::Entry;

/// Begins an HTTP/2 connection by prior knowledge (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Streams of one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// How long a request may take to arrive on a connection that came too late.
const LATE: Duration = Duration::from_secs(1);

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

/// Serves until the connection ends. What happens once in a connection's life is on the heap while it happens: an idle one
/// costs what this function holds. `closing` turns true when no new request is wanted.
pub(super) async fn serve(stream: TcpStream, entry: Entry, settings: Settings, mut closing: watch::Receiver<bool>) {
    let shared = Arc::new(Shared::default());
    let mut guard = Guard::new(stream, Arc::clone(&shared), Gate::new(settings.limits()));
    let sniffed = tokio::select! {
        sniffed = tokio::time::timeout(settings.header_timeout, guard.sniff(PREFACE)) => Some(sniffed),
        _ = closing.wait_for(|closing| *closing) => None,
    };
    let Some(sniffed) = sniffed else { return Box::pin(refuse_late(guard, &entry, settings)).await };
    match sniffed {
        Ok(Ok(true)) if guard.held().starts_with(PREFACE) => {
            guard.pass_everything();
            Box::pin(http2(guard, entry, settings, closing, shared)).await;
        }
        Ok(Ok(true)) => http1(guard, entry, settings, closing, shared).await,
        Ok(Ok(false) | Err(_)) => {}
        // Nothing was sent: nobody waits for an answer.
        Err(_) if guard.held().is_empty() => {}
        Err(_) => {
            let refusal = Refusal { kind: Kind::RequestTimeout, rule: "header_timeout" };
            Box::pin(answer_early(guard, &entry, settings, refusal)).await;
        }
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
    let mut watch = Clock::new(settings, false);
    let ended = {
        let mut closing = std::pin::pin!(closing.wait_for(|closing| *closing));
        let (mut closed, mut listening) = (false, false);
        std::future::poll_fn(|cx| {
            // Once it knows this task it wakes it; to ask it again before the time has come would only cost.
            if !closed && (!listening || entry.gateway.lifecycle.is_closing()) {
                listening = true;
                closed = closing.as_mut().poll(cx).is_ready();
                if closed {
                    Pin::new(&mut connection).graceful_shutdown();
                }
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
    Box::pin(finish(guard, ended, &entry, settings, &shared)).await;
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
    let mut watch = Clock::new(settings, true);
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
