//! An HTTP/2 connection of a client, which hyper drives: its limits, its clocks, and its two-step shutdown.
//!
//! Knows nothing of routes or upstreams.

mod clock;
mod guard;
mod head;
mod io;
mod service;
mod state;
mod websocket;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use self::clock::{Clock, Wait};
use self::io::Http2Io;
use self::service::Service;
use self::state::ConnectionState;
use super::client_stream::ClientStream;
use super::settings::Settings;
use crate::gateway::Entry;

/// The connection preface of HTTP/2 with prior knowledge (RFC 9113 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Maximum number of concurrent streams of a connection.
const MAX_STREAMS: u32 = 100;

/// Serves a connection until it ends.
pub(super) async fn serve(stream: &mut ClientStream, entry: &Entry, closing: &mut watch::Receiver<bool>) {
    let settings = Settings::of(&entry.client.gateway.get().plan.listen);
    let state = Arc::new(ConnectionState::default());
    let service = Service { entry: entry.clone(), state: Arc::clone(&state) };
    // HPACK lists may exceed the limit up to eightfold, so that the gateway itself can answer 431 with its error response. Beyond that h2
    // does.
    let list = u32::try_from(settings.max_header_size.saturating_mul(8)).unwrap_or(u32::MAX);
    let mut connection = pin!(
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            // WebSocket (RFC 8441 3).
            .enable_connect_protocol()
            .max_header_list_size(list)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(128)
            .max_send_buf_size(64 * 1024)
            .keep_alive_interval(settings.idle_timeout / 2)
            .keep_alive_timeout(settings.write_timeout)
            .serve_connection(Http2Io::new(stream, Arc::clone(&state), settings.max_header_size), service)
    );
    let mut clock = Clock::new(settings);
    let mut closing = pin!(closing.wait_for(|closing| *closing));
    let mut ending = false;
    // A client that reads nothing would hold a connection that is to end for ever.
    let mut last: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(|cx| {
        if !ending && closing.as_mut().poll(cx).is_ready() {
            ending = true;
            connection.as_mut().graceful_shutdown();
        }
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while let Some(timer) = last.as_mut()
            && timer.as_mut().poll(cx).is_ready()
        {
            if state.open() == 0 {
                return Poll::Ready(());
            }
            timer.as_mut().reset(Instant::now() + settings.write_timeout);
        }
        let mut wait = clock.poll(cx, &state);
        while wait == Poll::Ready(Wait::Write) {
            state.look();
            if connection.as_mut().poll(cx).is_ready() || !clock.client_reads(&state) {
                return Poll::Ready(());
            }
            wait = clock.poll(cx, &state);
        }
        match wait {
            Poll::Ready(_) if !ending => {
                ending = true;
                last = Some(Box::pin(tokio::time::sleep(settings.write_timeout)));
                connection.as_mut().graceful_shutdown();
                // The timer is to wake this task.
                cx.waker().wake_by_ref();
                connection.as_mut().poll(cx).map(drop)
            }
            Poll::Ready(_) | Poll::Pending => Poll::Pending,
        }
    })
    .await;
}
