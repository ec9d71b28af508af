//! Opens a connection to an endpoint: name resolution, TCP, TLS.
//!
//! It is a `tower` service. A [`Dialer`] takes the place of the network in `lockgate test` and `lockgate record`. Knows nothing of pools.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::first_bytes::FirstBytes;
use super::resolve::Resolver;
use super::stream::Stream;
use super::target::{Protocol, Target};
use crate::failure::{Failure, Kind, classify};

/// How long to wait for an address before the next one is tried as well.
const STAGGER: Duration = Duration::from_millis(250);

/// A connection that is being opened.
pub type Dialing = Pin<Box<dyn Future<Output = Result<Stream, Failure>> + Send>>;

/// Opens connections in place of the network.
pub trait Dialer: fmt::Debug + Send + Sync {
    /// Opens a connection, which carries HTTP/1 whatever the endpoint speaks.
    fn dial(&self, dial: Dial) -> Dialing;
}

/// Opens connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connector {
    resolver: Resolver,
    dialer: Option<Arc<dyn Dialer>>,
}

impl Connector {
    /// Creates a connector that uses this resolver.
    pub const fn new(resolver: Resolver) -> Self {
        Self { resolver, dialer: None }
    }

    /// Creates a connector that opens all connections through `dialer`, and resolves no name.
    pub fn through(dialer: Arc<dyn Dialer>) -> Self {
        Self { resolver: Resolver::default(), dialer: Some(dialer) }
    }

    async fn open(self, Dial { target, address, phase, http1_only, proxy_header }: Dial) -> Result<Stream, Failure> {
        let addresses = match address {
            Some(address) => vec![SocketAddr::new(address, target.port)],
            None => {
                let resolved = self.resolver.resolve(&target.host).await;
                let resolved = resolved.map_err(|error| Failure::because(Kind::DnsError, error.to_string()))?;
                resolved.iter().map(|address| SocketAddr::new(*address, target.port)).collect()
            }
        };
        phase.resolved();
        let mut tcp = dial(&addresses).await?;
        if !proxy_header.is_empty() {
            tcp.write_all(&proxy_header).await.map_err(|error| classify::connect(&error))?;
        }
        match &target.tls {
            None => Ok(Stream::Tcp(tcp)),
            Some(tls) => {
                let config = if http1_only { tls.http1_only() } else { Arc::clone(&tls.config) };
                let connector = tokio_rustls::TlsConnector::from(config);
                let handshake = connector.connect(tls.server_name.clone(), FirstBytes::of(tcp)).into_fallible();
                let stream = handshake.await.map_err(|(error, received)| classify::tls(&error, received.first()))?;
                let stream = Stream::Tls(Box::new(stream));
                if target.protocol == Protocol::Http2 && !stream.chose_http2() {
                    return Err(Failure::because(Kind::TlsProtocol, "the endpoint did not choose HTTP/2 (ALPN `h2`)"));
                }
                Ok(stream)
            }
        }
    }
}

/// The destination of a connection.
#[derive(Debug)]
pub struct Dial {
    /// The endpoint as configured.
    pub target: Arc<Target>,
    /// Its address; `None` if its name must be resolved.
    pub address: Option<IpAddr>,
    /// Records how far the connector got.
    pub phase: Arc<Phase>,
    /// The connection is for a request that HTTP/2 cannot carry.
    pub http1_only: bool,
    /// What is sent in front of everything else, also of TLS; usually empty.
    pub proxy_header: Vec<u8>,
}

/// How far the connector got. An elapsed connect timeout has a different kind before and after the name is resolved.
#[derive(Debug, Default)]
pub struct Phase(std::sync::atomic::AtomicBool);

impl Phase {
    fn resolved(&self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Returns the kind of failure if the connect timeout elapses now.
    pub fn elapsed(&self) -> Kind {
        if self.0.load(std::sync::atomic::Ordering::Relaxed) { Kind::ConnectTimeout } else { Kind::DnsTimeout }
    }
}

impl tower::Service<Dial> for Connector {
    type Response = Stream;
    type Error = Failure;
    type Future = Dialing;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, dial: Dial) -> Self::Future {
        match &self.dialer {
            None => Box::pin(self.clone().open(dial)),
            Some(dialer) => dialer.dial(dial),
        }
    }
}

/// Tries the addresses in order, the next one when one fails or does not respond in time (RFC 8305 5). Returns the first connection, or the
/// last failure.
async fn dial(addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
    if let [address] = addresses {
        return dial_one(*address).await;
    }
    let mut failure = Failure::because(Kind::DnsError, "no addresses");
    let mut remaining = addresses.iter();
    let mut attempts = JoinSet::new();
    loop {
        match remaining.next() {
            Some(address) => drop(attempts.spawn(dial_one(*address))),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        let joined = match remaining.len() {
            0 => attempts.join_next().await,
            _ => match tokio::time::timeout(STAGGER, attempts.join_next()).await {
                Ok(joined) => joined,
                Err(_) => continue,
            },
        };
        match joined {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => failure = error,
            Some(Err(_)) | None => {}
        }
    }
}

async fn dial_one(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|error| classify::connect(&error))?;
    if is_self_connected(&stream) {
        return Err(Failure::because(Kind::ConnectionRefused, "the connection reached itself"));
    }
    // Disables Nagle's algorithm, which delays small requests. A socket that refuses the option still works.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Returns true if the socket is connected to itself: on loopback, connecting to a closed port can hit the socket's own ephemeral port (TCP
/// simultaneous open).
fn is_self_connected(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}
