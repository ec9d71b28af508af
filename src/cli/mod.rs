//! The command line: one file per command, `args` with the grammar and the help, `source` with the search for the configuration.
//!
//! Exit codes: 0 for success, 1 if the gateway cannot start or is not healthy, if a case fails, if configurations differ or if the output
//! cannot be written, 2 for wrong usage, 78 for an invalid configuration (`EX_CONFIG`).

mod admin_client;
mod args;
mod cases;
mod check;
mod completions;
mod config;
mod demo;
mod diff;
mod errors;
mod explain;
mod healthcheck;
mod init;
mod journal;
mod log;
mod man;
mod notify;
mod openapi;
mod output;
mod record;
mod redact;
mod reload;
mod route;
mod run;
mod schema;
mod source;
mod test;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Cli, Command};

/// Parses the command line and executes the command.
pub fn main() -> ExitCode {
    let code = match Cli::try_parse() {
        Ok(Cli { command }) => execute(command),
        Err(told) => {
            // Help and version are no errors, and go to standard output.
            let printed = told.print();
            if !told.use_stderr() {
                output::note(printed);
            }
            u8::try_from(told.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    };
    output::end(code)
}

/// Executes a command.
fn execute(command: Command) -> ExitCode {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Init(args) => init::init(&args),
        Command::Check(args) => check::check(&args),
        Command::Test(args) => test::test(&args),
        Command::Record(args) => record::record(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Errors(args) => match args.journal {
            Some(command) => journal::run(command),
            None => errors::print(args.format),
        },
        Command::Notify(command) => notify::notify(&command),
        Command::Explain { code } => explain::explain(&code),
        Command::Openapi { admin } => openapi::print(admin),
        Command::Redact(args) => redact::redact(&args),
        Command::Reload(args) => reload::reload(&args),
        Command::Healthcheck(args) => healthcheck::healthcheck(&args),
        Command::Completions { shell } => completions::print(shell),
        Command::Schema => schema::print(),
        Command::Config(args) => config::print(&args),
        Command::Diff(args) => diff::print(&args),
        Command::Route(args) => route::print(&args),
        Command::Man(args) => man::write(&args),
    }
}
