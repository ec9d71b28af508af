//! The grammar of `lockgate notify`.

use std::path::PathBuf;

use clap::Subcommand;

pub(in crate::cli) const NOTIFY_AFTER: &str = "\
The message is sent from where the command runs, once, and what the receiver answers is printed. The exit
code is 0 if all have taken it, 1 if one has not, and 78 if the configuration is not valid.

  lockgate notify test
  lockgate notify test team --config /etc/lockgate/lockgate.toml";

/// What to do with the notifiers.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum NotifyCommand {
    /// Send a test message to the notifiers of the configuration
    #[command(after_help = NOTIFY_AFTER)]
    Test(NotifyTestArgs),
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct NotifyTestArgs {
    /// Name of a notifier [default: all]
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: Option<String>,
    /// Configuration file
    #[arg(long, short, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
}
