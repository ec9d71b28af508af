//! Why the gateway did not start, or did not take a new configuration, and what to do about it.

use std::io;
use std::net::SocketAddr;

use crate::observe::log_file::OpenError;

/// The reason why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The log file cannot be written.
    #[error("{0}")]
    Log(#[from] OpenError),
    /// A thread or a runtime cannot be created.
    #[error("cannot start a worker: {0}")]
    Worker(#[from] io::Error),
}

impl StartError {
    /// Says which address cannot be bound.
    pub(super) const fn bind(address: SocketAddr, source: io::Error) -> Self {
        Self::Bind { address, source }
    }

    /// Returns a text that tells the operator how to remove the cause. The text is empty if no remedy is known.
    pub fn help(&self) -> String {
        let (address, source) = match self {
            Self::Bind { address, source } => (address, source),
            Self::Log(error) => return error.help(),
            Self::Worker(_) => return String::new(),
        };
        let port = address.port();
        match source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "another process or another listener has the port: `ss -ltnp 'sport = :{port}'` shows which one. Stop it, or choose another port with \
                 `listen.http`, `listen.tls.address` or `listen.admin`"
            ),
            io::ErrorKind::PermissionDenied => format!(
                "port {port} needs a privilege: choose one from 1024, or allow it with `setcap cap_net_bind_service=+ep` on the binary, \
                 `AmbientCapabilities=CAP_NET_BIND_SERVICE` in systemd, or `-p {port}:8080` of the container"
            ),
            io::ErrorKind::AddrNotAvailable => {
                format!("no interface of this machine has the address {}: 0.0.0.0 and [::] stand for all", address.ip())
            }
            _ => String::new(),
        }
    }
}
