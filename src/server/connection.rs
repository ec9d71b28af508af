//! Drives one client connection to its end: detects HTTP/1 or HTTP/2 from its first bytes, waits while it is idle, and sends a last error
//! response where one is due.
//!
//! Knows nothing of routes or upstreams.

use std::convert::Infallible;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, watch};

use super::client_socket::ClientSocket;
use super::client_stream::ClientStream;
use super::early::{HEADER_TIMEOUT, SHUTTING_DOWN, answer_early, linger};
use super::http1::{End, Http1};
use super::http2::{self, PREFACE};
use super::settings::{PARK_AFTER, Settings};
use crate::failure::Kind;
use crate::gateway::Entry;
use crate::http1::Violation;
use crate::limit::inflight::ConnectionPermit;
use std::sync::Arc;

/// Timeout for the first request of a connection that has sent none when shutdown begins.
const LATE_TIMEOUT: Duration = Duration::from_secs(1);

/// The refusal of a request in clear text on the listener for TLS.
const CLEAR_TEXT: Violation = Violation { kind: Kind::BadRequest, rule: "a request in clear text on the port for TLS", byte: None };
/// Timeout for the last bytes of TLS on a connection whose client reads nothing.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// One client connection.
pub(super) struct Session {
    stream: ClientStream,
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
    pub(super) fn new(socket: ClientSocket, entry: Entry, closing: watch::Receiver<bool>, held: OpenConnection) -> Self {
        let stream = ClientStream::new(socket, Arc::clone(&entry.client.takes));
        Self { stream, entry, closing, _held: held }
    }

    /// Serves until the connection ends. The futures of everything but waiting are boxed, so that an idle connection costs only what this
    /// function holds. Takes `&mut self`, because a future would store a moved argument twice.
    pub(super) async fn serve(&mut self) {
        match Box::pin(self.detect_protocol()).await {
            Protocol::Http1 => self.http1().await,
            Protocol::Http2 => Box::pin(http2::serve(&mut self.stream, &self.entry, &mut self.closing)).await,
            Protocol::Late => Box::pin(self.answer_late()).await,
            Protocol::TimedOut => Box::pin(self.refuse(HEADER_TIMEOUT)).await,
            Protocol::NoRequest => {}
        }
    }

    fn settings(&self) -> Settings {
        Settings::of(&self.entry.client.gateway.get().plan.listen)
    }

    /// Reads until the protocol is known.
    async fn detect_protocol(&mut self) -> Protocol {
        let sniffed = tokio::select! {
            sniffed = tokio::time::timeout(self.settings().header_timeout, self.stream.sniff(PREFACE)) => sniffed,
            _ = self.closing.wait_for(|closing| *closing) => return Protocol::Late,
        };
        match sniffed {
            Ok(true) if self.stream.held.starts_with(PREFACE) || self.stream.socket.agreed_on_http2() => Protocol::Http2,
            Ok(true) => Protocol::Http1,
            Err(_) if !self.stream.held.is_empty() => Protocol::TimedOut,
            Ok(false) | Err(_) => Protocol::NoRequest,
        }
    }

    /// Answers a request in clear text to the listener for TLS.
    pub(super) async fn refuse_clear_text(&mut self) {
        let timeout = self.settings().header_timeout;
        if matches!(tokio::time::timeout(timeout, self.stream.sniff(PREFACE)).await, Ok(true)) {
            self.refuse(CLEAR_TEXT).await;
        }
    }

    async fn refuse(&mut self, violation: Violation) {
        let settings = self.settings();
        answer_early(&mut self.stream, &self.entry, settings, violation).await;
    }

    /// Answers the request of a connection whose first request had not arrived when shutdown began, if it arrives soon.
    async fn answer_late(&mut self) {
        let sniffed = tokio::time::timeout(LATE_TIMEOUT, self.stream.sniff(PREFACE)).await;
        if sniffed == Ok(true) && !self.stream.held.starts_with(PREFACE) {
            self.refuse(SHUTTING_DOWN).await;
        }
    }

    /// Serves HTTP/1. The state of a connection that stays idle is dropped, except for what this function holds.
    async fn http1(&mut self) {
        let mut served = false;
        loop {
            let (end, unread) = Box::pin(async {
                let gateway = self.entry.client.gateway.get();
                let mut http1 = Http1::new(&mut self.stream, &self.entry, &gateway);
                let end = http1.serve(gateway, &mut self.closing, served).await;
                (end, http1.has_unread())
            })
            .await;
            match end {
                End::Idle if self.becomes_readable().await => served = true,
                End::Idle => return Box::pin(self.finish(End::Closed, false)).await,
                end => return Box::pin(self.finish(end, unread)).await,
            }
        }
    }

    /// Waits for the next byte. Returns false if the connection ends first.
    async fn becomes_readable(&mut self) -> bool {
        let rest = self.settings().idle_timeout.saturating_sub(PARK_AFTER);
        let socket = &self.stream.socket;
        tokio::select! {
            biased;
            _ = self.closing.wait_for(|closing| *closing) => false,
            readable = tokio::time::timeout(rest, std::future::poll_fn(|cx| socket.poll_readable(cx))) => readable.is_ok(),
        }
    }

    /// Ends an HTTP/1 connection: sends a last error response if one is due, then closes or resets it.
    async fn finish(&mut self, end: End, unread: bool) {
        match end {
            End::Refused(violation) => self.refuse(violation).await,
            // With a linger of 0 the client sees a reset instead of an end that looks complete.
            End::Reset => self.stream.socket.reset_on_close(),
            End::Gone => {}
            End::Tunnel(mut tunnel) => {
                let early = std::mem::take(&mut self.stream.held);
                tunnel.run(&self.entry.client.gateway.core, &mut self.stream.socket, early).await;
            }
            End::Closed | End::Idle => {
                // Dropping a plain socket closes it; TLS says that it ends.
                if unread || self.stream.socket.is_tls() {
                    let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.stream.socket.shutdown()).await;
                }
                if unread {
                    linger(&self.stream.socket).await;
                }
            }
        }
    }
}
