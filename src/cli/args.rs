//! The command line's grammar, with its help.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The configuration is not valid (sysexits.h).
pub(super) const EX_CONFIG: u8 = 78;

pub(super) const AFTER: &str = "\
The configuration is searched in this order: --config, $LOCKGATE_CONFIG, ./lockgate.toml,
./config/lockgate.toml, /etc/lockgate/lockgate.toml.

Try it without any file:
  lockgate demo                                 a misbehaving service, the gateway in front, a tour
  lockgate run --to http://127.0.0.1:8000       a gateway in front of your own service";

/// Version, commit and build profile.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("LOCKGATE_REVISION"), ", ", env!("LOCKGATE_PROFILE"), ")");

/// A reverse proxy that makes every error speak one language.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version = VERSION, about, after_help = AFTER, disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the gateway
    Run(RunArgs),
    /// Check configuration files and show every problem
    Check(CheckArgs),
    /// Show the gateway in front of a service that misbehaves in every way
    Demo(DemoArgs),
    /// Print the catalogue of errors
    Errors(ErrorsArgs),
    /// Say what a code, a status or a reason means
    Explain {
        /// Such as UPSTREAM_ERROR, 502 or connection_refused
        #[arg(value_name = "CODE")]
        code: String,
    },
    /// Print the errors as OpenAPI 3.1 components
    Openapi,
    /// Take stack traces, paths, SQL, credentials and addresses out of a text
    #[command(after_help = REDACT_AFTER)]
    Redact(RedactArgs),
    /// Ask a running gateway whether it is ready (for containers)
    Healthcheck(HealthArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Configuration file
    #[arg(long, short, value_name = "FILE", conflicts_with = "to")]
    pub(super) config: Option<PathBuf>,
    /// Forward everything to this service, without any file
    #[arg(long, value_name = "URL")]
    pub(super) to: Option<String>,
    /// Listen here instead of what the configuration says
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<SocketAddr>,
    /// Admin listener instead of what the configuration says
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) admin: Option<SocketAddr>,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Configuration files; without one the file that `run` would use
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Where the gateway listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// End after the tour
    #[arg(long)]
    pub(super) once: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ErrorsArgs {
    /// How the catalogue is written
    #[arg(long, value_enum, default_value_t = super::errors::Format::Text)]
    pub(super) format: super::errors::Format,
}

#[derive(Debug, clap::Args)]
pub(super) struct RedactArgs {
    /// Text, JSON or HTML; without one, or with `-`, standard input
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Print what was found where, not the text; exit code 1 when there was something
    #[arg(long)]
    pub(super) check: bool,
    /// Judge as the message of an error: any sign of an internal counts
    #[arg(long)]
    pub(super) strict: bool,
    /// Use the patterns and exceptions of this configuration's [errors.redact]
    #[arg(long, short, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct HealthArgs {
    /// Configuration file that names the admin listener
    #[arg(long, short, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Admin address to ask, without reading a file
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) admin: Option<SocketAddr>,
}

const REDACT_AFTER: &str = "\
A document is left alone unless it holds what only a failing program writes: a stack trace, a
database's complaint, a token. Then every path, class, statement, credential and address goes too.
JSON stays JSON. With --strict the text is judged as the message of an error answer is: any sign
counts, and the clean sentences in front of it stay.

  kubectl logs shop | lockgate redact
  lockgate redact --check page.html && echo clean";
