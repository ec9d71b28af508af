//! Judges the certificate that an endpoint shows: by a chain to a trusted root, by equality with a trusted certificate, by the digest of its
//! key, or not at all.
//!
//! Whatever is accepted, the endpoint must prove that it has the key of the certificate (RFC 8446 4.4.3). Knows nothing of connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::CertificateError::{ExpiredContext, NotValidYetContext};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

/// The SHA-256 digest of a `SubjectPublicKeyInfo` (RFC 7469 2.4).
pub type Pin = [u8; 32];

/// Judges the certificates of the endpoints of one backend.
#[derive(Debug)]
pub struct Verifier {
    /// Verifies chains; `None` if no root is asked for.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that are trusted as they are.
    given: Vec<CertificateDer<'static>>,
    /// The endpoint's key must be one of these, unless there are none.
    pins: Vec<Pin>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// The key of a certificate is none of those that are pinned.
#[derive(Debug, thiserror::Error)]
#[error("the key of the certificate, sha256/{}, is not one of those in `pin`", STANDARD.encode(.0))]
pub struct NotPinned(Pin);

impl Verifier {
    /// Creates a verifier that accepts every certificate whose key is pinned, or every certificate if there are no pins.
    pub fn without_roots(pins: Vec<Pin>, provider: &CryptoProvider) -> Self {
        Self { chain: None, given: Vec::new(), pins, algorithms: provider.signature_verification_algorithms }
    }

    /// Creates a verifier that accepts the certificates that `roots` vouch for and those that are `given`. With pins, the key must be
    /// pinned as well.
    ///
    /// # Errors
    /// The roots cannot be used.
    pub fn with_roots(
        roots: RootCertStore,
        given: Vec<CertificateDer<'static>>,
        pins: Vec<Pin>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, impl fmt::Display> {
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build()?;
        let algorithms = provider.signature_verification_algorithms;
        Ok::<_, rustls::client::VerifierBuilderError>(Self { chain: Some(chain), given, pins, algorithms })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.chain {
            // A chain has a root above the endpoint's own certificate, and a self-signed one has none above itself.
            Some(_) if self.given.contains(own) => {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
                verify_time(own, now)?;
            }
            Some(chain) => {
                chain.verify_server_cert(own, intermediates, name, ocsp, now)?;
            }
            None => {}
        }
        if !self.pins.is_empty() {
            verify_pin(own, &self.pins)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, own, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, own, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Checks that a certificate is valid now (RFC 5280 4.1.2.5).
fn verify_time(own: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(own).map_err(|_| CertificateError::BadEncoding)?;
    // A time before 1970 is 1970.
    let time = |at: x509_parser::time::ASN1Time| UnixTime::since_unix_epoch(Duration::from_secs(at.timestamp().try_into().unwrap_or(0)));
    let (not_before, not_after) = (time(parsed.validity().not_before), time(parsed.validity().not_after));
    if now < not_before {
        return Err(NotValidYetContext { time: now, not_before });
    }
    if now > not_after { Err(ExpiredContext { time: now, not_after }) } else { Ok(()) }
}

fn verify_pin(own: &CertificateDer<'_>, pins: &[Pin]) -> Result<(), Error> {
    let key = ParsedCertificate::try_from(own)?.subject_public_key_info();
    let mut digest = Pin::default();
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &key).as_ref());
    if pins.contains(&digest) {
        return Ok(());
    }
    Err(CertificateError::Other(OtherError(Arc::new(NotPinned(digest)))).into())
}
