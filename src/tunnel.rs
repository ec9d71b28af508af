//! A tunnel between a client and an upstream after an upgrade (RFC 9110 7.8): bytes are copied both ways until both directions have ended,
//! no byte has moved for too long, or the gateway stops.
//!
//! Each direction ends by itself, so that a side that has sent its last byte may still receive. A WebSocket connection that the gateway ends
//! gets a close frame on both sides. Knows nothing of HTTP messages, routes or logs.

mod frames;
pub mod handshake;
mod way;

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::time::Instant;

use self::frames::going_away;
use self::way::{EndedBy, Way};
use crate::socket::Receive;
use crate::timer::Timer;

/// The longest silence once one direction has ended.
const HALF_CLOSED: Duration = Duration::from_secs(30);
/// The same for WebSocket, where the end of a connection is the end of both directions (RFC 6455 7.1.1): the rest is only still under way.
const WEBSOCKET_HALF_CLOSED: Duration = Duration::from_secs(2);
/// The time to send the last frames and to read what is still under way. It is shorter than the time that a worker has at its end.
const CLOSING: Duration = Duration::from_millis(400);
/// Size of a read of what is discarded.
const DISCARD: usize = 4 * 1024;

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The client ended its direction first, or broke the connection.
    Client,
    /// The upstream ended its direction first, or broke the connection.
    Upstream,
    /// No byte moved for too long.
    Idle,
    /// The gateway stops.
    Drain,
}

/// The bytes of a tunnel between a client and an upstream.
#[derive(Debug)]
pub struct Tunnel {
    /// From the client to the upstream.
    up: Way,
    /// From the upstream to the client.
    down: Way,
    /// The longest time without a byte.
    idle: Option<Duration>,
    /// The longest time without a byte once one direction has ended.
    half_closed: Duration,
    first_end: Option<Cause>,
    /// Why the tunnel ends, once it does.
    cause: Option<Cause>,
}

impl Tunnel {
    /// Creates a tunnel. `pushed` are bytes that the upstream sent behind its response.
    pub fn new(pushed: &[u8], idle: Option<Duration>, is_websocket: bool) -> Self {
        let half_closed = if is_websocket { WEBSOCKET_HALF_CLOSED } else { HALF_CLOSED };
        Self { up: Way::new(is_websocket), down: Way::new(is_websocket).after(pushed), idle, half_closed, first_end: None, cause: None }
    }

    /// Adds bytes that the client sent behind its request, before the tunnel began.
    pub fn hold_early(&mut self, bytes: &[u8]) {
        self.up.hold(bytes);
    }

    /// Returns why the tunnel ends, once it does. What is still under way then changes nothing.
    pub const fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// Returns the bytes that were passed on from the client.
    pub const fn bytes_in(&self) -> u64 {
        self.up.written()
    }

    /// Returns the bytes that were passed on to the client.
    pub const fn bytes_out(&self) -> u64 {
        self.down.written()
    }

    /// Copies both ways until the tunnel ends. `is_over` is asked at every wake-up and wakes the task when the gateway stops.
    pub async fn run<C, U>(&mut self, client: &mut C, upstream: &mut U, mut is_over: impl FnMut(&mut Context<'_>) -> bool)
    where
        C: Receive + AsyncWrite + Unpin,
        U: Receive + AsyncWrite + Unpin,
    {
        let mut last = Instant::now();
        let mut timer = self.idle.map(|idle| Timer::new(last + idle));
        let cause = std::future::poll_fn(|cx| {
            if is_over(cx) {
                return Poll::Ready(Cause::Drain);
            }
            if self.poll_both(cx, client, upstream).is_ready() {
                return Poll::Ready(self.first_end.unwrap_or(Cause::Client));
            }
            if self.up.has_moved() | self.down.has_moved() {
                last = Instant::now();
            }
            let Some(silence) = self.longest_silence() else { return Poll::Pending };
            let timer = timer.get_or_insert_with(|| Timer::new(last + silence));
            if timer.is_due(last + silence, cx) { Poll::Ready(self.first_end.unwrap_or(Cause::Idle)) } else { Poll::Pending }
        })
        .await;
        self.cause = Some(cause);
        match cause {
            Cause::Client | Cause::Upstream => {}
            Cause::Idle => self.close(client, upstream, "idle timeout").await,
            Cause::Drain => self.close(client, upstream, "the gateway is shutting down").await,
        }
    }

    /// Copies both ways. Ready once both directions have ended.
    fn poll_both<C, U>(&mut self, cx: &mut Context<'_>, client: &mut C, upstream: &mut U) -> Poll<()>
    where
        C: Receive + AsyncWrite + Unpin,
        U: Receive + AsyncWrite + Unpin,
    {
        let _ = self.up.poll_copy(cx, client, upstream);
        self.note_end();
        if self.up.ended_by() == Some(EndedBy::BrokenSource) {
            self.down.abandon();
        }
        let _ = self.down.poll_copy(cx, upstream, client);
        self.note_end();
        if self.down.ended_by() == Some(EndedBy::BrokenSource) {
            self.up.abandon();
        }
        if self.up.is_ended() && self.down.is_ended() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Records who ended first.
    fn note_end(&mut self) {
        if self.first_end.is_some() {
            return;
        }
        let by = |ended: EndedBy, source: Cause, sink: Cause| match ended {
            EndedBy::Source | EndedBy::BrokenSource => source,
            EndedBy::Sink => sink,
        };
        let up = self.up.ended_by().map(|ended| by(ended, Cause::Client, Cause::Upstream));
        self.first_end = up.or_else(|| self.down.ended_by().map(|ended| by(ended, Cause::Upstream, Cause::Client)));
    }

    /// Returns how long nothing may move.
    fn longest_silence(&self) -> Option<Duration> {
        let half_closed = self.first_end.map(|_| self.half_closed);
        [self.idle, half_closed].into_iter().flatten().min()
    }

    /// Ends both directions, each with a close frame where a frame may be added. What the two sides still send is discarded: closing a socket
    /// with unread bytes resets it, and the close frame could be lost.
    #[cold]
    async fn close<C, U>(&mut self, client: &mut C, upstream: &mut U, reason: &str)
    where
        C: Receive + AsyncWrite + Unpin,
        U: Receive + AsyncWrite + Unpin,
    {
        self.up.end(|| going_away(reason, Some(fastrand::u32(..).to_be_bytes())));
        self.down.end(|| going_away(reason, None));
        let end = std::future::poll_fn(|cx| {
            let _ = self.up.poll_copy(cx, client, upstream);
            let _ = self.down.poll_copy(cx, upstream, client);
            let both = poll_discard(cx, client).is_ready() & poll_discard(cx, upstream).is_ready();
            if both && self.up.is_ended() && self.down.is_ended() { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = tokio::time::timeout(CLOSING, end).await;
    }
}

/// Reads and discards until the end of the stream.
fn poll_discard<R: Receive>(cx: &mut Context<'_>, source: &mut R) -> Poll<()> {
    let mut scratch = [0; DISCARD];
    while !matches!(std::task::ready!(source.poll_receive(cx, &mut scratch)), Ok(0) | Err(_)) {}
    Poll::Ready(())
}
