//! The TLS handshake with a client.
//!
//! Knows nothing of requests, nor where certificates come from.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use rustls::{ProtocolVersion, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::counted_tcp::CountedTcp;
use crate::failure::classify::{self, HandshakeEnd};

/// The type of a record that begins a handshake (RFC 8446 5.1).
const HANDSHAKE: u8 = 0x16;

/// How a connection to the listener for TLS began.
pub(super) enum Opened {
    /// The handshake is complete.
    Tls(Box<TlsStream<CountedTcp>>),
    /// The client sent something that is no TLS. Nothing was read.
    ClearText(TcpStream),
    /// There is no one to talk to.
    Failed(HandshakeEnd),
}

/// Performs the handshake.
pub(super) async fn open(tcp: TcpStream, config: Arc<ServerConfig>, timeout: Duration) -> Opened {
    tokio::time::timeout(timeout, handshake(tcp, config)).await.unwrap_or(Opened::Failed(HandshakeEnd::Timeout))
}

async fn handshake(tcp: TcpStream, config: Arc<ServerConfig>) -> Opened {
    let mut first = [0];
    match tcp.peek(&mut first).await {
        Ok(1..) if first[0] == HANDSHAKE => {}
        Ok(1..) => return Opened::ClearText(tcp),
        Ok(0) | Err(_) => return Opened::Failed(HandshakeEnd::Closed),
    }
    match TlsAcceptor::from(config).accept(CountedTcp::new(tcp)).await {
        Ok(stream) => Opened::Tls(Box::new(stream)),
        Err(error) => Opened::Failed(classify::client_handshake(&error)),
    }
}

/// Returns the name of the version that was agreed on, as OpenSSL and nginx write it.
pub(super) fn version_of(stream: &TlsStream<CountedTcp>) -> &'static str {
    match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        // rustls speaks no other.
        Some(_) | None => "TLS",
    }
}

/// Returns the client's own certificate for `Client-Cert` (RFC 9440 2.2), if the client showed one. It was verified.
pub(super) fn certificate_of(stream: &TlsStream<CountedTcp>) -> Option<HeaderValue> {
    let own = stream.get_ref().1.peer_certificates()?.first()?;
    HeaderValue::from_str(&format!(":{}:", STANDARD.encode(own))).ok()
}
