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
