//! `lockgate completions`: prints the completion script of a shell, made from the grammar of the command line.

use std::process::ExitCode;

use clap::CommandFactory;

use super::args::{Cli, Shell};
use super::output;

pub(super) fn print(shell: Shell) -> ExitCode {
    let generator = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut Cli::command(), "lockgate", &mut script);
    output::print(String::from_utf8_lossy(&script).trim_end());
    ExitCode::SUCCESS
}
