//! The command line: words to actions, actions to exit codes.
//!
//! Exit codes: 0 done, 1 could not start or is not healthy, 2 wrong usage, 78 the configuration is not valid (`EX_CONFIG`).

mod check;
mod demo;
mod errors;
mod explain;
mod healthcheck;
mod openapi;
mod output;
mod redact;
mod run;
mod source;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The configuration is not valid (sysexits.h).
const EX_CONFIG: u8 = 78;

const AFTER: &str = "\
The configuration is searched in this order: --config, $LOCKGATE_CONFIG, ./lockgate.toml,
./config/lockgate.toml, /etc/lockgate/lockgate.toml.

Try it without any file:
  lockgate demo                                 a misbehaving service, the gateway in front, a tour
  lockgate run --to http://127.0.0.1:8000       a gateway in front of your own service";

/// Version, commit and build profile.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("LOCKGATE_REVISION"), ", ", env!("LOCKGATE_PROFILE"), ")");

/// A reverse proxy that makes every error speak one language.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version = VERSION, about, after_help = AFTER, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
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
    #[command(after_help = redact::AFTER)]
    Redact(RedactArgs),
    /// Ask a running gateway whether it is ready (for containers)
    Healthcheck(HealthArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Configuration file
    #[arg(long, short, value_name = "FILE", conflicts_with = "to")]
    config: Option<PathBuf>,
    /// Forward everything to this service, without any file
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Listen here instead of what the configuration says
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Admin listener instead of what the configuration says
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// Configuration files; without one the file that `run` would use
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct DemoArgs {
    /// Where the gateway listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// End after the tour
    #[arg(long)]
    once: bool,
}

#[derive(Debug, clap::Args)]
struct ErrorsArgs {
    /// How the catalogue is written
    #[arg(long, value_enum, default_value_t = errors::Format::Text)]
    format: errors::Format,
}

#[derive(Debug, clap::Args)]
struct RedactArgs {
    /// Text, JSON or HTML; without one, or with `-`, standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print what was found where, not the text; exit code 1 when there was something
    #[arg(long)]
    check: bool,
    /// Judge as the message of an error: any sign of an internal counts
    #[arg(long)]
    strict: bool,
    /// Use the patterns and exceptions of this configuration's [errors.redact]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct HealthArgs {
    /// Configuration file that names the admin listener
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Admin address to ask, without reading a file
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,
}

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Errors(args) => errors::print(args.format),
        Command::Explain { code } => explain::explain(&code),
        Command::Openapi => openapi::print(),
        Command::Redact(args) => redact::redact(&args),
        Command::Healthcheck(args) => healthcheck::healthcheck(&args),
    }
}
