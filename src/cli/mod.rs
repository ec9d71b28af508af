//! The command line: words to actions, actions to exit codes.
//!
//! Exit codes: 0 done, 1 could not start or is not healthy, 2 wrong usage, 78 the configuration is not valid (`EX_CONFIG`).

mod args;
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

use std::process::ExitCode;

use clap::Parser;

use self::args::{Cli, Command};

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
