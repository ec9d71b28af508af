//! Converts errors of hyper, I/O and TLS into failures. This is the only place that inspects errors of libraries.
//!
//! `tests/it/faults.rs` causes each behavior of an upstream on a real socket. Must not know requests or responses.

use std::error::Error;
use std::io;

use h2::Reason;

use super::{Failure, Kind, tls_diagnosis};

/// The maximum length of an error chain in the log, in bytes.
const MAX_DETAIL: usize = 400;

/// Classifies the error of opening a connection to an endpoint.
pub fn connect(error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => Kind::ConnectionRefused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => Kind::Unroutable,
        io::ErrorKind::PermissionDenied => Kind::Prohibited,
        io::ErrorKind::TimedOut => Kind::ConnectTimeout,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::UnexpectedEof => Kind::ConnectionLost,
        // ENFILE (23) and EMFILE (24) are failures of the gateway, not of the backend.
        _ => match error.raw_os_error() {
            Some(23 | 24) => Kind::Overloaded,
            _ => Kind::ConnectionRefused,
        },
    };
    Failure::because(kind, chain(error))
}

/// Classifies the error of a TLS handshake with an endpoint. `first` are the first bytes that it sent, at most eleven.
pub fn tls(error: &io::Error, first: &[u8]) -> Failure {
    let found = find::<rustls::Error>(error);
    let kind = match found {
        Some(
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertRevocationList(_),
        ) => Kind::TlsCertificate,
        Some(rustls::Error::AlertReceived(_)) => Kind::TlsAlert,
        Some(_) => Kind::TlsProtocol,
        None if error.kind() == io::ErrorKind::TimedOut => Kind::ConnectTimeout,
        None => Kind::TlsProtocol,
    };
    let diagnosis = match found {
        // The gateway's own, which the library shows as bytes.
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(own))) => return Failure::because(kind, own.to_string()),
        Some(error) => tls_diagnosis::of(error, first),
        None => "the endpoint ended the connection within the TLS handshake".to_owned(),
    };
    Failure::because(kind, if diagnosis.is_empty() { chain(error) } else { format!("{diagnosis} ({})", chain(error)) })
}

/// The kind of an error that [`refused`] made. Reading from a socket has no error of this kind.
const REFUSED: io::ErrorKind = io::ErrorKind::PermissionDenied;

/// Marks the error of a read that is an alert of TLS, and adds its diagnosis: in version 1.3 an endpoint refuses a client certificate when
/// the gateway has completed the handshake already (RFC 8446 4.4.2.4). Libraries pass on no more than the kind and the text of an error.
pub fn refused(error: io::Error) -> io::Error {
    match find::<rustls::Error>(&error) {
        Some(rustls::Error::AlertReceived(_)) => io::Error::new(REFUSED, tls(&error, &[]).detail.unwrap_or_default().into_string()),
        Some(_) | None => error,
    }
}

/// How a TLS handshake with a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeEnd {
    /// It was completed.
    Completed,
    /// The client did not send its part in time.
    Timeout,
    /// The client closed the connection.
    Closed,
    /// The client sent something that is no TLS.
    ClearText,
    /// No version or cipher is known to both.
    Incompatible,
    /// The client's certificate is missing or not valid.
    ClientCertificate,
    /// The client refused, for example because it does not trust the certificate.
    Alert,
    /// The client broke the protocol.
    Protocol,
}

impl HandshakeEnd {
    /// All ends, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Completed,
        Self::Timeout,
        Self::Closed,
        Self::ClearText,
        Self::Incompatible,
        Self::ClientCertificate,
        Self::Alert,
        Self::Protocol,
    ];

    /// Returns the word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::ClearText => "clear_text",
            Self::Incompatible => "incompatible",
            Self::ClientCertificate => "client_certificate",
            Self::Alert => "alert",
            Self::Protocol => "protocol",
        }
    }
}

/// Classifies the error of a TLS handshake with a client.
pub fn client_handshake(error: &io::Error) -> HandshakeEnd {
    match find::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => HandshakeEnd::ClientCertificate,
        Some(rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol) => HandshakeEnd::Incompatible,
        Some(rustls::Error::AlertReceived(_)) => HandshakeEnd::Alert,
        Some(_) => HandshakeEnd::Protocol,
        None => HandshakeEnd::Closed,
    }
}

/// Classifies the error of reading a response head. `received` is true if a part of it has arrived.
pub fn upstream_read(error: &io::Error, received: bool) -> Failure {
    if let Some(failure) = find::<Failure>(error) {
        return failure.clone();
    }
    let kind = match error.kind() {
        REFUSED if !received => Kind::TlsAlert,
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Kind::ResponseMalformed,
        io::ErrorKind::TimedOut => Kind::ResponseTimeout,
        _ if received => Kind::ResponseIncomplete,
        _ => Kind::ConnectionLost,
    };
    Failure::because(kind, chain(error))
}

/// Classifies the error of reading the body of a response.
pub fn upstream_body(error: &io::Error) -> Failure {
    find::<Failure>(error).cloned().unwrap_or_else(|| Failure::because(Kind::ResponseIncomplete, chain(error)))
}

/// How far a request on an HTTP/2 stream got whose response did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processing {
    /// The endpoint did not process it (RFC 9113 8.7), or it was not written.
    None,
    /// The endpoint wants it over HTTP/1.1 and did not process it (RFC 9113 7).
    WantsHttp1,
    /// The connection ended, and the endpoint said nothing of the request.
    Unknown,
    /// The endpoint may have processed it.
    Possible,
}

