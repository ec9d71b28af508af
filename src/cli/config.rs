//! `lockgate config`: prints the values that are in force, each with its origin.

use std::process::ExitCode;

use super::args::{ConfigArgs, ConfigFormat, EX_CONFIG};
use super::output;
use super::source::Source;

pub(super) fn print(args: &ConfigArgs) -> ExitCode {
    let source = Source::find(args.file.as_deref());
    let Ok(source) = source.and_then(|source| source.compile().map(|_| source)) else { return ExitCode::from(EX_CONFIG) };
    let effective = source.effective();
    match args.format {
        ConfigFormat::Toml => output::print(effective.toml().trim_end()),
        ConfigFormat::Json => output::print_json(&effective.json()),
    }
    ExitCode::SUCCESS
}
