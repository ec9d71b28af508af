//! The options of commands that talk to the admin listener of a running gateway.

use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AdminArgs {
    /// Configuration file that names the admin listener
    #[arg(long, short, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Address of the admin listener, without a configuration file
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(in crate::cli) admin: Option<SocketAddr>,
}
