//! The keys of `[listen.tls]`.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::section::At;

/// `[listen.tls]`
#[derive(Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct ListenTls {
    /// The place of the table.
    pub span: std::ops::Range<usize>,
    pub address: Option<At<SocketAddr>>,
    /// `cert` and `key` of the table itself, or those of `certificates`.
    pub certificates: Vec<CertificateKeys>,
    pub client_auth: ClientAuth,
    pub client_ca: Option<At<String>>,
    pub redirect_to_https: bool,
    /// `None` is `"off"`.
    pub hsts: Option<Duration>,
}

/// The files of one certificate.
#[derive(Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct CertificateKeys {
    pub cert: At<String>,
    pub key: At<String>,
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    Off,
    /// They are asked; one without a certificate is accepted.
    Optional,
    /// A client without a valid certificate is refused.
    Required,
}
