//! `lockgate man`: writes a manual page for the program and for each command, made from the grammar of the command line.

use std::process::ExitCode;

use clap::CommandFactory;

use super::args::{Cli, ManArgs};
use super::output;
use super::run::fail;

pub(super) fn write(args: &ManArgs) -> ExitCode {
    let written = std::fs::create_dir_all(&args.out).and_then(|()| clap_mangen::generate_to(Cli::command(), &args.out));
    match written {
        Ok(()) => {
            output::print(&format!("wrote the manual pages to {}", args.out.display()));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("cannot write to {}: {error}", args.out.display())),
    }
}
