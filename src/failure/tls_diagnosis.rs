//! What a failed TLS handshake with an endpoint means, and what to do about it, as a sentence for the operator.
//!
//! Must not decide what becomes of the request.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// The oldest version that is spoken, for the texts.
const OLD: &str = "speaks neither TLS 1.2 nor TLS 1.3; enable one of them there";

/// Returns the diagnosis of an error that `rustls` reports. `first` are the first bytes that the endpoint sent. Empty if there is nothing
/// to add to the error.
pub(super) fn of(error: &Error, first: &[u8]) -> String {
    let text = match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(alert) => self::alert(*alert),
        Error::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig | PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ) => return old_version(first),
        Error::PeerIncompatible(_) => "the endpoint speaks a TLS that has no safe cipher or key exchange in common with the gateway",
        Error::InvalidMessage(InvalidMessage::InvalidContentType) if first.starts_with(b"HTTP/") => {
            "the endpoint speaks HTTP in clear text on this port; write `http://` in its URL, or use its port for TLS"
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "the endpoint does not speak TLS on this port",
        _ if server_version(first).is_some_and(|version| version < 0x0303) => return old_version(first),
        _ => "",
    };
    text.to_owned()
}

/// Returns the version of a `ServerHello` (RFC 5246 7.4.1.3).
fn server_version(first: &[u8]) -> Option<u16> {
    match first {
        [0x16, _, _, _, _, 2, _, _, _, major, minor, ..] => Some(u16::from_be_bytes([*major, *minor])),
        _ => None,
    }
}

fn old_version(first: &[u8]) -> String {
    let spoken = match server_version(first) {
        Some(0x0300) => "SSL 3.0",
        Some(0x0301) => "TLS 1.0",
        Some(0x0302) => "TLS 1.1",
        Some(_) | None => return format!("the endpoint {OLD}"),
    };
    format!("the endpoint answers in {spoken} and {OLD}")
}

fn certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired; renew it at the endpoint",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet; compare the clocks of both machines"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another name; set `server_name` of the backend's `tls` to one of its names"
        }
        CertificateError::UnknownIssuer => {
            "no trusted authority vouches for the certificate; set `ca` of the backend's `tls` to its authority, or to the certificate itself \
             if it is self-signed"
        }
        CertificateError::BadSignature => {
            "a signature is not of the key that is trusted under this name; set `ca` of the backend's `tls` to the authority that issued the \
             certificate"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => "the certificate is not one for servers",
        _ => "",
    }
}

fn alert(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::ProtocolVersion => "the endpoint refuses TLS 1.2 and TLS 1.3; enable one of them there",
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            "the endpoint accepts none of the offered ciphers, or it wants a client certificate: set `cert` and `key` of the backend's `tls`"
        }
        AlertDescription::CertificateRequired => "the endpoint wants a client certificate; set `cert` and `key` of the backend's `tls`",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => "the endpoint does not accept the client certificate; see `cert` of the backend's `tls`",
        AlertDescription::UnrecognisedName => "the endpoint does not know the name; set `server_name` of the backend's `tls`",
        AlertDescription::NoApplicationProtocol => "the endpoint speaks another version of HTTP; see `protocol` of the backend",
        _ => "",
    }
}
