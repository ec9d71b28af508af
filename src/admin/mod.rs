//! The admin listener: liveness, readiness, metrics, the running configuration and its reload, and the level of the log, on an address
//! separate from the data listener.
//!
//! Checks `Host` against DNS rebinding, and sends errors in the envelope format like the gateway. Must not contact backends.

pub mod api;
mod attempts;
pub mod audit;
mod client;
mod entrance;
mod guard;
mod log_level;
pub mod openapi;
pub mod page;
mod pages;
mod reload;
mod response;
pub mod role;
mod session;
mod site;
pub mod table;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub use self::reload::{Attempt, Busy, Cause, Outcome, ReloadRequest, Reloads, RunningConfig, ShownProblem, Status};

pub use self::pages::Pages;
pub use self::site::Site;

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

impl Bound {
    /// Takes a bound socket that does not block. `configured` is its address in the configuration.
    ///
    /// # Errors
    /// Returns the system's error.
    pub fn new(listener: std::net::TcpListener, configured: SocketAddr) -> io::Result<Self> {
        Ok(Self { bound: listener.local_addr()?, configured, listener })
    }

    /// Serves the listener on the current runtime.
    pub fn serve(self, pages: Arc<Pages>) -> AdminListener {
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
        let next = bound.serve(Arc::clone(&self.pages));
        self.accepting.abort();
        tracing::info!(admin = %next.bound, "listening");
        *self = next;
    }
}

async fn serve(listener: TcpListener, pages: Arc<Pages>) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
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
                async move { Ok::<_, Infallible>(pages.respond(request, peer.ip()).await) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            // An error here affects only this client.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
        open.push_back(connection.abort_handle());
    }
}
