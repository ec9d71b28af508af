//! Why the gateway did not start, or did not take a new configuration, and what to do about it.

use std::io;
use std::net::SocketAddr;

use crate::journal::StoreError;
use crate::observe::log_file::OpenError;
use crate::plan::Place;

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
    /// The journal cannot be opened.
    #[error("{source}")]
    Journal {
        /// Where it is.
        place: Place,
        /// The error of the store.
        source: StoreError,
    },
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
            Self::Journal { place, .. } => return help_of_journal(place),
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

fn help_of_journal(place: &Place) -> String {
    let path = match place {
        Place::Memory | Place::Database(_) => return String::new(),
        Place::File(path) => path,
    };
    let folder = path.parent().unwrap_or(path).display();
    format!(
        "the user of the gateway must be able to write to the folder {folder} (`mkdir -p {folder}`), and `journal.path` names a regular file \
         that no other gateway uses. Without `journal.path`, the journal is in memory"
    )
}
