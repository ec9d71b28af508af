//! Listening sockets: one per core and address (`SO_REUSEPORT`), and the accept loop with its back-off.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::connection::{OpenConnection, Session};
use crate::context::Peer;
use crate::gateway::{Client, Entry, Gateway};
use crate::limit::inflight::InFlight;
use crate::upstream::attempt::private::Private;
use crate::upstream::heads::request::is_trusted;

/// Connections the kernel may queue.
const BACKLOG: i32 = 1024;
/// Connections over the limit that are still told so with an envelope; beyond them the socket just closes.
pub const SURPLUS: usize = 256;
/// Longest pause after a failed accept.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Binds `count` listeners to one address; port 0 is chosen once and shared.
///
/// # Errors
/// As the system says; an address in use is found even when its owner shares its port too.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
    // Without SO_REUSEPORT a second gateway on the same port fails here instead of taking half of the connections.
    drop(socket(address, false)?);
    let mut listeners: Vec<std::net::TcpListener> = Vec::with_capacity(count);
    for _ in 0..count.max(1) {
        let address = listeners.first().map_or(Ok(address), std::net::TcpListener::local_addr)?;
        listeners.push(socket(address, true)?.into());
    }
    Ok(listeners)
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// What all listeners of the process share.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// Connections open, over all cores, with [`SURPLUS`] on top of the limit.
    pub connections: Arc<InFlight>,
    /// The limit itself.
    pub max: usize,
    /// True when no new request is wanted.
    pub closing: watch::Receiver<bool>,
    /// Held by every connection: when the last one is gone, so is the channel.
    pub alive: mpsc::Sender<Infallible>,
}

/// Accepts until `closing`, then takes what the kernel still queues and ends.
pub async fn accept(listener: std::net::TcpListener, gateway: Arc<Gateway>, shared: ListenerSettings) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut closing = shared.closing.clone();
    let mut pause = Duration::from_millis(10);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        match accepted {
            Ok((stream, address)) => {
                pause = Duration::from_millis(10);
                start(stream, address, &gateway, &shared);
            }
            // EMFILE and its kin: the connection stays queued, and to ask again at once would spin.
            Err(error) if !is_per_connection(&error) => {
                tracing::warn!(error = %error, pause_ms = pause.as_millis() as u64, "accept failed, pausing");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
            Err(_) => {}
        }
    }
    // To close a listener resets what is queued: those clients are answered (503 SHUTTING_DOWN) instead.
    for _ in 0..BACKLOG {
        let Ok(Ok((stream, address))) = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await else { break };
        start(stream, address, &gateway, &shared);
    }
    Ok(())
}

/// The peer went away between its SYN and our accept.
fn is_per_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused | io::ErrorKind::Interrupted
    )
}

fn start(stream: TcpStream, address: SocketAddr, gateway: &Arc<Gateway>, shared: &ListenerSettings) {
    let metrics = &gateway.plan.metrics;
    metrics.accepted.inc();
    let Some(place) = shared.connections.enter() else { return };
    let surplus = shared.connections.now() > shared.max;
    let _ = stream.set_nodelay(true);
    let client =
        Client { gateway: Arc::clone(gateway), peer: peer(address, gateway), private: Private::default(), surplus, takes: Arc::default() };
    let entry = Entry { client: Arc::new(client) };
    let held = OpenConnection::new(place, &metrics.connections, shared.alive.clone());
    let mut session = Session::new(stream, entry, shared.closing.clone(), held);
    tokio::spawn(async move { session.serve().await });
}

fn peer(address: SocketAddr, gateway: &Gateway) -> Peer {
    let ip = address.ip().to_canonical();
    // An address is always a valid header value.
    let forwarded_for = HeaderValue::from_str(&ip.to_string()).unwrap_or(HeaderValue::from_static("unknown"));
    Peer { address, forwarded_for, trusted: is_trusted(ip, &gateway.plan.trusted) }
}
