//! Listening sockets, one per core and address (`SO_REUSEPORT`), and the accept loop with its back-off.
//!
//! Knows nothing of HTTP.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
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
use crate::gateway::{Client, Entry, Gateway, TlsClient};
use crate::limit::inflight::InFlight;
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

/// The state that all listeners of the process share.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// Open connections over all cores. Its maximum is `max` plus [`SURPLUS`].
    pub connections: Arc<InFlight>,
    /// Maximum number of connections.
    pub max: usize,
    /// Becomes true when no new requests are accepted.
    pub closing: watch::Receiver<bool>,
    /// Held by every connection, so that the channel closes with the last one.
    pub alive: mpsc::Sender<Infallible>,
}

/// Accepts connections until `closing`, then those that are still in the kernel's queue, and returns. On a `secure` listener, connections
/// begin with a TLS handshake.
///
/// # Errors
/// Returns the system's error if the listener cannot be used.
pub async fn accept(listener: std::net::TcpListener, secure: bool, gateway: Arc<Gateway>, shared: ListenerSettings) -> io::Result<()> {
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
                start(stream, address, secure, &gateway, &shared);
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
    // Closing a listener resets the connections in its queue. They are accepted instead, and answered with 503 SHUTTING_DOWN.
    for _ in 0..BACKLOG {
        let Ok(Ok((stream, address))) = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await else { break };
        start(stream, address, secure, &gateway, &shared);
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

/// Starts serving a connection. Drops it if there are too many.
fn start(stream: TcpStream, address: SocketAddr, secure: bool, gateway: &Arc<Gateway>, shared: &ListenerSettings) {
    let metrics = &gateway.plan.metrics;
    metrics.accepted.inc();
    let Some(permit) = shared.connections.enter() else { return };
    let surplus = shared.connections.now() > shared.max;
    let client = Client {
        gateway: Arc::clone(gateway),
        peer: peer(address, gateway),
        local: if gateway.plan.names_clients { stream.local_addr().ok() } else { None },
        interim: InterimResponses::default(),
        private: Private::default(),
        surplus,
        tls: None,
        takes: Arc::default(),
    };
    let held = OpenConnection::new(permit, &metrics.connections, shared.alive.clone());
    let closing = shared.closing.clone();
    if gateway.plan.listen.proxy_protocol && client.peer.trusted {
        tokio::spawn(serve_behind_proxy(stream, secure, client, closing, held));
    } else if let Some(tls) = gateway.plan.listen.tls.as_ref().filter(|_| secure) {
        tokio::spawn(serve_tls(stream, tls.certificates.current(), client, closing, held));
    } else {
        let mut session = Session::new(ClientSocket::Tcp(CountedTcp::new(stream)), Entry { client: Arc::new(client) }, closing, held);
        tokio::spawn(async move { session.serve().await });
    }
}

/// Learns from the PROXY header whom the connection is for, then serves it. Without a valid header it is closed: whoever is trusted to
/// send one and does not would be taken for the client.
async fn serve_behind_proxy(mut stream: TcpStream, secure: bool, mut client: Client, closing: watch::Receiver<bool>, held: OpenConnection) {
    let plan = Arc::clone(&client.gateway.plan);
    match tokio::time::timeout(plan.listen.header_timeout, Box::pin(proxy_header::read(&mut stream))).await {
        Ok(Ok(Source::Client(address))) => client.peer = peer(address, &client.gateway),
        // What a client says of itself counts no more because its proxy cannot name it.
        Ok(Ok(Source::Unknown)) => client.peer.trusted = false,
        Ok(Ok(Source::Proxy)) => {}
        Ok(Err(_)) | Err(_) => {
            plan.metrics.proxy_header_failures.inc();
            return;
        }
    }
    match plan.listen.tls.as_ref().filter(|_| secure) {
        Some(tls) => serve_tls(stream, tls.certificates.current(), client, closing, held).await,
        None => Session::new(ClientSocket::Tcp(CountedTcp::new(stream)), Entry { client: Arc::new(client) }, closing, held).serve().await,
    }
}

/// Performs the handshake, then serves the connection.
async fn serve_tls(
    stream: TcpStream,
    config: Arc<rustls::ServerConfig>,
    mut client: Client,
    closing: watch::Receiver<bool>,
    held: OpenConnection,
) {
    let plan = Arc::clone(&client.gateway.plan);
    // Boxed, so that a connection which has shaken hands does not keep room for it.
    let (socket, end) = match Box::pin(tls::open(stream, config, plan.listen.header_timeout)).await {
        Opened::Tls(stream) => {
            client.tls = Some(Box::new(TlsClient { version: tls::version_of(&stream), certificate: tls::certificate_of(&stream) }));
            (ClientSocket::Tls(stream), HandshakeEnd::Completed)
        }
        Opened::ClearText(stream) => (ClientSocket::Tcp(CountedTcp::new(stream)), HandshakeEnd::ClearText),
        Opened::Failed(end) => return plan.metrics.tls.handshake(end),
    };
    plan.metrics.tls.handshake(end);
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
