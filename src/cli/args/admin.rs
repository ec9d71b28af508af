//! The options of commands that talk to the admin listener of a running gateway.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Where the admin listener is.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListenerArgs {
    /// Configuration file that names the admin listener
    #[arg(long, short, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Address of the admin listener, without a configuration file
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(in crate::cli) admin: Option<SocketAddr>,
}

/// Where the admin listener is, and the token that it asks for.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AdminArgs {
    #[command(flatten)]
    pub(in crate::cli) listener: ListenerArgs,
    /// File with the token of the admin listener [default: `admin_token` of the configuration file]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) token_file: Option<PathBuf>,
}

/// What the help of `lockgate reload` ends with.
pub(in crate::cli) const RELOAD_AFTER: &str = "\
A gateway loads its configuration again by itself when a file changes (`watch = false` prevents that), on
SIGHUP, and with this command, which waits for the outcome. Connections and requests in progress are not
disturbed. A configuration with problems changes nothing: they are printed, and the exit code is 78.

The token is the `admin_token` of the configuration file. A gateway that still runs with another one wants
that: name a file with it, or send the process a SIGHUP, which needs no token.

  lockgate reload
  lockgate reload --admin 127.0.0.1:9090 --token-file /run/secrets/admin";
