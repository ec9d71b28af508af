//! TLS to a backend: whom it trusts, the expected server name and the client certificate.
//!
//! Knows nothing of connections.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::verify::{Pin, Verifier};
use crate::regular_file;

/// The TLS settings of one backend.
#[derive(Clone)]
pub struct Tls {
    /// Shared by all endpoints and connections, so that sessions are resumed.
    pub config: Arc<ClientConfig>,
    /// Digest of the keys and files that the configuration was made from; used to compare configurations.
    pub made_from: [u8; 32],
    /// Any certificate is accepted.
    pub unverified: bool,
    /// The name that the server's certificate must be valid for.
    pub server_name: ServerName<'static>,
}

impl Tls {
    /// Returns the configuration for a connection that must not speak HTTP/2.
    pub fn http1_only(&self) -> Arc<ClientConfig> {
        let mut config = (*self.config).clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Tls({:?})", self.server_name)
    }
}

/// The largest file of certificates or a key, in bytes. The roots of a system have a quarter of a megabyte.
const MAX_PEM: u64 = 4 << 20;

/// A file that could not be used, as a sentence for the operator.
pub type Complaint = String;

/// Which certificates of a backend are accepted.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// The file of the trusted certificates; `None` for the system's roots, or for no chain at all if there are pins.
    pub ca: Option<&'a Path>,
    /// The keys that are accepted; empty for all.
    pub pins: &'a [Pin],
    /// False if any certificate is accepted.
    pub verify: bool,
}

impl Trust<'_> {
    /// Returns the verifier, or the file that cannot be used.
    fn verifier(self, provider: &Arc<CryptoProvider>) -> Result<Verifier, Complaint> {
        let (roots, given) = match self.ca {
            _ if !self.verify => return Ok(Verifier::without_roots(Vec::new(), provider)),
            None if !self.pins.is_empty() => return Ok(Verifier::without_roots(self.pins.to_vec(), provider)),
            None => (system_roots()?, Vec::new()),
            Some(path) => {
                let given = certificates(path)?;
                (roots_of(&given, path)?, given)
            }
        };
        Verifier::with_roots(roots, given, self.pins.to_vec(), provider).map_err(|e| format!("the roots cannot be used: {e}"))
    }
}

/// Builds the client configuration. The endpoint chooses one of `protocols` (ALPN).
///
/// # Errors
/// Returns a sentence that names the file.
pub fn client_config(
    trust: Trust<'_>,
    identity: Option<(&Path, &Path)>,
    protocols: &[&[u8]],
) -> Result<(Arc<ClientConfig>, [u8; 32]), Complaint> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = trust.verifier(&provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates(cert)?;
            let content = regular_file::read(key, MAX_PEM).map_err(|e| format!("cannot read `{}`: {e}", key.display()))?;
            let key = PrivateKeyDer::from_pem_slice(&content).map_err(|e| format!("no private key in `{}`: {e}", key.display()))?;
            builder.with_client_auth_cert(chain, key).map_err(|e| format!("the certificate in `{}` cannot be used: {e}", cert.display()))?
        }
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok((Arc::new(config), digest(trust, [trust.ca, identity.map(|(cert, _)| cert), identity.map(|(_, key)| key)])))
}

/// Digests what is trusted and the contents of the files; a missing or unreadable file counts as empty.
fn digest(trust: Trust<'_>, files: [Option<&Path>; 3]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(&[u8::from(trust.verify), u8::from(trust.ca.is_some())]);
    context.update(&(trust.pins.len() as u64).to_be_bytes());
    context.update(trust.pins.as_flattened());
    for file in files {
        let content = file.and_then(|path| regular_file::read(path, MAX_PEM).ok()).unwrap_or_default();
        context.update(&(content.len() as u64).to_be_bytes());
        context.update(&content);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Complaint> {
    let content = regular_file::read(path, MAX_PEM).map_err(|e| format!("cannot read `{}`: {e}", path.display()))?;
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(&content).collect::<Result<_, _>>().map_err(|e| format!("`{}` is not PEM: {e}", path.display()))?;
    if found.is_empty() { Err(format!("no certificate in `{}`", path.display())) } else { Ok(found) }
}

fn roots_of(given: &[CertificateDer<'static>], path: &Path) -> Result<RootCertStore, Complaint> {
    let mut roots = RootCertStore::empty();
    for certificate in given {
        roots.add(certificate.clone()).map_err(|e| format!("a certificate in `{}` cannot be a root: {e}", path.display()))?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, Complaint> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() { Err("the system has no root certificates; install ca-certificates or set `ca`".into()) } else { Ok(roots) }
}