/// The failure of a request on an HTTP/2 stream that got no response.
#[derive(Debug)]
pub struct Http2Failure {
    /// The failure.
    pub failure: Failure,
    /// Whether the endpoint processed the request.
    pub processing: Processing,
}

impl From<Failure> for Http2Failure {
    fn from(failure: Failure) -> Self {
        Self { failure, processing: Processing::Possible }
    }
}

/// Classifies the error of a request that could not be written to an HTTP/2 connection.
pub fn http2_unsent(error: &h2::Error) -> Http2Failure {
    let broken = error.is_io() || error.is_go_away() || error.is_reset();
    match broken {
        true => Http2Failure { failure: Failure::because(Kind::ConnectionLost, chain(error)), processing: Processing::None },
        // The library refuses the request itself.
        false => Failure::because(Kind::BadRequest, chain(error)).into(),
    }
}

/// Classifies the error of an HTTP/2 stream before its response head. A GOAWAY reaches only the streams above its last one.
pub fn http2_head(error: &h2::Error) -> Http2Failure {
    let (kind, processing) = match error.reason().filter(|_| error.is_remote()) {
        Some(_) if error.is_go_away() => (Kind::StreamRefused, Processing::None),
        Some(Reason::REFUSED_STREAM) => (Kind::StreamRefused, Processing::None),
        Some(Reason::ENHANCE_YOUR_CALM) => (Kind::StreamRefused, Processing::Possible),
        Some(Reason::HTTP_1_1_REQUIRED) => (Kind::ResponseMalformed, Processing::WantsHttp1),
        Some(_) => (Kind::ConnectionLost, Processing::Possible),
        None => match error.get_io().map(io::Error::kind) {
            Some(REFUSED) => (Kind::TlsAlert, Processing::Possible),
            Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => (Kind::ResponseMalformed, Processing::Possible),
            Some(_) => (Kind::ConnectionLost, Processing::Unknown),
            None => (Kind::ResponseMalformed, Processing::Possible),
        },
    };
    Http2Failure { failure: Failure::because(kind, chain(error)), processing }
}

/// Classifies the error of an HTTP/2 stream within its response.
pub fn http2_body(error: &h2::Error) -> Failure {
    let kind = if error.is_library() { Kind::ResponseMalformed } else { Kind::ResponseIncomplete };
    Failure::because(kind, chain(error))
}

/// Classifies the error of a request body that ended early.
pub fn request_body(error: &hyper::Error) -> Failure {
    let broken_framing =
        matches!(find::<io::Error>(error).map(io::Error::kind), Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData));
    let kind = if broken_framing { Kind::BadRequest } else { Kind::ClientClosed };
    Failure::because(kind, chain(error))
}

/// Returns the chain of causes as one line of bounded length.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = cause.source();
    }
    let end = line.char_indices().map(|(at, _)| at).find(|at| *at >= MAX_DETAIL).unwrap_or(line.len());
    line.truncate(end);
    line
}

/// Returns the first error of type `T` in the chain. `source` skips the error that an `io::Error` wraps, so it is searched as well.
fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(inner) = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(found) = find::<T>(inner)
        {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_errors_have_their_rows() {
        let kind = |k: io::ErrorKind| connect(&io::Error::from(k)).kind;
        assert_eq!(kind(io::ErrorKind::ConnectionRefused), Kind::ConnectionRefused);
        assert_eq!(kind(io::ErrorKind::HostUnreachable), Kind::Unroutable);
        assert_eq!(kind(io::ErrorKind::NetworkUnreachable), Kind::Unroutable);
        assert_eq!(kind(io::ErrorKind::PermissionDenied), Kind::Prohibited);
        assert_eq!(connect(&io::Error::from_raw_os_error(24)).kind, Kind::Overloaded);
    }

    #[test]
    fn tls_errors_have_their_rows() {
        let kind = |e: rustls::Error| tls(&io::Error::new(io::ErrorKind::InvalidData, e), &[]).kind;
        assert_eq!(kind(rustls::Error::InvalidCertificate(rustls::CertificateError::Expired)), Kind::TlsCertificate);
        assert_eq!(kind(rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure)), Kind::TlsAlert);
        assert_eq!(kind(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)), Kind::TlsProtocol);
        // Without an error of TLS itself, the clock or the connection ended the handshake.
        assert_eq!(tls(&io::ErrorKind::TimedOut.into(), &[]).kind, Kind::ConnectTimeout);
        assert_eq!(tls(&io::ErrorKind::UnexpectedEof.into(), &[]).kind, Kind::TlsProtocol);
    }

    #[test]
    fn handshakes_of_clients_have_their_words() {
        let of = |e: rustls::Error| client_handshake(&io::Error::new(io::ErrorKind::InvalidData, e));
        assert_eq!(of(rustls::Error::NoCertificatesPresented), HandshakeEnd::ClientCertificate);
        assert_eq!(of(rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA)), HandshakeEnd::Alert);
        assert_eq!(of(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)), HandshakeEnd::Protocol);
        assert_eq!(client_handshake(&io::ErrorKind::UnexpectedEof.into()), HandshakeEnd::Closed);
    }

    #[test]
    fn chains_are_bounded_and_do_not_split_characters() {
        let long = io::Error::other("ä".repeat(1_000));
        assert!(chain(&long).len() <= MAX_DETAIL + 4);
    }
}
