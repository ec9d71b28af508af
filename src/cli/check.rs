//! `lockgate check`: compiles configuration files and reports their problems. Must not start the gateway.

use std::process::ExitCode;

use super::args::{CheckArgs, EX_CONFIG};
use super::output;
use super::source::Source;

pub(super) fn check(args: &CheckArgs) -> ExitCode {
    let sources = match args.files.as_slice() {
        [] => vec![Source::find(None)],
        files => files.iter().map(|file| Source::read(file)).collect(),
    };
    let mut good = true;
    for source in sources {
        match source.and_then(|source| source.compile().map(|plan| (source, plan))) {
            Ok((source, plan)) => {
                let endpoints: usize = plan.backends.iter().map(|backend| backend.endpoints().len()).sum();
                output::print(&format!("{}: ok ({} backends, {endpoints} endpoints)", source.name, plan.backends.len()));
            }
            Err(_) => good = false,
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::from(EX_CONFIG) }
}
