//! `lockgate config`: prints the values that are in force, each with its origin.

use std::process::ExitCode;

use super::args::{ConfigArgs, EX_CONFIG};
use super::output;
use super::source::Source;

/// The output format of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A configuration file with the origin of each value as a comment
    Toml,
    /// JSON with `value` and `origin` of each key
    Json,
}

pub(super) fn print(args: &ConfigArgs) -> ExitCode {
    let source = Source::find(args.file.as_deref());
    let Ok(source) = source.and_then(|source| source.compile().map(|_| source)) else { return ExitCode::from(EX_CONFIG) };
    let effective = source.effective();
    match args.format {
        Format::Toml => output::print(effective.toml().trim_end()),
        Format::Json => output::print_json(&effective.json()),
    }
    ExitCode::SUCCESS
}
