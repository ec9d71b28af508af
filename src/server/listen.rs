//! Listening sockets, one per core and address (`SO_REUSEPORT`), and the accept loop with its back-off.
//!
//! Knows nothing of HTTP.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderValue;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::client_socket::ClientSocket;
use super::connection::{OpenConnection, Session};
use super::counted_tcp::CountedTcp;
use super::proxy_header::{self, Source};
use super::tls::{self, Opened};
use crate::body::InterimResponses;
use crate::context::Peer;
use crate::failure::classify::HandshakeEnd;
use crate::gateway::{Client, CurrentGateway, Entry, Gateway, TlsClient};
use crate::limit::inflight::InFlight;
use crate::observe::metrics::Metrics;
use crate::upstream::attempt::private::Private;
use crate::upstream::heads::scan::is_trusted;

/// Length of the kernel's accept queue.
const BACKLOG: i32 = 1024;
/// Connections above the limit that still get an error response. Connections above both are closed at once.
pub const SURPLUS: usize = 256;
/// The longest pause after a failed accept.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Binds `count` listeners to one address. With port 0, the system's choice for the first one is used for all.
///
/// # Errors
/// Returns the system's error. An address in use is detected even if its owner uses `SO_REUSEPORT` too.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
    // Probes without SO_REUSEPORT, so that a second gateway on the same port fails instead of receiving half of the connections.
    drop(socket(address, false)?);
    bind_beside(address, count)
}

/// Binds `count` listeners as [`bind`] does, beside listeners of this process on the same port.
///
/// # Errors
/// Returns the system's error.
pub fn bind_beside(address: SocketAddr, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
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
    // Accepted sockets inherit it, which spares a system call for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// How a listener is told that it accepts no requests any more, because it is removed or the process ends.
#[derive(Debug)]
pub struct Closer {
    signal: watch::Sender<bool>,
    closed: Arc<AtomicBool>,
}

impl Default for Closer {
    fn default() -> Self {
        Self { signal: watch::channel(false).0, closed: Arc::default() }
    }
}

impl Closer {
    /// Returns what the listener's connections watch.
    pub fn watch(&self) -> Watched {
        Watched { closing: self.signal.subscribe(), closed: Arc::clone(&self.closed) }
    }

    /// Closes the listener.
    pub fn close(&self) {
        // The flag changes first, because a connection that has read the signal relies on it.
        self.closed.store(true, Ordering::Release);
        let _ = self.signal.send(true);
    }
}

/// What the connections of a listener watch.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Becomes true when no new requests are accepted.
    closing: watch::Receiver<bool>,
    /// True from then on.
    closed: Arc<AtomicBool>,
}

/// A listening socket of one core.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: std::net::TcpListener,
    /// Connections begin with a TLS handshake.
    pub secure: bool,
    /// The socket is of the service manager, which keeps it open for the next process.
    pub inherited: bool,
    /// Tells the end of the listener.
    pub watched: Watched,
}

/// The state that all listeners of a core share.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// The gateway of the core.
    pub gateway: Arc<CurrentGateway>,
    /// Open connections over all cores. Its maximum is [`SURPLUS`] above that of the plan.
    pub connections: Arc<InFlight>,
    /// Held by every connection, so that the channel closes with the last one.
    pub alive: mpsc::Sender<Infallible>,
}

/// Accepts connections until the listener is closed, then those that are still in the queue of a socket of its own, and returns.
///
/// # Errors
/// Returns the system's error if the listener cannot be used.
pub async fn accept(listener: Listener, shared: ListenerSettings) -> io::Result<()> {
    let Listener { socket, secure, inherited, watched } = listener;
    let listener = TcpListener::from_std(socket)?;
    let mut closing = watched.closing.clone();
    let mut pause = Duration::from_millis(10);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        match accepted {
            Ok((stream, address)) => {
                pause = Duration::from_millis(10);
                start(stream, address, secure, &watched, &shared);
            }
            // For errors like EMFILE the connection stays queued, so an immediate retry would spin.
            Err(error) if !is_per_connection(&error) => {
                tracing::warn!(error = %error, pause_ms = pause.as_millis() as u64, "accept failed, pausing");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
            Err(_) => {}
        }
    }
    // The connections in the queue of an inherited socket wait for the next process.
    if inherited {
        return Ok(());
    }
    // Closing a listener resets the connections in its queue. They are accepted instead, and answered with 503 SHUTTING_DOWN.
    for _ in 0..BACKLOG {
        let Ok(Ok((stream, address))) = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await else { break };
        start(stream, address, secure, &watched, &shared);
    }
    Ok(())
}

/// Returns true if the error concerns one connection: the peer left before it was accepted.
fn is_per_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused | io::ErrorKind::Interrupted
    )
}

/// What the beginning of a connection needs of the plan. A connection keeps no plan while it is open, so that one from before a reload is
/// released.
struct Beginning {
    header_timeout: Duration,
    metrics: Arc<Metrics>,
    /// The settings of the handshake, on a listener for TLS.
    tls: Option<Arc<rustls::ServerConfig>>,
}

