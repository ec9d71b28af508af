//! Where the certificates of the listener are. Plain data; reads nothing.

use std::path::PathBuf;

/// The files of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The chain, the server's own certificate first (PEM).
    pub cert: PathBuf,
    /// The private key (PEM).
    pub key: PathBuf,
}

/// Which certificates of clients are accepted. A certificate that is not valid is always refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRoots {
    /// The roots (PEM).
    pub ca: PathBuf,
    /// A client without a certificate is refused.
    pub required: bool,
}

/// Where the certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The certificates of the server. The first one is for clients that name no server, or an unknown one.
    pub pairs: Vec<Pair>,
    /// The roots of clients; without any, clients are not asked for a certificate.
    pub clients: Option<ClientRoots>,
}
