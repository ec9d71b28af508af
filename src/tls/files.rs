//! Reads certificates and private keys, and says what is wrong with them in a way that an operator can act on.
//!
//! Knows nothing of connections.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::sources::Pair;
use crate::regular_file;

/// Which file a complaint is about. The number is that of the certificate in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The certificate chain.
    Cert(usize),
    /// The private key.
    Key(usize),
    /// The roots of clients.
    ClientCa,
}

/// What is wrong with a file, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Complaint {
    /// The file.
    pub file: File,
    /// What is wrong.
    pub text: String,
    /// What to do; may be empty.
    pub help: String,
}

impl Complaint {
    /// Creates a complaint.
    pub fn new(file: File, text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { file, text: text.into(), help: help.into() }
    }
}

/// A certificate with its key.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) certified: Arc<CertifiedKey>,
    /// The DNS names for which it is valid, in lower case; `*.` begins a wildcard.
    pub(super) names: Vec<String>,
    pub(super) not_after: SystemTime,
}

impl Identity {
    /// Reads the files of certificate number `at`.
    ///
    /// # Errors
    /// A file cannot be read or is no PEM, the key does not belong to the certificate, or the certificate is not valid at `now`.
    pub(super) fn read(pair: &Pair, at: usize, now: SystemTime) -> Result<Self, Complaint> {
        let (cert, key) = (File::Cert(at), File::Key(at));
        let chain = certificates(&pair.cert, cert)?;
        let of_cert = |text: String| Complaint::new(cert, format!("the certificate in `{}` {text}", pair.cert.display()), "");
        let own = chain.first().ok_or_else(|| of_cert("is missing".into()))?;
        let (_, parsed) = X509Certificate::from_der(own).map_err(|error| of_cert(format!("is broken: {error}")))?;
        let (names, not_before, not_after) = (names(&parsed), time(parsed.validity().not_before), time(parsed.validity().not_after));
        if not_after <= now {
            return Err(Complaint {
                help: "renew it, or remove it from the list".into(),
                ..of_cert(format!("ended on {}", date(not_after)))
            });
        }
        if not_before > now {
            let help = "check the clock of this machine".into();
            return Err(Complaint { help, ..of_cert(format!("is not valid before {}", date(not_before))) });
        }
        let private = regular_file::read(&pair.key, MAX_PEM).map_err(Error::Io).and_then(|content| PrivateKeyDer::from_pem_slice(&content));
        let private = private.map_err(|error| unreadable(&pair.key, key, "private key", &error))?;
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(chain.clone(), private, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Complaint::new(
                key,
                format!("the key in `{}` does not belong to the certificate in `{}`", pair.key.display(), pair.cert.display()),
                "the first certificate of the chain must be the server's own",
            ),
            error => Complaint::new(key, format!("the key in `{}` cannot be used: {error}", pair.key.display()), ""),
        })?;
        Ok(Self { certified: Arc::new(certified), names, not_after })
    }
}

/// Returns the DNS names of a certificate: the subject's alternative names, which alone count (RFC 9525 2).
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = alternative.iter().flat_map(|extension| &extension.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

fn time(at: x509_parser::time::ASN1Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at.timestamp()).unwrap_or_default())
}

fn date(at: SystemTime) -> String {
    httpdate::fmt_http_date(at)
}

/// The largest file of certificates or a key, in bytes.
const MAX_PEM: u64 = 4 << 20;

/// Reads a chain of certificates.
fn certificates(path: &Path, file: File) -> Result<Vec<CertificateDer<'static>>, Complaint> {
    let read = regular_file::read(path, MAX_PEM).map_err(Error::Io);
    match read.and_then(|content| CertificateDer::pem_slice_iter(&content).collect::<Result<Vec<_>, _>>()) {
        Ok(chain) if chain.is_empty() => Err(unreadable(path, file, "certificate", &Error::NoItemsFound)),
        Ok(chain) => Ok(chain),
        Err(error) => Err(unreadable(path, file, "certificate", &error)),
    }
}

/// Reads the roots of clients.
///
/// # Errors
/// The file cannot be read, has no certificate, or one that cannot be a root.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, Complaint> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, File::ClientCa)? {
        let of_root = |error| format!("a certificate in `{}` cannot be a root: {error}", path.display());
        roots.add(certificate).map_err(|error| Complaint::new(File::ClientCa, of_root(error), ""))?;
    }
    Ok(roots)
}

fn unreadable(path: &Path, file: File, what: &str, error: &Error) -> Complaint {
    let path = path.display();
    match error {
        Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Complaint::new(file, format!("cannot read `{path}`: permission denied"), "the gateway's user must be able to read it")
        }
        Error::Io(error) => Complaint::new(file, format!("cannot read `{path}`: {error}"), ""),
        Error::NoItemsFound => Complaint::new(file, format!("there is no {what} in `{path}`"), "PEM is expected: -----BEGIN ..."),
        error => Complaint::new(file, format!("`{path}` is not PEM: {error}"), ""),
    }
}

/// Complains about a key that every user of the machine can read.
pub(super) fn readable_by_all(path: &Path, at: usize) -> Option<Complaint> {
    let mode = std::fs::metadata(path).ok()?.mode();
    let text = format!("every user of this machine can read the key `{}`", path.display());
    (mode & 0o004 != 0).then(|| Complaint::new(File::Key(at), text, "chmod o-r, or `defaultMode: 0400` for a secret of Kubernetes"))
}

/// How a file looks from outside: it is read again when this changes. A link that is swapped, as Kubernetes does, changes it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(Option<(u64, u64, u64, i64, i64)>, PathBuf);

impl Stamp {
    /// Looks at a file. One that is missing has a stamp, too.
    pub fn of(path: &Path) -> Self {
        let seen = std::fs::metadata(path).ok();
        Self(seen.map(|data| (data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec())), path.to_owned())
    }
}