/// Starts serving a connection. Drops it if there are too many.
fn start(stream: TcpStream, address: SocketAddr, secure: bool, watched: &Watched, shared: &ListenerSettings) {
    let gateway = shared.gateway.get();
    let (listen, metrics) = (&gateway.plan.listen, &gateway.plan.metrics);
    metrics.accepted.inc();
    let Some(permit) = shared.connections.enter() else { return };
    let tls = listen.tls.as_ref().filter(|_| secure).map(|tls| tls.certificates.current());
    if secure && tls.is_none() {
        // A reload has removed the listener: without certificates, nothing can be said to the client.
        return;
    }
    let client = Client {
        gateway: Arc::clone(&shared.gateway),
        closed: Arc::clone(&watched.closed),
        peer: peer(address, &gateway),
        local: if gateway.plan.names_clients { stream.local_addr().ok() } else { None },
        interim: InterimResponses::default(),
        private: Private::default(),
        surplus: shared.connections.now() > listen.max_connections,
        tls: None,
        takes: Arc::default(),
    };
    let held = OpenConnection::new(permit, &metrics.connections, shared.alive.clone());
    let closing = watched.closing.clone();
    let begins_with_header = listen.proxy_protocol && client.peer.trusted;
    if tls.is_none() && !begins_with_header {
        let mut session = Session::new(ClientSocket::Tcp(CountedTcp::new(stream)), Entry { client: Arc::new(client) }, closing, held);
        tokio::spawn(async move { session.serve().await });
        return;
    }
    let beginning = Beginning { header_timeout: listen.header_timeout, metrics: Arc::clone(metrics), tls };
    if begins_with_header {
        tokio::spawn(serve_behind_proxy(stream, beginning, client, closing, held));
    } else {
        tokio::spawn(serve_connection(stream, beginning, client, closing, held));
    }
}

/// Learns from the PROXY header whom the connection is for, then serves it. Without a valid header it is closed: whoever is trusted to
/// send one and does not would be taken for the client.
async fn serve_behind_proxy(
    mut stream: TcpStream,
    beginning: Beginning,
    mut client: Client,
    closing: watch::Receiver<bool>,
    held: OpenConnection,
) {
    match tokio::time::timeout(beginning.header_timeout, Box::pin(proxy_header::read(&mut stream))).await {
        Ok(Ok(Source::Client(address))) => client.peer = peer(address, &client.gateway.get()),
        // What a client says of itself counts no more because its proxy cannot name it.
        Ok(Ok(Source::Unknown)) => client.peer.trusted = false,
        Ok(Ok(Source::Proxy)) => {}
        Ok(Err(_)) | Err(_) => {
            beginning.metrics.proxy_header_failures.inc();
            return;
        }
    }
    serve_connection(stream, beginning, client, closing, held).await;
}

/// Performs the handshake of a listener for TLS, then serves the connection.
async fn serve_connection(
    stream: TcpStream,
    beginning: Beginning,
    mut client: Client,
    closing: watch::Receiver<bool>,
    held: OpenConnection,
) {
    let Beginning { header_timeout, metrics, tls } = beginning;
    let Some(config) = tls else {
        return Session::new(ClientSocket::Tcp(CountedTcp::new(stream)), Entry { client: Arc::new(client) }, closing, held).serve().await;
    };
    // Boxed, so that a connection which has shaken hands does not keep room for it.
    let (socket, end) = match Box::pin(tls::open(stream, config, header_timeout)).await {
        Opened::Tls(stream) => {
            client.tls = Some(Box::new(TlsClient { version: tls::version_of(&stream), certificate: tls::certificate_of(&stream) }));
            (ClientSocket::Tls(stream), HandshakeEnd::Completed)
        }
        Opened::ClearText(stream) => (ClientSocket::Tcp(CountedTcp::new(stream)), HandshakeEnd::ClearText),
        Opened::Failed(end) => return metrics.tls.handshake(end),
    };
    metrics.tls.handshake(end);
    drop(metrics);
    let mut session = Session::new(socket, Entry { client: Arc::new(client) }, closing, held);
    match end {
        HandshakeEnd::ClearText => Box::pin(session.refuse_clear_text()).await,
        HandshakeEnd::Completed
        | HandshakeEnd::Timeout
        | HandshakeEnd::Closed
        | HandshakeEnd::Incompatible
        | HandshakeEnd::ClientCertificate
        | HandshakeEnd::Alert
        | HandshakeEnd::Protocol => session.serve().await,
    }
}

fn peer(address: SocketAddr, gateway: &Gateway) -> Peer {
    let ip = address.ip().to_canonical();
    // An address is always a valid header value.
    let forwarded_for = HeaderValue::from_str(&ip.to_string()).unwrap_or(HeaderValue::from_static("unknown"));
    Peer { address, forwarded_for, trusted: is_trusted(ip, &gateway.plan.trusted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_sockets_send_without_delay() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
        listener.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(listener.accept().unwrap().0.nodelay().unwrap());
    }
}
